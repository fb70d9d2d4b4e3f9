"""What a search may choose from: operations on the edges of a cell. Loads no torch.

Liu et al. 2021, "MixSearch", Tables I and II: 14 edges a cell with seven normal
operations each; the four edges that read input 1 of a down (up) cell have six (four)
operations of their own, which change the resolution.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict

from napari_segmoe.models.genotypes import (
    CELL_NODES,
    DOWN_OPS,
    FIRST_NODE,
    NORMAL_OPS,
    STRIDED_INPUT,
    UP_OPS,
)

# (input, node) of each edge, in the order of the rows of all tables.
EDGES = tuple(
    (source, node)
    for node in range(FIRST_NODE, FIRST_NODE + CELL_NODES)
    for source in range(node)
)
# Rows of the edges that change the resolution in down and up cells: 1, 3, 6, 10.
STRIDED_EDGES = tuple(
    row for row, (source, _) in enumerate(EDGES) if source == STRIDED_INPUT
)
TABLES = ("normal", "down", "up")
NO_OPERATION = "none"

# How many operations the released code drops from each edge between its two stages.
_DROPPED = {"normal": 3, "down": 2, "up": 2}

Operations = tuple[tuple[str, ...], ...]


class SearchSpace(BaseModel):
    """The operations that compete on each of the 14 edges, for the three tables.

    Cells of all kinds read `normal`; on the edges from input 1, down cells read
    `down` instead and up cells `up`, whose other rows are never used.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    normal: Operations = (NORMAL_OPS,) * len(EDGES)
    down: Operations = (DOWN_OPS,) * len(EDGES)
    up: Operations = (UP_OPS,) * len(EDGES)

    def table(self, name: str) -> Operations:
        """Return the operations of "normal", "down" or "up", one row an edge."""
        tables = {"normal": self.normal, "down": self.down, "up": self.up}
        return tables[name]

    def size(self, name: str) -> int:
        """Return how many operations compete on each edge of a table."""
        return len(self.table(name)[0])

    def halved(self, alphas: Mapping[str, ArrayLike]) -> "SearchSpace":
        """Return the space of the second stage: the operations with the best alphas.

        Each edge loses three of seven, two of six, two of four operations, as in the
        released code; what stays keeps its order. At least one stays that connects.

        Parameters
        ----------
        alphas : mapping of str to (14, n) array
            The learned scores of each table, in the order of its operations.
        """
        return SearchSpace(
            **{
                name: tuple(
                    _keep_best(row, scores, _DROPPED[name])
                    for row, scores in zip(
                        self.table(name), np.asarray(alphas[name]), strict=True
                    )
                )
                for name in TABLES
            }
        )


def table_of(kind: str, row: int) -> str:
    """Return the table that a cell of a kind reads on an edge."""
    return kind if kind != "normal" and row in STRIDED_EDGES else "normal"


def used_rows(table: str) -> tuple[int, ...]:
    """Return the rows of a table that some cell reads."""
    return tuple(range(len(EDGES))) if table == "normal" else STRIDED_EDGES


def softmax(scores: ArrayLike) -> NDArray[np.float64]:
    """Return the softmax over the last axis."""
    values = np.asarray(scores, np.float64)
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _keep_best(
    operations: tuple[str, ...], scores: NDArray, dropped: int
) -> tuple[str, ...]:
    count = max(len(operations) - dropped, 2 if NO_OPERATION in operations else 1)
    order = sorted(range(len(operations)), key=lambda i: (-float(scores[i]), i))
    kept = sorted(order[:count])
    return tuple(operations[i] for i in kept)
