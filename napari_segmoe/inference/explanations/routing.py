"""Who was asked, and how much: matrices of weights that hold for the whole image."""

import re
from dataclasses import dataclass

import numpy as np

from napari_segmoe.inference.explanations.canvas import SHARES, Canvas
from napari_segmoe.types import Explanation, ExplanationGroup

_DECODER_LEVEL = re.compile(r"D\d+")
_CELL = re.compile(r"cell \d+_\d+")
_TASKS = frozenset(("mask", "distance", "boundary"))


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


_BY_NODE = _Words(
    "Branch weights, node x cell",
    "How much each node of the lattice (row) takes from each incoming cell (column),"
    " 0 where it has no such cell; learned, the same for every image and place.",
)


def explain_routing(canvas: Canvas) -> list[Explanation]:
    """Return one matrix of all stages (rows) and experts (columns).

    It is 0 where a stage does not have an expert.
    """
    rows = canvas.answer.output.routing
    if not rows:
        return []
    experts = tuple(dict.fromkeys(name for row in rows for name in row.experts))
    stages = tuple(row.stage for row in rows)
    values = np.zeros((len(stages), len(experts)), np.float32)
    for number, row in enumerate(rows):
        columns = [experts.index(name) for name in row.experts]
        values[number, columns] = row.weights[0].float().cpu().numpy()
    words = _words(stages, experts)
    return [
        Explanation(
            kind="table",
            name=words.name,
            values=values,
            labels=experts,
            value_range=SHARES,
            description=words.description,
            key="routing",
            group=ExplanationGroup.ROUTING,
            row_labels=stages,
            colormap="Blues",
        )
    ]


def _words(stages: tuple[str, ...], experts: tuple[str, ...]) -> _Words:
    if "classification" in experts and all(map(_DECODER_LEVEL.fullmatch, stages)):
        return _UPA
    if all(map(_CELL.fullmatch, stages)):
        return _BY_NODE
    if _TASKS.issuperset(stages):
        return _BY_TASK
    return _BY_STAGE
