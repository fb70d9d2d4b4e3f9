"""Who was asked, and how much: matrices of weights that hold for the whole image."""

import re
from dataclasses import dataclass

import numpy as np

from napari_segmoe.inference.explanations.canvas import SHARES, Canvas
from napari_segmoe.models.outputs import Routing
from napari_segmoe.types import Explanation, ExplanationGroup

_DECODER_LEVEL = re.compile(r"D\d+")
_TASKS = frozenset(("mask", "segmentation", "distance", "sdf", "boundary"))


@dataclass(frozen=True, slots=True)
class _Words:
    """What a matrix of routing is called."""

    name: str
    description: str


_UPA = _Words(
    "Task weights (UPA), level x task",
    "How far each decoder level follows what segmentation and classification tell"
    " each other; one number per image, not per pixel, each row sums to 1.",
)
_BY_TASK = _Words(
    "Routing, task x expert",
    "How much each task (row) relies on each expert (column); one number per image,"
    " not per pixel, each row sums to 1.",
)
_BY_STAGE = _Words(
    "Routing, stage x expert",
    "How much each stage (row) relies on each expert (column), 0 where an expert was"
    " not asked; one number per image, not per pixel, each row sums to 1.",
)


def explain_routing(canvas: Canvas) -> list[Explanation]:
    """Return one matrix for all stages that share their experts."""
    tables: dict[tuple[str, ...], list[Routing]] = {}
    for routing in canvas.answer.output.routing:
        tables.setdefault(routing.experts, []).append(routing)
    return [
        _table(rows, number if len(tables) > 1 else None)
        for number, rows in enumerate(tables.values(), start=1)
    ]


def _table(rows: list[Routing], number: int | None) -> Explanation:
    stages = tuple(row.stage for row in rows)
    words = _words(stages, rows[0].experts)
    values = np.stack([row.weights[0].float().cpu().numpy() for row in rows])
    return Explanation(
        kind="table",
        name=words.name,
        values=values.astype(np.float32),
        labels=rows[0].experts,
        value_range=SHARES,
        description=words.description,
        key="routing" if number is None else f"routing/{number}",
        group=ExplanationGroup.ROUTING,
        row_labels=stages,
        colormap="Blues",
    )


def _words(stages: tuple[str, ...], experts: tuple[str, ...]) -> _Words:
    if "classification" in experts and all(map(_DECODER_LEVEL.fullmatch, stages)):
        return _UPA
    if _TASKS.issuperset(stages):
        return _BY_TASK
    return _BY_STAGE
