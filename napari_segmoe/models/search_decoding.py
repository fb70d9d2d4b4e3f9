"""From the scores of a search to a genotype, and genotypes at random. Loads no torch.

Liu et al. 2021, "MixSearch", section III.C: of each edge the best operation, of each
node the two best edges.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_segmoe.models.genotype_trace import GenotypeTrace, RankedEdge
from napari_segmoe.models.genotypes import (
    CELL_KINDS,
    CELL_NODES,
    EDGES_PER_NODE,
    FIRST_NODE,
    Cell,
    Genotype,
)
from napari_segmoe.models.search_space import (
    EDGES,
    NO_OPERATION,
    TABLES,
    SearchSpace,
    softmax,
    table_of,
    used_rows,
)

Weights = Mapping[str, NDArray[np.float64]]


def decode_genotype(
    space: SearchSpace,
    alphas: Mapping[str, ArrayLike],
    *,
    name: str,
    title: str = "",
    edge_weights: Mapping[str, ArrayLike] | None = None,
    **trace: Any,
) -> Genotype:
    """Return the genotype that the scores of a search stand for, with its trace.

    "none" competes in the softmax and is never chosen. Where the tables of a cell
    differ in size, weights of the smaller one are multiplied by n_small / n_large
    before edges are ranked, since fewer operations share a sum of 1.

    Parameters
    ----------
    space : SearchSpace
        The operations that competed.
    alphas : mapping of str to (14, n) array
        Scores of the tables "normal", "down" and "up".
    name, title : str
        Of the genotype.
    edge_weights : mapping of str to (14,) array, optional
        Edge normalisation's weights, by kind of cell; they multiply the rank.
    **trace
        More fields of `GenotypeTrace`.
    """
    weights = {table: softmax(alphas[table]) for table in TABLES}
    edges = {
        kind: _rank_edges(space, weights, kind, edge_weights) for kind in CELL_KINDS
    }
    cells = {kind: _cell(ranked) for kind, ranked in edges.items()}
    return Genotype(
        name=name, title=title, **cells, trace=GenotypeTrace(**edges, **trace)
    )


def random_genotype(rng: np.random.Generator, *, name: str) -> Genotype:
    """Return a genotype drawn evenly from the space: the judge of every search.

    Each node reads two different inputs, each by an operation that may stand there.
    """
    space = SearchSpace()
    cells: dict[str, Cell] = {}
    for kind in CELL_KINDS:
        nodes = []
        for node in range(FIRST_NODE, FIRST_NODE + CELL_NODES):
            sources = rng.choice(node, size=EDGES_PER_NODE, replace=False)
            nodes.append(
                tuple(
                    (_draw_operation(space, kind, int(source), node, rng), int(source))
                    for source in sources
                )
            )
        cells[kind] = tuple(nodes)
    return Genotype(name=name, title="Drawn at random", **cells)


def mean_entropies(alphas: Mapping[str, ArrayLike]) -> dict[str, float]:
    """Return the mean entropy of each table's rows over its largest value, log n.

    1 says that the search has no preference yet, 0 that one operation has all weight.
    """
    found = {}
    for table in TABLES:
        weights = softmax(alphas[table])[list(used_rows(table))]
        count = weights.shape[-1]
        entropy = -(weights * np.log(np.maximum(weights, 1e-12))).sum(axis=-1)
        found[table] = float(entropy.mean() / np.log(count)) if count > 1 else 0.0
    return found


def _rank_edges(
    space: SearchSpace,
    weights: Weights,
    kind: str,
    edge_weights: Mapping[str, ArrayLike] | None,
) -> tuple[RankedEdge, ...]:
    factors = np.ones(len(EDGES))
    if edge_weights is not None:
        factors = np.asarray(edge_weights[kind], np.float64)
    largest = max(space.size("normal"), space.size(kind))
    found = []
    for row, (source, node) in enumerate(EDGES):
        table = table_of(kind, row)
        ranked = _rank_operations(space.table(table)[row], weights[table][row])
        best = max(weight for op, weight in ranked if op != NO_OPERATION)
        score = best * space.size(table) / largest * factors[row]
        found.append((source, node, ranked, float(score)))
    kept = _best_edges([(source, node, score) for source, node, _, score in found])
    return tuple(
        RankedEdge(
            source=source,
            node=node,
            operations=ranked,
            score=score,
            kept=(source, node) in kept,
        )
        for source, node, ranked, score in found
    )


def _rank_operations(
    operations: tuple[str, ...], weights: NDArray[np.float64]
) -> tuple[tuple[str, float], ...]:
    order = sorted(range(len(operations)), key=lambda i: (-weights[i], i))
    return tuple((operations[i], float(weights[i])) for i in order)


def _best_edges(edges: list[tuple[int, int, float]]) -> set[tuple[int, int]]:
    kept: set[tuple[int, int]] = set()
    for node in range(FIRST_NODE, FIRST_NODE + CELL_NODES):
        of_node = [edge for edge in edges if edge[1] == node]
        of_node.sort(key=lambda edge: (-edge[2], edge[0]))
        kept |= {(source, node) for source, _, _ in of_node[:EDGES_PER_NODE]}
    return kept


def _cell(ranked: tuple[RankedEdge, ...]) -> Cell:
    """Return the kept edges of each node, the weightier first."""
    nodes = []
    for node in range(FIRST_NODE, FIRST_NODE + CELL_NODES):
        kept = [edge for edge in ranked if edge.node == node and edge.kept]
        kept.sort(key=lambda edge: (-edge.score, edge.source))
        nodes.append(tuple((_best_operation(edge), edge.source) for edge in kept))
    return tuple(nodes)


def _best_operation(edge: RankedEdge) -> str:
    return next(op for op, _ in edge.operations if op != NO_OPERATION)


def _draw_operation(
    space: SearchSpace, kind: str, source: int, node: int, rng: np.random.Generator
) -> str:
    row = EDGES.index((source, node))
    operations = [
        op for op in space.table(table_of(kind, row))[row] if op != NO_OPERATION
    ]
    return operations[int(rng.integers(len(operations)))]
