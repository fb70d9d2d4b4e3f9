"""The cell of a super-network: on each edge all operations, weighed (DARTS).

Eq. (6) of Liu et al. 2021, "MixSearch": an edge gives the sum of its operations'
outputs, weighed by the softmax of its alphas; a node adds its edges. Options from
Xu et al. 2020, "PC-DARTS": partial channels and edge normalisation.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segmoe.models.genotypes import CELL_NODES, FIRST_NODE, STRIDED_INPUT
from napari_segmoe.models.parallel_operations import build_parallel
from napari_segmoe.models.search_operations import ChannelShuffle, group_norm
from napari_segmoe.models.search_space import (
    EDGES,
    NO_OPERATION,
    Operations,
    SearchSpace,
    table_of,
)

_LAST_NODE = FIRST_NODE + CELL_NODES - 1


class MixedSource(nn.Module):
    """All mixed edges that leave one input of a cell.

    Parameters
    ----------
    source : int
        The input: 0, 1 or an earlier node.
    operations : Operations
        Of all 14 edges; only the rows of ``source`` are read.
    channels : int
        Channels C.
    scale : str
        "down", "normal" or "up": what the operations do to the resolution.
    partial_channels : int
        Of P > 1, only C / P channels go through the operations; the others pass by
        (pooled or repeated where the resolution changes), and channels are shuffled.
    """

    def __init__(
        self,
        source: int,
        operations: Operations,
        *,
        channels: int,
        scale: str,
        partial_channels: int = 1,
    ) -> None:
        super().__init__()
        self.rows = [row for row, (start, _) in enumerate(EDGES) if start == source]
        self.scale = scale
        self.width = channels // partial_channels
        self.operations = nn.ModuleDict()
        self.places: dict[str, tuple[tuple[int, int], ...]] = {}
        for name in sorted({op for row in self.rows for op in operations[row]}):
            if name == NO_OPERATION:
                continue
            # (edge among this input's, column in the table)
            places = tuple(
                (edge, operations[row].index(name))
                for edge, row in enumerate(self.rows)
                if name in operations[row]
            )
            self.places[name] = places
            self.operations[name] = build_parallel(name, self.width, len(places))
        self.shuffle = (
            ChannelShuffle(partial_channels) if partial_channels > 1 else None
        )

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Return what each edge gives, (B, E, C, h', w').

        Parameters
        ----------
        x : Tensor, (B, C, h, w)
        weights : Tensor, (14, n)
            Softmax of the table's alphas.
        """
        chosen = x[:, : self.width]
        mixed: Tensor | None = None
        for name, operation in self.operations.items():
            term = self._weighed(operation(chosen), weights, self.places[name])
            mixed = term if mixed is None else mixed + term
        assert mixed is not None, self.rows
        if self.shuffle is None:
            return mixed
        passed = _pass_by(x[:, self.width :], self.scale)[:, None]
        passed = passed.expand(-1, len(self.rows), -1, -1, -1)
        whole = torch.cat([mixed, passed], dim=2)  # (B, E, C, h', w')
        shuffled = self.shuffle(whole.flatten(0, 1))
        return shuffled.reshape(whole.shape)

    def _weighed(
        self, outputs: Tensor, weights: Tensor, places: tuple[tuple[int, int], ...]
    ) -> Tensor:
        """Weigh copies (B, n or 1, c, h, w) and put them on their edges."""
        edges = [edge for edge, _ in places]
        rows = [self.rows[edge] for edge in edges]
        columns = [column for _, column in places]
        share = weights[rows, columns].to(outputs.dtype)  # (n,)
        terms = outputs * share[None, :, None, None, None]  # (B, n, c, h, w)
        if len(edges) == len(self.rows):
            return terms
        whole = terms.new_zeros(terms.shape[0], len(self.rows), *terms.shape[2:])
        index = torch.tensor(edges, device=terms.device)
        return whole.index_add(1, index, terms)


class MixedCell(nn.Module):
    """A cell with all operations of a space on its 14 edges.

    Parameters
    ----------
    kind : str
        "down", "normal" or "up".
    space : SearchSpace
    channels : int
        Channels c of each node; the output has 4 c.
    same_channels : int or None
        Channels of input 0; None where the lattice has no such map.
    other_channels : int
        Channels of input 1.
    partial_channels : int
        See `MixedSource`.
    """

    def __init__(
        self,
        kind: str,
        space: SearchSpace,
        *,
        channels: int,
        same_channels: int | None,
        other_channels: int,
        partial_channels: int = 1,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.channels = channels
        self.enter_same = (
            None if same_channels is None else _entrance(same_channels, channels)
        )
        self.enter_other = _entrance(other_channels, channels)
        self.sources = nn.ModuleDict()
        for source in range(_LAST_NODE):
            if source == 0 and same_channels is None:
                continue
            scale = kind if source == STRIDED_INPUT else "normal"
            self.sources[str(source)] = MixedSource(
                source,
                space.table(scale),
                channels=channels,
                scale=scale,
                partial_channels=partial_channels,
            )

    def forward(
        self,
        same: Tensor | None,
        other: Tensor,
        weights: Mapping[str, Tensor],
        edge_weights: Tensor | None = None,
    ) -> Tensor:
        """Return the cell's output, (B, 4 c, h, w).

        Parameters
        ----------
        same : Tensor, (B, C0, h, w), or None
            Rectified map of the cell's own resolution.
        other : Tensor, (B, C1, h', w')
            Rectified map of the branch.
        weights : mapping of str to Tensor, (14, n)
            Softmax of the alphas of each table.
        edge_weights : Tensor, (14,), optional
            Edge normalisation: what each edge is multiplied by.
        """
        states = {STRIDED_INPUT: self.enter_other(other)}
        if self.enter_same is not None:
            states[0] = self.enter_same(same)
        for source in range(_LAST_NODE):  # a node is whole when its turn comes
            if source in states:
                self._add(states, source, weights, edge_weights)
        return torch.cat(
            [states[node] for node in range(FIRST_NODE, _LAST_NODE + 1)], dim=1
        )

    def _add(
        self,
        states: dict[int, Tensor],
        source: int,
        weights: Mapping[str, Tensor],
        edge_weights: Tensor | None,
    ) -> None:
        """Add what an input gives to each later node."""
        mixed = self.sources[str(source)]
        assert isinstance(mixed, MixedSource), source
        table = table_of(self.kind, mixed.rows[0])
        given = mixed(states[source], weights[table])  # (B, E, c, h, w)
        for edge, row in enumerate(mixed.rows):
            term = given[:, edge]
            if edge_weights is not None:
                term = term * edge_weights[row].to(term.dtype)
            node = EDGES[row][1]
            states[node] = states[node] + term if node in states else term


def _entrance(in_channels: int, channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 1, bias=False),
        group_norm(channels, affine=False),
    )


def _pass_by(x: Tensor, scale: str) -> Tensor:
    """Bring the channels that no operation reads to the resolution of the others."""
    if scale == "down":
        return F.max_pool2d(x, 2)
    if scale == "up":
        return F.interpolate(x, scale_factor=2.0, mode="nearest")
    return x
