"""Child process of `segmoe bench training`: answers with JSON."""

import argparse
import csv
import itertools
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import torch
from PIL import Image
from torch import nn

from napari_segmoe.cli import console
from napari_segmoe.cli.bench_timing import time_in_turns
from napari_segmoe.data.phantom import make_breast_phantom
from napari_segmoe.training.average import WeightAverage
from napari_segmoe.training.config import TrainingConfig, make_config
from napari_segmoe.training.distribution import arithmetic, make_fabric
from napari_segmoe.training.draws import Part, SampleDrawer, StepDraws
from napari_segmoe.training.engine import fit
from napari_segmoe.training.recipes import recipe_for
from napari_segmoe.training.run_data import load_run_data
from napari_segmoe.training.stepping import Stepper

_IMAGES = 24
_KINDS = ("benign", "malignant", "normal")
_TURNS = 10
_SETTLED = 3  # epochs until allocators have seen every size


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--input-px", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=12)
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "phantoms"
        _write_phantoms(data)
        config = make_config(
            data=data,
            out=Path(place) / "run",
            empty_class="normal",
            input_px=asked.input_px,
            device=asked.device,
            threads=asked.threads,
        )
        console.show_json(_time_steps(config) | _follow_memory(config, asked.epochs))


def _write_phantoms(folder: Path) -> None:
    """Write a data folder of made-up breast scans."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "class", "split", "group"))
        for number in range(_IMAGES):
            kind = _KINDS[number % len(_KINDS)]
            phantom = make_breast_phantom(number, kind=kind)
            name = f"phantom-{number:02}.png"
            Image.fromarray(phantom.image).save(folder / "images" / name)
            Image.fromarray(phantom.mask).save(folder / "masks" / name)
            rows.writerow((name, kind, "train", f"phantom-{number:02}"))


def _time_steps(config: TrainingConfig) -> dict[str, Any]:
    """Return seconds of a step, of its bare counterpart, and of drawing samples.

    Samples carry no prompts here: the answers that a simulated user clicks on are
    further forwards of the recipe, not the loop's doing.
    """
    config = config.model_copy(update={"prompt_share": 0.0})
    with arithmetic(config):
        fabric = make_fabric(config)
        data = load_run_data(config)
        recipe = recipe_for(config, data)
        stage = recipe.stages()[0]
        torch.manual_seed(config.seed)
        model: nn.Module = recipe.make_model(stage, None)
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        step = recipe.make_step(model)
        stepper = Stepper(
            config,
            recipe,
            fabric,
            model=model,
            step=step,
            optimizers=recipe.make_optimizers(model, step, stage),
            average=WeightAverage(model, decay=config.ema_decay),
        )
        stepper.average.average.to(fabric.device)
        drawer = SampleDrawer(config, data.train)
        indices = drawer.indices(drawer.order(0), 0)
        drawn = [(index, drawer.draw(0, index)) for index in indices]
        draws = StepDraws(config, drawn, model, fabric, 0, 0, Part(0, 1, 0, 1))
        batch = recipe.make_batch(draws).to(fabric.device)
        epochs = itertools.count()
        names = [""] * len(drawn)

        def take() -> object:
            return stepper.take(drawn, names, epoch=0, number=0)

        def bare() -> None:
            for optimizer in stepper.optimizers:
                optimizer.zero_grad()
            stepper.step_module.train()
            fabric.backward(stepper.step_module(batch)["loss"])
            for optimizer in stepper.optimizers:
                optimizer.step()

        def draw() -> object:
            epoch = next(epochs)
            return [drawer.draw(epoch, index) for index in indices]

        taken, least, drawing = time_in_turns(
            (take, bare, draw), fabric.device, turns=_TURNS
        )
    return {
        "step_s": taken,
        "bare_s": least,
        "draw_s": drawing,
        "model": config.model,
        "batch": len(drawn),
        "input_px": config.input_px,
        "precision": str(fabric.strategy.precision.precision),
    }


def _follow_memory(config: TrainingConfig, epochs: int) -> dict[str, Any]:
    """Train on and return the process's memory after early and after late epochs."""
    config = config.model_copy(
        update={
            "epochs": epochs,
            "input_px": min(config.input_px, 128),
            "batch_size": 4,
            "patience": epochs,
            "domain_guard": False,
        }
    )
    process = psutil.Process(os.getpid())
    used = [
        process.memory_info().rss / 2**20
        for event in fit(config)
        if event["event"] == "epoch"
    ]
    settled = min(_SETTLED, len(used) - 1)
    return {
        "early_mib": max(used[:settled]),
        "late_mib": used[-1],
        "epochs": len(used),
        "settled": settled,
    }


if __name__ == "__main__":
    main()
