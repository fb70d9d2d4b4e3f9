"""The cell of a searched network: two inputs, four nodes, two edges a node."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segmoe.models.genotypes import CELL_NODES, FIRST_NODE, Cell
from napari_segmoe.models.search_operations import build_operation, group_norm


class SearchedCell(nn.Module):
    """One cell with the operations that a genotype chose (Fig. 3 of the paper).

    Parameters
    ----------
    edges : Cell
        Two edges ``(operation, input)`` for each of the nodes 2 to 5.
    channels : int
        Channels c of each node; the output has 4 c.
    same_channels : int or None
        Channels of input 0; None where the lattice has no such map. Its edges are
        then left out.
    other_channels : int
        Channels of input 1.
    keeps_dead : bool
        Build operations on a missing input all the same, as the reference does; they
        are never run.
    up_padding : int
        See `build_operation`.
    """

    def __init__(
        self,
        edges: Cell,
        *,
        channels: int,
        same_channels: int | None,
        other_channels: int,
        keeps_dead: bool = False,
        up_padding: int = 0,
    ) -> None:
        super().__init__()
        self.edges = edges
        self.channels = channels
        self.reads_same = same_channels is not None
        if same_channels is not None:
            self.enter_same = _entrance(same_channels, channels)
        self.enter_other = _entrance(other_channels, channels)
        self.operations = nn.ModuleDict()
        for node, source, op in self._walk():
            if source == 0 and not self.reads_same and not keeps_dead:
                continue
            self.operations[f"{source}_{node}"] = build_operation(
                op, channels, up_padding=up_padding
            )

    def forward(
        self, same: Tensor | None, other: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """Return the cell's output, (B, 4 c, h, w).

        Parameters
        ----------
        same : Tensor, (B, C0, h, w), or None
            Rectified map of the cell's own resolution.
        other : Tensor, (B, C1, h', w')
            Rectified map of the branch: twice, once or half that resolution.
        size : (int, int)
            Output height h and width w. What an operation gives in another size, a
            transposed convolution for one, is resized bilinearly.
        """
        states: list[Tensor | None] = [
            self.enter_same(same) if self.reads_same else None,
            self.enter_other(other),
        ]  # (B, c, h, w), (B, c, h', w')
        for node, edges in enumerate(self.edges, start=FIRST_NODE):
            terms = [
                _fit(self.operations[f"{source}_{node}"](states[source]), size)
                for _, source in edges
                if states[source] is not None
            ]
            states.append(terms[0] if len(terms) == 1 else terms[0] + terms[1])
        nodes = [state for state in states[-CELL_NODES:] if state is not None]
        return torch.cat(nodes, dim=1)

    def _walk(self) -> list[tuple[int, int, str]]:
        """Return node, input and operation of each edge."""
        return [
            (node, source, op)
            for node, edges in enumerate(self.edges, start=FIRST_NODE)
            for op, source in edges
        ]


def _entrance(in_channels: int, channels: int) -> nn.Module:
    """Build what brings an input to the cell's width; its ReLU comes before."""
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 1, bias=False), group_norm(channels)
    )


def _fit(x: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(x.shape[-2:]) == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
