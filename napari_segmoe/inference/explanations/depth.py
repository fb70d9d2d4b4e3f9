"""What earlier outputs and single cells of a deep network add."""

import numpy as np
from torch import Tensor

from napari_segmoe.inference.explanations.canvas import (
    SHARES,
    Canvas,
    make_map,
    up_to,
)
from napari_segmoe.models.outputs import foreground_scores
from napari_segmoe.types import Explanation, ExplanationGroup

_GROUP = ExplanationGroup.DEPTH
_DIRECTIONS = {
    "down": "the finer map above it",
    "normal": "its own depth",
    "up": "the coarser map below it",
}


def explain_depth(canvas: Canvas) -> list[Explanation]:
    """Return outputs of deep supervision, their disagreement, and cell energies."""
    return [*_outputs(canvas), *_cells(canvas)]


def _outputs(canvas: Canvas) -> list[Explanation]:
    """Return what each earlier output marks, and how far they lie apart.

    Where experts speak for themselves (``expert_outputs``), there are no earlier ones.
    """
    output = canvas.answer.output
    if not output.auxiliary or output.expert_outputs:
        return []
    earlier = [
        canvas.on_grid(foreground_scores(one[:1]).sigmoid()) for one in output.auxiliary
    ]
    final = canvas.on_grid(foreground_scores(output.logits[:1]).sigmoid())
    stack = np.stack([*earlier, final])
    found = [
        make_map(
            "depth/disagreement",
            "Disagreement of outputs",
            canvas.paint(stack.max(axis=0) - stack.min(axis=0)),
            value_range=SHARES,
            group=_GROUP,
            colormap="inferno",
            description=(
                "Where depth mattered: largest difference between the mask"
                " probabilities of the network's earlier outputs and its last one."
            ),
        )
    ]
    found += [
        make_map(
            f"depth/output {number}",
            f"Earlier output {number}",
            canvas.paint(values),
            value_range=SHARES,
            group=_GROUP,
            colormap="viridis",
            description=(
                f"Mask probability of earlier output {number} of {len(earlier)}, which"
                " the last output refines."
            ),
        )
        for number, values in enumerate(earlier, start=1)
    ]
    return found


def _cells(canvas: Canvas) -> list[Explanation]:
    nodes: dict[str, dict[str, Tensor]] = {}
    for rest, trace in canvas.traces("cell"):
        node, _, direction = rest.rpartition("/")
        nodes.setdefault(node, {})[direction] = trace
    if not nodes:
        return []
    found = [_shares(nodes)]
    for node, cells in nodes.items():
        found += _energies(canvas, node, cells)
    return found


def _shares(nodes: dict[str, dict[str, Tensor]]) -> Explanation:
    """Tabulate which incoming cell each node lives on."""
    values = np.zeros((len(nodes), len(_DIRECTIONS)), np.float32)
    for row, cells in enumerate(nodes.values()):
        for column, direction in enumerate(_DIRECTIONS):
            if direction in cells:
                values[row, column] = float(cells[direction][0].float().mean())
    totals = values.sum(axis=1, keepdims=True)
    return Explanation(
        kind="table",
        name="Cell energies, node x cell",
        values=np.divide(values, totals, out=np.zeros_like(values), where=totals > 0),
        labels=tuple(_DIRECTIONS),
        value_range=SHARES,
        description=(
            "Share of each incoming cell (column) in the mean strength at each node"
            " (row, layer_depth) of the lattice; one number per image, not per pixel."
        ),
        key="cells",
        group=_GROUP,
        row_labels=tuple(nodes),
        colormap="Blues",
    )


def _energies(canvas: Canvas, node: str, cells: dict[str, Tensor]) -> list[Explanation]:
    maps = {name: canvas.paint(canvas.on_grid(trace)) for name, trace in cells.items()}
    largest = up_to(*maps.values())
    return [
        make_map(
            f"cell/{node}/{direction}",
            f"Cell {node}, {direction}",
            values,
            value_range=largest,
            group=_GROUP,
            description=(
                f"How strongly node {node} (layer_depth) of the lattice is fed from"
                f" {_DIRECTIONS.get(direction, direction)} at each place."
            ),
        )
        for direction, values in maps.items()
    ]
