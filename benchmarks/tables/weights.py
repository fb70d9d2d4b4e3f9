"""The starter weights: what they are for, how good, how large, at what cost."""

from collections.abc import Mapping
from typing import Any

from napari_segmoe.models.card import WeightsCard, list_weights
from tables.costs import cost_of, shipped_cards
from tables.markdown import NOTHING, mean_of, section, show, table
from tables.sources import reports

NAMES = ("breast_ultrasound", "glands", "glands_routing", "oct_lesions", "nuclei")
_MEGA = 1e6


def starter() -> str:
    """Return a row for each of the weights of the package, and those to come."""
    sizes = {name: path.stat().st_size / _MEGA for name, path in list_weights()}
    cards = shipped_cards()
    rows = [_row(cards[name], sizes[name]) for name in sorted(cards)]
    rows += [
        [name, f"not shipped yet: `benchmarks/train_{name}.py`", *[NOTHING] * 8]
        for name in NAMES
        if name not in cards
    ]
    header = [
        "weights",
        "network",
        "MB",
        "trained on",
        "samples x epochs",
        "tested on",
        "Dice",
        "object F1, pooled",
        "IoU after 1 click",
        "class accuracy",
    ]
    return section("Starter weights", table(header, rows))


def _row(card: WeightsCard, size_mb: float) -> list[str]:
    evaluated = _by_data(card.name, "evaluate")
    clicked = _by_data(card.name, "clicks")
    places = list(dict.fromkeys([*evaluated, *clicked]))
    return [
        card.name,
        card.model,
        f"{size_mb:.1f}",
        str(card.data.get("folder", NOTHING)),
        cost_of(card),
        "<br>".join(places) or NOTHING,
        _lines(places, evaluated, "segmentation", "dice"),
        _lines(places, evaluated, "pooled", "object_f1"),
        _lines(places, clicked, "intervals", "iou_at", "1"),
        _lines(places, evaluated, "classification", "accuracy"),
    ]


def _by_data(name: str, kind: str) -> dict[str, Mapping[str, Any]]:
    return {
        f"{one['data']} / {one['split']}": one
        for one in reports(kind).values()
        if one.get("weights") == name
    }


def _lines(
    places: list[str], found: Mapping[str, Mapping[str, Any]], *keys: str
) -> str:
    """Return a line a data set, without intervals: those stand in the next table."""
    told = []
    for place in places:
        value: Any = found.get(place)
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        told.append(show(mean_of(value)))
    return "<br>".join(told) or NOTHING
