"""Semi-MoE against its own supervised baseline, from semi_supervised.json."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tables.markdown import NOTHING, section, show, table
from tables.sources import not_run, read

FILE = "semi_supervised.json"
TITLE = "Semi-MoE: with and without images that have no masks"
COMMAND = "python benchmarks/semi_supervised.py --data DATA/glas --out RUNS"
_SIDES = {"baseline": "supervised only", "method": "semi-supervised"}


def comparisons() -> dict[str, Mapping[str, Any]]:
    """Return what was compared by the share of labels; empty without the file."""
    content = read(FILE) or {}
    found: dict[str, Mapping[str, Any]] = content.get("comparisons", {})
    return {share: one for share, one in found.items() if one.get("seeds")}


def semi_lines() -> list[Sequence[str]]:
    """Return rows for the paper's table: both sides and their difference."""
    command = f"`{(read(FILE) or {}).get('command', COMMAND)}`"
    lines: list[Sequence[str]] = []
    for share, one in comparisons().items():
        figures, seeds = one["test"], len(one["seeds"])
        where = f"glas / test, {_labels(share)}, {seeds} seeds"
        lines += [
            [
                f"ours: semi_moe_lite, {_SIDES[side]} ({one[side]})",
                where,
                _figure(figures, "dice", side),
                _figure(figures, "iou", side),
                f"object F1 {_figure(figures, 'object_f1', side)}",
                NOTHING,
                command,
            ]
            for side in _SIDES
        ]
        difference = figures["dice"]["difference"]
        lines.append(
            [
                "ours: the second less the first",
                where,
                show(difference),
                _figure(figures, "iou", "difference"),
                f"p {show(difference.get('p'))}, paired over seeds",
                NOTHING,
                command,
            ]
        )
    return lines


def semi() -> str:
    """Return the table of all figures, on validation and on test."""
    found = comparisons()
    if not found:
        return section(TITLE, not_run(COMMAND), level=3)
    header = ["labels", "part", "figure", *_SIDES.values(), "difference", "p"]
    lines = [line for share, one in found.items() for line in _all_figures(share, one)]
    told = (
        "Mean over seeds with Student's t interval; differences are paired by seed, the"
        " same labels and start on both sides. The last rows hold the gate's mask"
        " against that of the mask expert alone."
    )
    return section(TITLE, table(header, lines), told, level=3)


def _all_figures(share: str, one: Mapping[str, Any]) -> Iterator[list[str]]:
    for part in ("validation", "test"):
        for name, figure in one[part].items():
            start = [_labels(share), part, name]
            if "difference" in figure:
                sides = [show(figure[side]) for side in (*_SIDES, "difference")]
                yield [*start, *sides, show(figure["difference"].get("p"))]
            else:
                yield [*start, NOTHING, NOTHING, show(figure), show(figure.get("p"))]


def _figure(figures: Mapping[str, Any], name: str, side: str) -> str:
    return show((figures.get(name) or {}).get(side))


def _labels(share: str) -> str:
    return f"{100 * float(share):g} % of the labels"
