"""`report.md` of a run: curves, answers on validation images, and who was asked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import nn

from napari_segmoe.data.page_layout import place_beside, stack
from napari_segmoe.training.batches import make_batch
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.curves import draw_chart
from napari_segmoe.training.run_data import RunData
from napari_segmoe.training.sample_sheet import draw_answers, framed
from napari_segmoe.training.samples import Sample, plain_sample
from napari_segmoe.training.sources import Source
from napari_segmoe.training.spaced_samples import plain_crop
from napari_segmoe.types import Prompts

_SHOWN, _ROWS, _MOST_ROUTERS = 6, 12, 8
_FOLDER = "report"

Event = Mapping[str, Any]


class RunReport:
    """Writes `report.md` and its pictures into a run folder.

    Parameters
    ----------
    path : Path
        The run folder.
    config : TrainingConfig
    data : RunData
        Its validation images are shown.
    """

    def __init__(self, path: Path, config: TrainingConfig, data: RunData) -> None:
        self.path, self.config, self.data = path, config, data

    def write(self, events: Sequence[Event]) -> None:
        """Write the page anew from all events of the run so far."""
        epochs = [event for event in events if event["event"] == "epoch"]
        if not epochs:
            return
        self._save("curves.png", draw_curves(epochs))
        routed = [event for event in epochs if event.get("routing")]
        if routed:
            self._save("routing.png", draw_routing(routed))
        answers = (self.path / _FOLDER / "answers.png").exists()
        text = describe_run(self.config, events, has_answers=answers)
        partial = self.path / ".report.partial"
        partial.write_text(text, encoding="utf-8")
        partial.replace(self.path / "report.md")

    def show_answers(self, model: nn.Module, fabric: Fabric, *, epoch: int) -> None:
        """Draw what a network marks in a few validation images."""
        places = np.linspace(0, len(self.data.validation) - 1, _SHOWN).round()
        chosen = [self.data.validation[int(place)] for place in dict.fromkeys(places)]
        samples = [_plain(source, self.config) for source in chosen]
        masks = answer(model, samples, fabric)
        title = f"Validation images after epoch {epoch + 1}"
        page = draw_answers(zip(samples, masks, strict=True), title=title)
        self._save("answers.png", page)

    def _save(self, name: str, picture: Image.Image) -> None:
        folder = self.path / _FOLDER
        folder.mkdir(exist_ok=True)
        partial = folder / f".{name}.partial"
        picture.save(partial, format="PNG")
        partial.replace(folder / name)


@torch.no_grad()
def answer(
    model: nn.Module, samples: Sequence[Sample], fabric: Fabric
) -> list[np.ndarray]:
    """Return the masks that a network gives without prompts, (n, n) bool each."""
    model.eval()
    masks = []
    for sample in samples:
        batch = make_batch([sample]).to(fabric.device)
        with fabric.autocast():
            output = model(batch.image, batch.prompts)
        masks.append((output.foreground[0, 0] > 0).cpu().numpy())
    return masks


def _plain(source: Source, config: TrainingConfig) -> Sample:
    if config.spacing_um is None:
        return plain_sample(source, output_px=config.input_px)
    image, ids = plain_crop(
        source,
        centre_yx=source.centre_yx,
        output_px=config.input_px,
        spacing_um=config.spacing_um,
    )
    return Sample(image, ids > 0, Prompts(), None, -1, -1)


def draw_curves(epochs: Sequence[Event]) -> Image.Image:
    """Draw losses, validation figures, score and learning rate of a run."""
    losses = _lines(epochs, "train")
    figures = _lines(epochs, "validation")
    score = {"score": figures.pop("score")} if "score" in figures else {}
    total = {"loss": losses.pop("loss", [])}
    rate = {
        "learning rate": [
            (event["epoch"] + 1, event["learning_rate"])
            for event in epochs
            if "learning_rate" in event
        ]
    }
    charts = [
        draw_chart(title, lines)
        for title, lines in (
            ("Training loss", total),
            ("Its parts", losses),
            ("Score that chooses the best epoch", score),
            ("Validation", figures),
            ("Learning rate", rate),
        )
        if any(lines.values())
    ]
    return _grid(charts)


def draw_routing(routed: Sequence[Event]) -> Image.Image:
    """Draw each router's share of images that choose each expert, over epochs."""
    charts = []
    for router in list(routed[-1]["routing"]["routers"])[:_MOST_ROUTERS]:
        lines: dict[str, list[tuple[float, float]]] = {}
        for event in routed:
            found = event["routing"]["routers"].get(router, {"experts": {}})
            for name, figures in found["experts"].items():
                lines.setdefault(name, []).append(
                    (event["epoch"] + 1, figures["chosen"])
                )
        charts.append(draw_chart(f"{router}: share of images that choose it", lines))
    return _grid(charts)


def find_dead_experts(routed: Sequence[Event]) -> list[str]:
    """Return a sentence for each expert that is dead in the last epoch."""
    sentences = []
    for router, figures in routed[-1]["routing"]["routers"].items():
        for name in figures["dead"]:
            alive = [
                event["epoch"] + 1
                for event in routed
                if name
                not in event["routing"]["routers"].get(router, {"dead": ()})["dead"]
            ]
            since = f"after epoch {alive[-1]}" if alive else "from the first epoch on"
            sentences.append(
                f"**{name}** of {router} died {since}: fewer than 1 % of the images"
                " choose it, or it weighs less than 1 %."
            )
    return sentences


def describe_run(
    config: TrainingConfig, events: Sequence[Event], *, has_answers: bool
) -> str:
    """Return the page as Markdown."""
    epochs = [event for event in events if event["event"] == "epoch"]
    routed = [event for event in epochs if event.get("routing")]
    parts = [
        f"# {config.name if config.name != 'unnamed' else config.out.name}",
        _state(events),
        _facts(config, events),
        "## Curves\n\n![Losses and validation figures](report/curves.png)",
        _table(epochs),
    ]
    if has_answers:
        parts.append("## Answers\n\n![Image, truth, answer](report/answers.png)")
    if routed:
        dead = find_dead_experts(routed) or ["No expert died."]
        lines = "\n".join(f"- {sentence}" for sentence in dead)
        parts.append(
            "## Who was asked\n\n![Use of the experts](report/routing.png)\n\n" + lines
        )
    remarks = [event["note"] for event in events if event["event"] == "memory"]
    starts = [event for event in events if event["event"] == "start"]
    remarks += starts[-1].get("notes", []) if starts else []
    if remarks:
        parts.append("## Remarks\n\n" + "\n".join(f"- {one}" for one in remarks))
    parts.append("Research use only, not a medical device.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _state(events: Sequence[Event]) -> str:
    last = events[-1]
    done = len([event for event in events if event["event"] == "epoch"])
    if last["event"] == "failed":
        return f"Stopped after {done} epochs: {last['reason']}"
    if last["event"] == "done":
        early = " It stopped early, without gain." if last["stopped_early"] else ""
        return (
            f"Finished after {done} epochs; the best is epoch {last['best_epoch'] + 1}"
            f" with score {last['best_score']:.4g}.{early}"
        )
    return f"After {done} epochs; still running, or interrupted."


def _facts(config: TrainingConfig, events: Sequence[Event]) -> str:
    starts = [event for event in events if event["event"] == "start"]
    seconds = sum(event.get("seconds", 0) for event in events)
    rows = [("network", config.model), ("recipe", config.recipe.value)]
    rows.append(("seed", str(config.seed)))
    if starts:
        start = starts[-1]
        rows += [
            ("parameters", f"{start['parameters']:,}"),
            ("images", f"{start['train_images']} to train on,"
             f" {start['validation_images']} to validate"),
            ("device", f"{start['device']}, {start.get('processes', 1)} processes"),
        ]  # fmt: skip
    if seconds:
        rows.append(("time", f"{seconds / 60:.1f} min in epochs"))
    return "| | |\n|---|---|\n" + "\n".join(f"| {a} | {b} |" for a, b in rows)


def _table(epochs: Sequence[Event]) -> str:
    """Return the newest validations and the best one."""
    validated = [event for event in epochs if event.get("validation")]
    if not validated:
        return ""
    best = max(validated, key=lambda event: event["validation"]["score"])
    shown = validated[-_ROWS:]
    shown = shown if best in shown else [best, *shown[1:]]
    names = [
        name
        for name, value in best["validation"].items()
        if isinstance(value, int | float)
    ]
    lines = ["| epoch | loss | " + " | ".join(names) + " |"]
    lines.append("|---" * (len(names) + 2) + "|")
    for event in shown:
        mark = "**" if event is best else ""
        values = [event["validation"].get(name) for name in names]
        cells = ["" if value is None else f"{value:.4g}" for value in values]
        number = f"{mark}{event['epoch'] + 1}{mark}"
        lines.append(
            f"| {number} | {event['train']['loss']:.4g} | {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def _lines(epochs: Sequence[Event], group: str) -> dict[str, list[tuple[float, float]]]:
    lines: dict[str, list[tuple[float, float]]] = {}
    for event in epochs:
        for name, value in event.get(group, {}).items():
            if isinstance(value, int | float):
                lines.setdefault(name, []).append((event["epoch"] + 1, float(value)))
    return lines


def _grid(charts: Sequence[Image.Image]) -> Image.Image:
    rows = [place_beside(charts[i : i + 2], gap=20) for i in range(0, len(charts), 2)]
    return framed(stack(rows, gap=20))
