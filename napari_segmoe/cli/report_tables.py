"""Show the reports of scoring commands: as a file, as JSON, as a table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_segmoe.cli import console
from napari_segmoe.cli.files import write_report

_INTERVAL = {"mean", "low", "high"}


def hand_out(
    report: dict[str, Any], out: Path | None, as_json: bool, *, title: str
) -> None:
    """Write a report to its file, and show it as JSON or as a table."""
    if out is not None:
        write_report(out, report)
    if as_json:
        console.show_json(report)
        return
    shown = {key: value for key, value in report.items() if key != "images"}
    console.show_table(title, ("figure", "value"), flatten(shown))


def hand_out_comparison(
    report: dict[str, Any], out: Path | None, as_json: bool, *, title: str
) -> None:
    """Do the same with two reports and their differences, side by side."""
    if out is not None:
        write_report(out, report)
    if as_json:
        console.show_json(report)
        return
    first, second = report["weights"], report["against"]
    columns = ("figure", first["weights"], second["weights"], "difference", "p")
    rows = [
        (name, *_three(first["segmentation"], second["segmentation"], found, name))
        for name, found in report["difference"].items()
        if name in first["segmentation"]
    ]
    accuracy = report["difference"].get("accuracy")
    if accuracy and first["classification"] and second["classification"]:
        both = first["classification"], second["classification"]
        rows.append(("class accuracy", *_three(*both, accuracy, "accuracy")))
    rows += [
        (f"pooled {name}", *_three(first["pooled"], second["pooled"], found, name))
        for name, found in report["pooled_difference"].items()
    ]
    console.show_table(title, columns, rows)


def flatten(report: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return the rows (name, value) of a nested report."""
    rows = []
    for key, value in report.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and set(value) == _INTERVAL:
            rows.append((name, show_interval(value)))
        elif isinstance(value, Mapping):
            rows.extend(flatten(value, f"{name}."))
        else:
            rows.append((name, _show(value)))
    return rows


def show_interval(value: Mapping[str, float | None]) -> str:
    """Return "mean [low, high]", or "-" where it is undefined."""
    if value["mean"] is None:
        return "-"
    return f"{value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def _three(
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    found: Mapping[str, Any],
    name: str,
) -> tuple[str, str, str, str]:
    p = found.get("p")
    return (
        show_interval(first[name]),
        show_interval(second[name]),
        show_interval(found),
        "-" if p is None else f"{p:.2g}",
    )


def _show(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_show(one) for one in value) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
