"""What an evaluation shows: figures with intervals, a row an image, differences."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_segmoe.errors import AnnotationFileError

Figure = Mapping[str, float | None]
FIGURES = {
    "dice": "Dice",
    "iou": "IoU",
    "pq": "PQ",
    "sq": "SQ",
    "rq": "RQ",
    "aji": "AJI",
    "hd95": "HD95 px",
    "hd95_um": "HD95 µm",
    "object_f1": "Object F1",
    "object_dice": "Object Dice",
}
FEWER_IS_BETTER = frozenset({"hd95", "hd95_um"})
AGAINST = " (against)"


@dataclass(frozen=True, slots=True)
class EvaluationTable:
    """One evaluation, ready to be shown.

    Attributes
    ----------
    title : str
    figures : mapping of str to Figure
        Mean over images, with its 95 % interval.
    rows : tuple of mapping
        A row an image: "name" and its figures.
    notes : tuple of str
        What should be known beside the figures.
    classes : tuple of (str, str)
        Name and words, a line a class.
    names : (str, str)
        Of the two versions that were compared.
    against : mapping of str to Figure
        The figures of the other version; empty where none was asked for.
    differences : mapping of str to mapping
        The first less the other: "mean", "low", "high", "p".
    """

    title: str
    figures: Mapping[str, Figure]
    rows: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...] = ()
    classes: tuple[tuple[str, str], ...] = ()
    names: tuple[str, str] = ("", "")
    against: Mapping[str, Figure] = field(default_factory=dict)
    differences: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)

    @property
    def shown(self) -> tuple[str, ...]:
        """The figures that are defined, in their order."""
        return tuple(
            name
            for name in FIGURES
            if self.figures.get(name, {}).get("mean") is not None
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the rows, the name first."""
        names = ("name", *FIGURES, "objects", "objects_found")
        both = (*names, *(f"{name}{AGAINST}" for name in FIGURES))
        return tuple(
            name for name in both if any(row.get(name) is not None for row in self.rows)
        )

    def write_csv(self, path: Path) -> None:
        """Write all rows with all their figures.

        Raises
        ------
        AnnotationFileError
            If the file cannot be written.
        """
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        partial = path.with_name(f".{path.name}.partial")
        try:
            with partial.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, names, restval="")
                writer.writeheader()
                for row in self.rows:
                    writer.writerow(
                        {key: "" if one is None else one for key, one in row.items()}
                    )
            partial.replace(path)
        except OSError as error:
            raise AnnotationFileError(
                f"{path.name} cannot be written ({error.strerror}). Choose another."
            ) from error


def table_of_report(report: Mapping[str, Any]) -> EvaluationTable:
    """Return the table of a report of `segmoe evaluate --per-image`, or of two."""
    if "difference" not in report:
        return EvaluationTable(
            f"{report['weights']} on {report['data']} ({report['split']})",
            _figures(report),
            tuple(report.get("images", ())),
            notes=tuple(_notes(report)),
            classes=tuple(_classes(report)),
        )
    first, second = report["weights"], report["against"]
    return EvaluationTable(
        f"{first['weights']} against {second['weights']} on {first['data']}"
        f" ({first['split']})",
        _figures(first),
        tuple(_join(first.get("images", ()), second.get("images", ()))),
        notes=tuple(_notes(first)),
        classes=tuple(_classes(first)),
        names=(str(first["weights"]), str(second["weights"])),
        against=_figures(second),
        differences=report["difference"],
    )


def _figures(report: Mapping[str, Any]) -> dict[str, Figure]:
    found = report["segmentation"]
    return {name: found[name] for name in FIGURES if isinstance(found.get(name), dict)}


def _join(
    first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]
) -> Iterable[dict[str, Any]]:
    others = {row["name"]: row for row in second}
    for row in first:
        other = others.get(row["name"], {})
        yield {**row, **{f"{name}{AGAINST}": other.get(name) for name in FIGURES}}


def _notes(report: Mapping[str, Any]) -> Iterable[str]:
    count = report["n"]
    yield f"{count} image" if count == 1 else f"{count} images"
    if report.get("n_normal"):
        marked = report["normal_images_marked"]["mean"]
        yield (
            f"{report['n_normal']} of them without an object, of which"
            f" {marked:.0%} were marked; they are in no mean."
        )
    if report.get("leaky_groups"):
        yield (
            f"{report['leaky_groups']} patients occur in other splits too: figures of"
            " classes flatter."
        )


def _classes(report: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    known = report.get("classification")
    if known:
        for key, words in (("accuracy", "accuracy"), ("f1", "F1"), ("auc", "AUC")):
            figure = known.get(key) or {}
            if figure.get("mean") is not None:
                yield f"Image class {words}", say_figure(figure)
    for name, found in ((report.get("mask_classes") or {}).get("dice") or {}).items():
        if isinstance(found, dict) and found.get("mean") is not None:
            yield f"{name} Dice", say_figure(found)


def say_figure(figure: Figure, *, digits: int = 3) -> str:
    """Return a figure with its interval in words."""
    mean, low, high = (figure.get(key) for key in ("mean", "low", "high"))
    if mean is None:
        return "not defined"
    if low is None or high is None or low == high:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ({low:.{digits - 1}f}-{high:.{digits - 1}f})"
