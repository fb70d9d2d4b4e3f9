"""What parallel branches add: dilations, CNN against Swin."""

import re

import numpy as np
from torch import Tensor

from napari_segmoe.inference.explanations.canvas import (
    SHARES,
    SIGNED,
    Canvas,
    leading,
    make_map,
    up_to,
)
from napari_segmoe.inference.explanations.tasks import is_task_change
from napari_segmoe.types import Explanation, ExplanationGroup

_GROUP = ExplanationGroup.BRANCHES
_HMSF_BLOCK = re.compile(r"[ED]\d+")
_HMSF_DILATIONS = ("dilation 1", "dilation 2", "dilation 4")


def explain_branches(canvas: Canvas) -> list[Explanation]:
    """Return scale weights, balances, changes and the energies of branches."""
    return [
        *_scales(canvas),
        *_balances(canvas),
        *_changes(canvas),
        *_preferences(canvas),
    ]


def _scales(canvas: Canvas) -> list[Explanation]:
    blocks = dict(canvas.traces("scales"))
    if not blocks:
        return []
    values = np.stack([row[0].float().cpu().numpy() for row in blocks.values()])
    count = values.shape[1]
    is_hmsf = count == len(_HMSF_DILATIONS) and all(map(_HMSF_BLOCK.fullmatch, blocks))
    numbered = tuple(f"scale {number}" for number in range(1, count + 1))
    return [
        Explanation(
            kind="table",
            name="Scale weights (HMSF)" if is_hmsf else "Scale weights",
            values=values.astype(np.float32),
            labels=_HMSF_DILATIONS if is_hmsf else numbered,
            value_range=SHARES,
            description=(
                "How much each block (row) looks near by or further around (dilation);"
                " one number per image, not per pixel, each row sums to 1."
            ),
            key="scales",
            group=_GROUP,
            row_labels=tuple(blocks),
            colormap="Blues",
        )
    ]


def _balances(canvas: Canvas) -> list[Explanation]:
    return [
        make_map(
            f"balance/{place}",
            f"CNN against Swin {place}",
            canvas.paint(canvas.on_grid(trace)),
            value_range=SIGNED,
            group=_GROUP,
            colormap="PuOr",
            description=(
                f"Which branch of level {place} responds more at each place: above 0"
                " the CNN with its local detail, below 0 the Swin transformer with its"
                " wide view."
            ),
        )
        for place, trace in canvas.traces("balance")
    ]


def _changes(canvas: Canvas) -> list[Explanation]:
    return [
        canvas.strength(
            f"change/{place}",
            f"Change by {place}",
            trace,
            group=_GROUP,
            description=f"How much {place} changed the features at each place.",
        )
        for place, trace in canvas.traces("change")
        if not is_task_change(place)
    ]


def _preferences(canvas: Canvas) -> list[Explanation]:
    places: dict[str, dict[str, Tensor]] = {}
    for rest, trace in canvas.traces("branch"):
        place, _, name = rest.rpartition("/")
        places.setdefault(place, {})[name] = trace
    found = []
    for place, branches in places.items():
        found += _energies(canvas, place, branches)
    return found


def _energies(
    canvas: Canvas, place: str, branches: dict[str, Tensor]
) -> list[Explanation]:
    maps = {
        name: canvas.paint(canvas.on_grid(trace)) for name, trace in branches.items()
    }
    largest = up_to(*maps.values())
    found = [
        leading(
            maps,
            key=f"preference/{place}",
            name=f"Preferred branch {place}",
            group=_GROUP,
            description=(
                f"The branch of {place} that responds most at each place: a wider"
                " dilation looks further around."
            ),
        )
    ]
    found += [
        make_map(
            f"branch/{place}/{name}",
            f"{place}, {name}",
            values,
            value_range=largest,
            group=_GROUP,
            description=f"How strongly the branch {name} of {place} responds.",
        )
        for name, values in maps.items()
    ]
    return found
