"""Train variants of a network with equal budgets and seeds, score them, keep a table.

Used by the scripts `ablate_*.py`. A run that is done is skipped, one that was stopped
goes on; the table is written again after each, over the seeds that are done.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_segmoe.inference.predictor import load_predictor
from napari_segmoe.training.config import TrainingConfig, make_config
from napari_segmoe.training.engine import fit
from napari_segmoe.training.evaluation import evaluate_folder
from napari_segmoe.training.summary import join_reports, mean_of, paired_t_interval

REPORT = "evaluate.json"
_FIGURES = {
    "dice": ("segmentation", "dice"),
    "iou": ("segmentation", "iou"),
    "boundary F1": ("segmentation", "boundary_f1"),
    "accuracy": ("classification", "accuracy"),
    "AUC": ("classification", "auc"),
    "mean IoU of classes": ("mask_classes", "iou_mean"),
}


@dataclass(frozen=True, slots=True)
class Variant:
    """One network of an ablation: its name, and the settings that make it."""

    name: str
    settings: Mapping[str, Any]

    def folder(self, out: Path, seed: int) -> Path:
        """Return its run folder."""
        words = "".join(c if c.isalnum() else "_" for c in self.name).strip("_")
        return out / f"{words}-{seed}"


@dataclass(frozen=True, slots=True)
class Ablation:
    """Variants that share everything else.

    Attributes
    ----------
    result : Path
        The table that is written.
    base : mapping
        Settings of all runs.
    variants : sequence of Variant
        The first is what the others are held against.
    budget : str
        Told in each row: how far the runs are from full trainings.
    """

    result: Path
    base: Mapping[str, Any]
    variants: Sequence[Variant]
    budget: str


def run_ablation(ablation: Ablation, description: str | None) -> None:
    """Read the command line, train what is missing, and write the table."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, help="Of each run.")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--minutes", type=float, help="Begin no run after these.")
    parser.add_argument("--result", type=Path, default=ablation.result)
    options = parser.parse_args()
    changed = {} if options.epochs is None else {"epochs": options.epochs}
    began = time.monotonic()
    for seed in range(options.seeds):  # all variants of a seed before the next
        for variant in ablation.variants:
            spent = (time.monotonic() - began) / 60
            if options.minutes is not None and spent > options.minutes:
                print(f"{options.minutes:g} minutes are over; run again to go on.")
                return
            settings = {**ablation.base, **variant.settings, **changed, "seed": seed}
            out = variant.folder(options.out, seed)
            config = make_config(
                **settings,
                name=out.name.replace("-", "_"),
                data=options.data,
                out=out,
                threads=options.threads,
            )
            train_and_score(config)
            write_table(ablation, options.out, options.seeds, options.result)


def train_and_score(config: TrainingConfig) -> None:
    """Train a run, or go on with it, and score it once on the test split."""
    report = config.out / REPORT
    if report.is_file():
        return
    began = time.monotonic()
    started = (config.out / "state.pt").is_file()
    if not (config.out / "metrics.json").is_file():
        for event in fit(config, resume=started):
            if event["event"] != "progress":
                print(json.dumps(event), flush=True)
    predictor = load_predictor(
        config.out / "best.safetensors", device="cpu", threads=config.threads
    )
    scoring = evaluate_folder(predictor, config.data, "test", routing=False)
    while True:
        try:
            next(scoring)
        except StopIteration as end:
            found: dict[str, Any] = end.value
            break
    found |= {
        "images": int(predictor.card.data.get("train", 0)),
        "epochs": config.epochs,
        "minutes": (time.monotonic() - began) / 60,
    }
    report.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def write_table(ablation: Ablation, out: Path, seeds: int, result: Path) -> None:
    """Write a row for each variant that has a run that is done.

    With one seed figures have the bootstrap interval over test images; with more, the
    t interval over seeds, and the differences to the first variant are paired.
    """
    done = {
        variant.name: {
            seed: json.loads(path.read_text("utf-8"))
            for seed in range(seeds)
            if (path := variant.folder(out, seed) / REPORT).is_file()
        }
        for variant in ablation.variants
    }
    first = done[ablation.variants[0].name]
    rows = [
        _row(name, found, first, ablation.budget)
        for name, found in done.items()
        if found
    ]
    result.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _row(
    name: str,
    found: Mapping[int, Mapping[str, Any]],
    first: Mapping[int, Mapping[str, Any]],
    budget: str,
) -> dict[str, Any]:
    one = next(iter(found.values()))
    joined = one if len(found) == 1 else join_reports(list(found.values()))
    row: dict[str, Any] = {"name": name, "data": one["data"], "split": one["split"]}
    row["n"] = one["n"]
    for label, (part, key) in _FIGURES.items():
        figure = (joined.get(part) or {}).get(key)
        if isinstance(figure, Mapping):
            row[label] = {k: figure.get(k) for k in ("mean", "low", "high")}
        elif figure is not None:
            row[label] = figure
    row["seeds"] = len(found)
    shared = sorted(found.keys() & first.keys())
    if len(shared) > 1 and found is not first:
        pairs = [
            [_dice(reports[seed]) for seed in shared] for reports in (first, found)
        ]
        row["Dice less the first"] = paired_t_interval(*pairs)
    row |= {"images": one["images"], "epochs": one["epochs"]}
    row["minutes"] = sum(report["minutes"] for report in found.values())
    row["budget"] = budget
    return row


def _dice(report: Mapping[str, Any]) -> float:
    return mean_of(report["segmentation"]["dice"]) or 0.0
