"""What images without masks add: semi_supervised against supervised-only on glas.

    python benchmarks/semi_supervised.py --data DATA/glas --out RUNS [--seeds 3]
        [--fraction 0.2] [--threads 1]

Chooses among `ARMS` on the validation images of seed 100, then trains the chosen arm
and the better supervised one from the same start, on the same labelled batches, with
as many steps, for seeds 0, 1, ... Labelled images, validation part and start are
functions of the seed. Each run's last weights (running average) are scored by the
project's evaluation; the test images are read for the reported seeds alone. Runs that
are done are not repeated; one that was cut off is resumed.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from napari_segmoe.data.folder import read_data_folder
from napari_segmoe.inference.devices import choose_device
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.inference.predictor import SegmentationPredictor
from napari_segmoe.models.weights import load_weights
from napari_segmoe.training.bootstrap import bootstrap_interval
from napari_segmoe.training.config import load_config, make_config
from napari_segmoe.training.engine import fit
from napari_segmoe.training.evaluation import score_folder
from napari_segmoe.training.evaluation_report import EvaluationOptions
from napari_segmoe.training.run_data import divide_items
from napari_segmoe.training.summary import paired_t_interval, t_interval

SETTINGS = {
    "model": "semi_moe_lite",
    "modality": "histology",
    "organ": "colon",
    "image_head": False,
    "object_head": False,
    "encoder_weights": "imagenet",
    "spacing_um": 1.24,
    "data_spacing_um": 0.62,
    "input_px": 192,
    "batch_size": 4,
    "epochs": 6,
    "learning_rate": 2e-3,
    "encoder_rate_factor": 0.25,
    "warmup_steps": 30,
    "weight_decay": 0.03,
    "ema_decay": 0.98,
    "prompt_share": 0.0,
    "false_positive_weight": 0.5,
    "false_negative_weight": 0.5,
    "cross_entropy_weight": 1.0,
    "texture_weight": 0.0,
    "distance_weight": 2.0,
    "ring_weight": 0.25,
    "expert_weight": 0.5,
    "validate_every": 1000,
}
SAMPLES_OF_ALL_IMAGES = 1.6  # so that every share of labels gets as many steps
BASELINES = {
    "supervised": {"recipe": "semi_supervised", "unsupervised_weight": 0.0},
    "multitask": {"recipe": "multitask"},
}
_TEACHER = {"ema_teacher": True, "teacher_decay": 0.98, "confidence_gate": 0.8}
METHODS = {
    "teacher_strong": {"weak_to_strong": True, **_TEACHER, "unsupervised_weight": 1.0},
    "gates": {},
    "teacher": {**_TEACHER, "unsupervised_weight": 1.0},
}
ARMS: dict[str, dict[str, Any]] = {
    **BASELINES,
    **{name: {"recipe": "semi_supervised", **arm} for name, arm in METHODS.items()},
}
TUNING_SEED = 100
FIGURES = ("dice", "iou", "object_f1", "hd95")


def main() -> None:
    """Tune, train and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fraction", type=float, default=0.2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--method", choices=tuple(METHODS), help="Do not tune.")
    parser.add_argument("--baseline", choices=tuple(BASELINES), help="Do not tune.")
    parser.add_argument(
        "--result", type=Path, default=Path(__file__).with_name("semi_supervised.json")
    )
    options = parser.parse_args()
    baseline, method = options.baseline, options.method
    if baseline is None:
        baseline = choose(options, tuple(BASELINES))
    if method is None:
        method = choose(options, tuple(METHODS))
    for seed in range(options.seeds):
        for arm in (baseline, method):
            run(options, arm, seed, parts=("validation", "test"))
        write(options, baseline, method)


def choose(options: argparse.Namespace, arms: Sequence[str]) -> str:
    """Return the arm with the best Dice on the tuning seed's validation images."""
    found = {arm: run(options, arm, TUNING_SEED, parts=("validation",)) for arm in arms}
    return max(arms, key=lambda arm: found[arm]["validation"]["gate"]["dice"])


def run(
    options: argparse.Namespace, arm: str, seed: int, *, parts: Sequence[str]
) -> dict[str, Any]:
    """Train and score one run, or read what was found before."""
    folder = options.out / f"{arm}-{options.fraction:g}-{seed}"
    result = folder / "scores.json"
    if result.is_file():
        return json.loads(result.read_text(encoding="utf-8"))
    config = make_config(
        **(SETTINGS | ARMS[arm]),
        name=f"semi_supervised_{arm}",
        data=options.data,
        out=folder,
        seed=seed,
        label_fraction=options.fraction,
        samples_per_image=max(round(SAMPLES_OF_ALL_IMAGES / options.fraction), 1),
        threads=options.threads,
    )
    start = time.process_time()
    steps = 0
    for event in fit(config, resume=(folder / "config.yaml").is_file()):
        steps = config.epochs * event.get("steps", 0) or steps
        if event["event"] == "epoch":
            print(arm, seed, json.dumps(event), flush=True)
    found = {
        "arm": arm,
        "seed": seed,
        "fraction": options.fraction,
        "steps": steps,
        "core_seconds": round(time.process_time() - start, 1),
        **describe(folder),
        **{part: score(folder, part) for part in parts},
    }
    result.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(arm, seed, {part: summary(found[part]) for part in parts}, flush=True)
    return found


def describe(folder: Path) -> dict[str, Any]:
    """Return how many images of which kind a run had, and its split's hash."""
    _, card = load_weights(folder / "last.safetensors")
    return {
        "labelled": card.data["train"],
        "unlabelled": card.data.get("unlabelled", 0),
        "split_sha256": card.split["sha256"],
    }


def score(folder: Path, part: str) -> dict[str, Any]:
    """Score the gate's mask, and in validation the mask expert's own as well."""
    config = load_config(folder / "config.yaml")
    data = read_data_folder(config.data)
    if part == "validation":
        _, items = divide_items(data, config)
        items = tuple(replace(item, split=part) for item in items)
        data = replace(data, items=items)
    found = {}
    for name in ("gate", "expert") if part == "validation" else ("gate",):
        model, card = load_weights(folder / "last.safetensors")
        if name == "expert":
            show_expert(model)
        network = WindowNetwork(model, card, choose_device("cpu"))
        found[name] = figures(SegmentationPredictor(network), data, part)
    return found


def show_expert(model: nn.Module) -> None:
    """Let a network answer with the mask expert's own scores."""
    decode = model.decode

    def decode_alone(*values: Any, **named: Any) -> Any:
        output = decode(*values, **named)
        return replace(output, logits=output.auxiliary[0])

    model.decode = decode_alone


def figures(predictor: SegmentationPredictor, data: Any, part: str) -> dict[str, Any]:
    """Return mean figures of a part's images, and the Dice of each."""
    job = score_folder(
        predictor, data, part, EvaluationOptions(routing=False, resamples=200)
    )
    while True:
        try:
            next(job)
        except StopIteration as end:
            evaluation = end.value
            break
    found = evaluation.report["segmentation"]
    rows = [one for one in evaluation.scores if one.has_truth]
    return {
        **{name: found[name]["mean"] for name in FIGURES},
        "images": {one.name: one.overlap.dice for one in rows},
        "groups": {one.name: one.group for one in rows},
    }


def summary(found: dict[str, Any]) -> dict[str, float]:
    """Return both masks' Dice in a few words."""
    return {name: round(one["dice"], 4) for name, one in found.items()}


def write(options: argparse.Namespace, baseline: str, method: str) -> None:
    """Write all runs and the paired differences so far."""
    runs = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(options.out.glob("*/scores.json"))
    ]
    report = {
        "command": "python benchmarks/semi_supervised.py --data DATA/glas --out RUNS"
        " --seeds SEEDS --fraction SHARE",
        "settings": SETTINGS,
        "arms": ARMS,
        "comparisons": {
            f"{fraction:g}": compare(
                [one for one in runs if one["fraction"] == fraction], baseline, method
            )
            for fraction in sorted({one["fraction"] for one in runs})
        },
        "runs": [without_images(one) for one in runs],
    }
    options.result.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def compare(
    runs: Sequence[dict[str, Any]], baseline: str, method: str
) -> dict[str, Any]:
    """Return paired differences of the reported seeds: method less baseline."""
    reported = {
        (one["arm"], one["seed"]): one for one in runs if one["seed"] < TUNING_SEED
    }
    seeds = [
        seed
        for seed in range(TUNING_SEED)
        if (baseline, seed) in reported and (method, seed) in reported
    ]
    first = [reported[baseline, seed] for seed in seeds]
    second = [reported[method, seed] for seed in seeds]
    found: dict[str, Any] = {"baseline": baseline, "method": method, "seeds": seeds}
    for part in ("validation", "test"):
        found[part] = {
            name: {
                "baseline": t_interval(values_of(first, part, name)),
                "method": t_interval(values_of(second, part, name)),
                "difference": paired_t_interval(
                    values_of(first, part, name), values_of(second, part, name)
                ),
            }
            for name in FIGURES
        }
    found["validation"]["gate_less_expert_dice"] = {
        name: paired_t_interval(
            values_of(runs_of, "validation", "dice", mask="expert"),
            values_of(runs_of, "validation", "dice"),
        )
        for name, runs_of in (("baseline", first), ("method", second))
    }
    found["test"]["dice_difference_over_images"] = over_images(first, second)
    return found


def values_of(
    runs: Sequence[dict[str, Any]], part: str, name: str, *, mask: str = "gate"
) -> list[float]:
    """Return one figure of each run."""
    return [one[part][mask][name] for one in runs]


def over_images(
    first: Sequence[dict[str, Any]], second: Sequence[dict[str, Any]]
) -> dict[str, float | None]:
    """Return the test images' mean difference over seeds, with a bootstrap interval."""
    if not first:
        return bootstrap_interval([])
    groups = first[0]["test"]["gate"]["groups"]
    names = sorted(groups)
    differences = [
        [after["test"]["gate"]["images"][name] for name in names]
        - np.array([before["test"]["gate"]["images"][name] for name in names])
        for before, after in zip(first, second, strict=True)
    ]
    return bootstrap_interval(
        np.mean(differences, axis=0), groups=[groups[name] for name in names]
    )


def without_images(found: dict[str, Any]) -> dict[str, Any]:
    """Return a run's figures without those of single images."""
    told = dict(found)
    for part in ("validation", "test"):
        if part in found:
            told[part] = {
                mask: {name: one[name] for name in FIGURES}
                for mask, one in found[part].items()
            }
    return told


if __name__ == "__main__":
    main()
