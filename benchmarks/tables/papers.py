"""One table a paper: its figures beside ours, with data, cost and command.

The papers' figures are those that they print (mean and deviation over their folds);
their splits are not ours, so a row says what it was measured on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tables.ablations import rows_of, search_rows
from tables.costs import cost_of, shipped_cards
from tables.markdown import NOTHING, look, section, show, table
from tables.semi import semi_lines
from tables.sources import reports_of

HEADER = ("network", "data and split", "Dice", "IoU", "more", "cost", "command")
Line = Sequence[str]


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper, what it prints, and where our figures come from.

    Attributes
    ----------
    title, told : str
        Heading, and what a reader must know to compare.
    printed : tuple
        Rows (network, data, Dice, IoU, more) of the paper, in per cent.
    weights : tuple of str
        Starter weights that are its network.
    more : callable
        Rows of our other experiments.
    """

    title: str
    printed: tuple[tuple[str, str, str, str, str], ...]
    weights: tuple[str, ...]
    told: str
    more: Callable[[], list[Line]]

    def render(self) -> str:
        """Return the section."""
        lines: list[Line] = [
            [f"paper: {name}", data, dice, iou, more, NOTHING, NOTHING]
            for name, data, dice, iou, more in self.printed
        ]
        for name in self.weights:
            lines += _shipped(name)
        lines += self.more()
        return section(self.title, table(HEADER, lines), self.told, level=3)


def _shipped(name: str) -> list[Line]:
    """Return a row for each report of starter weights."""
    command = f"`segmoe evaluate --data DATA --weights {name}`"
    card = shipped_cards().get(name)
    found = reports_of(name)
    if card is None or not found:
        made = f"`python benchmarks/train_{name}.py`"
        return [[f"ours: {name}", "not run yet", *[NOTHING] * 4, made]]
    return [
        [
            f"ours: {card.model} (`{name}`)",
            f"{one['data']} / {one['split']}, n = {one['n']}",
            show(look("segmentation", "dice")(one)),
            show(look("segmentation", "iou")(one)),
            _more(one),
            cost_of(card),
            command,
        ]
        for one in found
    ]


def _more(report: Mapping[str, Any]) -> str:
    figures = {
        "object F1": look("pooled", "object_f1")(report),
        "accuracy": look("classification", "accuracy")(report),
        "AUC": look("classification", "auc")(report),
        "F1": look("classification", "f1")(report),
        "mean IoU of classes": look("mask_classes", "iou_mean")(report),
    }
    told = [f"{name} {show(value)}" for name, value in figures.items() if value]
    if report.get("leaky_groups"):
        told.append(f"patients on both sides: {report['leaky_groups']}")
    if "classified_images" in report:
        told.append(f"classes: {report['classified_images']} images of unseen patients")
    return "; ".join(told) or NOTHING


def _ablation(file: str, command: str) -> Callable[[], list[Line]]:
    """Return what makes rows of a file of ablations."""

    def lines() -> list[Line]:
        return [
            [
                f"ours: {row['name']}",
                row["data"],
                row["dice"],
                row["iou"],
                row["more"],
                row["cost"],
                f"`{command}`",
            ]
            for row in rows_of(file)
        ]

    return lines


def _search() -> list[Line]:
    command = "`python benchmarks/search.py --data DATA --out RUN`"
    return [
        [f"ours: {name}", data, dice, NOTHING, more, cost, command]
        for name, data, dice, more, cost in search_rows()
    ]


PAPERS = (
    Paper(
        "UTANet",
        (
            ("U-Net", "GlaS, 5 folds", "85.45 ± 1.26", "74.48 ± 1.66", ""),
            ("R34UNet", "GlaS, 5 folds", "91.14 ± 0.32", "84.41 ± 0.48", ""),
            ("UTANet", "GlaS, 5 folds", "92.00 ± 0.30", "85.83 ± 0.42", "24.2 M"),
            ("UTANet", "MoNuSeg, 5 folds", "79.10 ± 0.49", "65.79 ± 0.62", ""),
            ("UTANet", "ISIC 2016, 5 folds", "91.63 ± 0.04", "85.41 ± 0.07", ""),
        ),
        ("glands_routing",),
        "The paper's folds are not published; ours is the challenge's own split, of"
        " which testB is the harder part. Images are squeezed to 224 px in the paper,"
        " and seen at 1.0 um a pixel here.",
        _ablation(
            "ablations.utanet.json",
            "python benchmarks/ablate_utanet.py --data DATA/glas --run RUN",
        ),
    ),
    Paper(
        "decoder_interaction",
        (
            ("U-Net", "BUSI, 15 %", "80.05", "66.80", "accuracy 86.50, F1 84.70"),
            ("proposed", "BUSI, 15 %", "85.25", "74.50", "accuracy 90.60, F1 89.84"),
            ("proposed", "BUSI-WHU", "92.70", "86.40", "accuracy 95.00, F1 94.74"),
        ),
        ("breast_ultrasound",),
        "The paper's Dice is computed from its pooled IoU, and its split may have"
        " near-duplicate images on both sides; ours never has, is by group, and its"
        " Dice is the mean of images.",
        _ablation(
            "ablations.decoder_interaction.json",
            "python benchmarks/ablate_decoder_interaction.py --data DATA/busi"
            " --out RUNS",
        ),
    ),
    Paper(
        "Semi-MoE",
        (
            (
                "Semi-MoE",
                "GlaS and CRAG",
                NOTHING,
                NOTHING,
                "no figures at hand: neither code nor public pages give its tables",
            ),
        ),
        ("glands",),
        "So the network is held against its own supervised baseline on the same"
        " labels. `glands` learned from all labels by the recipe `multitask`.",
        semi_lines,
    ),
    Paper(
        "ResFormer",
        (
            (
                "parallel",
                "RETOUCH Cirrus",
                "83.4",
                "73.9",
                "accuracy 99.0, sensitivity 98.3, specificity 99.3",
            ),
            (
                "parallel",
                "RETOUCH Spectralis",
                "81.4",
                "71.6",
                "accuracy 97.7, sensitivity 96.0, specificity 98.6",
            ),
            ("parallel", "RETOUCH Topcon", "76.9", "65.7", "accuracy 97.9"),
            ("sequential", "ISIC 2017", "86.6", "78.6", "accuracy 84.6"),
        ),
        ("oct_lesions",),
        "RETOUCH may not be passed on and is not at hand: ours are the lesions of"
        " Kermany's OCT scans, other classes on other images.",
        _ablation(
            "ablations.resformer.json",
            "python benchmarks/ablate_resformer.py --data DATA/oct_kermany_lesions"
            " --out RUNS",
        ),
    ),
    Paper(
        "MixSearch",
        (
            ("U-Net", "CVC-ClinicDB, 10 %", "90.13", "82.29", "34.5 M"),
            ("mix k2 μ 0.5", "CVC-ClinicDB, 10 %", "93.00", "87.00", "12.8 M"),
            ("mix k3 μ 1", "ISIC 2018, 10 %", "90.07", "82.68", "9.5 M"),
            ("mix k2 μ 0.5", "CHAOS-CT, 10 %", "95.79", "92.03", "12.8 M"),
        ),
        ("nuclei",),
        "The paper's splits are random images, ours are by group (frames of one video"
        " stay together). Searched, random and U-Net are trained alike, on two cores.",
        _search,
    ),
)


def papers() -> str:
    """Return the tables of all papers."""
    told = (
        "The papers' figures are in per cent, with the deviation over folds where they"
        " print one; ours are fractions with a 95 % interval: bootstrap over groups of"
        " test images, or Student's t over seeds where a row says so."
    )
    tables = "\n\n".join(paper.render() for paper in PAPERS)
    return section("Beside the papers", told, tables)
