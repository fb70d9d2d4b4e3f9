"""The super-network of MixSearch: a weaved lattice of cells that mix all operations.

Liu et al. 2021, "MixSearch", section III.B and Eqs. (6) and (7). What is searched are
the alphas (which operation on which edge; one set for all cells of the network) and
the betas (which branch of each map).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.genotypes import CELL_KINDS, CELL_NODES, FIRST_NODE
from napari_segmoe.models.mixed_cells import MixedCell
from napari_segmoe.models.outputs import SegmentationOutput
from napari_segmoe.models.search_operations import group_norm
from napari_segmoe.models.search_space import EDGES, TABLES, SearchSpace
from napari_segmoe.models.weaved_lattice import Node, branches, lattice_nodes

_STEM: Node = (0, 0)
_LEAST_LAYERS = 5
_HEADS = 3
_FIRST_SPREAD = 1e-3


@dataclass(frozen=True, slots=True)
class SearchShape:
    """Size of a super-network and its options.

    Attributes
    ----------
    layers : int
        Layers, the stem's included; odd, at least 5. Published: 7, then 9.
    channels : int
        Channels of a cell's node at depth 0, doubled with each depth. Published: 16.
    stem_channels, stem_stride : int
        Of the first convolution; a second one halves the resolution again.
        Published: 32, 1.
    partial_channels : int
        Of P > 1, a P-th of the channels goes through operations (PC-DARTS).
    edge_normalisation : bool
        Whether edges have weights of their own (PC-DARTS).
    """

    layers: int = 7
    channels: int = 16
    stem_channels: int = 32
    stem_stride: int = 1
    partial_channels: int = 1
    edge_normalisation: bool = False

    def __post_init__(self) -> None:
        """Check the choices."""
        if self.layers < _LEAST_LAYERS or self.layers % 2 == 0:
            raise ModelOptionError(
                f"A super-network cannot have {self.layers} layers; expected an odd"
                f" number from {_LEAST_LAYERS}."
            )
        if self.channels % self.partial_channels:
            raise ModelOptionError(
                f"{self.channels} channels cannot be divided by partial_channels"
                f" {self.partial_channels}; choose a divisor."
            )

    @property
    def last(self) -> int:
        """Index of the last layer."""
        return self.layers - 1

    @property
    def stride(self) -> int:
        """What sides of images must be multiples of."""
        return int(2 * self.stem_stride * 2 ** (self.last // 2))

    @property
    def exits(self) -> tuple[int, ...]:
        """Layers of the mask heads: the last three (two of five layers) at depth 0."""
        first = max(self.last - 2 * (_HEADS - 1), 2)
        return tuple(range(first, self.layers, 2))

    def width(self, depth: int) -> int:
        """Return the channels of a map at a depth."""
        return int(CELL_NODES * self.channels * 2**depth)


class Architecture(nn.Module):
    """All that is searched: alphas, betas and, if asked for, weights of edges.

    Attributes
    ----------
    alphas : ParameterDict
        "normal" (14, 7), "down" (14, 6) and "up" (14, 4) in the first stage. Of the
        last two only the rows of the four edges from input 1 are read.
    betas : Parameter, (layers, depths, 3)
        Of the branches down, normal, up of each map.
    edges : ParameterDict or None
        (14,) for each kind of cell.
    """

    def __init__(
        self, space: SearchSpace, shape: SearchShape, *, generator: torch.Generator
    ) -> None:
        super().__init__()
        depths = shape.last // 2 + 1
        self.alphas = nn.ParameterDict(
            {name: _small((len(EDGES), space.size(name)), generator) for name in TABLES}
        )
        self.betas = _small((shape.layers, depths, len(CELL_KINDS)), generator)
        self.edges = (
            nn.ParameterDict(
                {kind: _small((len(EDGES),), generator) for kind in CELL_KINDS}
            )
            if shape.edge_normalisation
            else None
        )

    def operation_weights(self) -> dict[str, Tensor]:
        """Return the softmax of the alphas, (14, n) a table. Eq. (6)."""
        return {name: self.alphas[name].softmax(dim=-1) for name in TABLES}

    def edge_weights(self, kind: str) -> Tensor | None:
        """Return the weights of a kind's 14 edges; those into a node sum to 1."""
        if self.edges is None:
            return None
        scores = self.edges[kind]
        parts = []
        for node in range(FIRST_NODE, FIRST_NODE + CELL_NODES):
            rows = [row for row, (_, end) in enumerate(EDGES) if end == node]
            parts.append(scores[rows[0] : rows[-1] + 1].softmax(dim=0))
        return torch.cat(parts)  # (14,)

    def branch_weights(self, node: Node, kinds: tuple[str, ...]) -> Tensor:
        """Return the weights of the branches that a map has; they sum to 1. Eq. (7)."""
        columns = [CELL_KINDS.index(kind) for kind in kinds]
        return self.betas[node[0], node[1], columns].softmax(dim=0)


class SearchNetwork(nn.Module):
    """A weaved lattice whose cells mix all operations of a space.

    Parameters
    ----------
    space : SearchSpace
    shape : SearchShape
    in_channels, classes : int
        Channels of the image and of the mask.
    seed : int
        Of the first alphas, betas and weights.
    """

    def __init__(
        self,
        space: SearchSpace,
        shape: SearchShape,
        *,
        in_channels: int = 3,
        classes: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.space, self.shape = space, shape
        self.nodes = lattice_nodes(shape.layers)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.stem = _stem(in_channels, shape)
            self.cells = nn.ModuleDict(dict(self._cells()))
            self.heads = nn.ModuleDict(
                {str(layer): _head(shape.width(0), classes) for layer in shape.exits}
            )
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_in")
        generator = torch.Generator().manual_seed(seed)
        self.architecture = Architecture(space, shape, generator=generator)

    def _cells(self) -> Iterator[tuple[str, MixedCell]]:
        shape = self.shape
        for node in self.nodes:
            for kind, (same, other) in branches(node, shape.layers).items():
                yield (
                    _name(node, kind),
                    MixedCell(
                        kind,
                        self.space,
                        channels=shape.channels * 2 ** node[1],
                        same_channels=None if same is None else shape.width(same[1]),
                        other_channels=shape.width(other[1]),
                        partial_channels=shape.partial_channels,
                    ),
                )

    def weight_parameters(self) -> list[nn.Parameter]:
        """Return what the weight half of the data trains."""
        searched = {id(value) for value in self.architecture.parameters()}
        return [value for value in self.parameters() if id(value) not in searched]

    def architecture_parameters(self) -> list[nn.Parameter]:
        """Return what the architecture half of the data trains."""
        return list(self.architecture.parameters())

    def forward(self, image: Tensor) -> SegmentationOutput:
        """Return mask scores; ``auxiliary`` holds those of the earlier heads.

        Parameters
        ----------
        image : Tensor, (B, in_channels, H, W)
            Sides are multiples of ``shape.stride``.
        """
        x = self.stem(image)  # (B, 4 c, h, w)
        rectified = {_STEM: F.relu(x)}
        maps = {_STEM: x}
        weights = self.architecture.operation_weights()
        edges = {kind: self.architecture.edge_weights(kind) for kind in CELL_KINDS}
        for node in self.nodes:
            maps[node] = self._join(node, rectified, weights, edges)
            rectified[node] = F.relu(maps[node])
        answers = [
            F.interpolate(
                self.heads[str(layer)](maps[layer, 0]),
                size=image.shape[-2:],
                mode="bilinear",
                align_corners=False,
            )
            for layer in self.shape.exits
        ]  # (B, K, H, W) each
        return SegmentationOutput(logits=answers[-1], auxiliary=tuple(answers[:-1]))

    def _join(
        self,
        node: Node,
        rectified: dict[Node, Tensor],
        weights: dict[str, Tensor],
        edges: dict[str, Tensor | None],
    ) -> Tensor:
        inputs = branches(node, self.shape.layers)
        shares = self.architecture.branch_weights(node, tuple(inputs))
        joined: Tensor | None = None
        for number, (kind, (same, other)) in enumerate(inputs.items()):
            cell = self.cells[_name(node, kind)]
            term = cell(
                None if same is None else rectified[same],
                rectified[other],
                weights,
                edges[kind],
            )
            term = term * shares[number].to(term.dtype)
            joined = term if joined is None else joined + term
        assert joined is not None, node
        return joined  # (B, 4 c 2^d, h / 2^d, w / 2^d)


def _small(size: tuple[int, ...], generator: torch.Generator) -> nn.Parameter:
    """Return parameters drawn as the released code draws them: 1e-3 N(0, 1)."""
    return nn.Parameter(_FIRST_SPREAD * torch.randn(size, generator=generator))


def _stem(in_channels: int, shape: SearchShape) -> nn.Module:
    middle, channels = shape.stem_channels, shape.width(0)
    return nn.Sequential(
        nn.Conv2d(
            in_channels, middle, 3, stride=shape.stem_stride, padding=1, bias=False
        ),
        group_norm(middle, affine=False),
        nn.ReLU(inplace=True),
        nn.Conv2d(middle, channels, 3, stride=2, padding=1, bias=False),
        group_norm(channels, affine=False),
        nn.ReLU(),
    )


def _head(channels: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(channels, classes, 1, bias=False))


def _name(node: Node, kind: str) -> str:
    return f"{node[0]}_{node[1]}_{kind}"
