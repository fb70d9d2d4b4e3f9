"""The weaved lattice: maps at (layer, depth), each fed from above, beside and below.

Fig. 2 and Eq. (7) of Liu et al. 2021, "MixSearch".
"""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.genotypes import CELL_NODES, Genotype
from napari_segmoe.models.search_cells import SearchedCell

Node = tuple[int, int]

PARITIES = ("paper", "code")
FUSIONS = ("sum", "softmax")
_STEM: Node = (0, 0)
# Below, three heads do not fit.
_LEAST_LAYERS = 7
# The reference builds this normal branch as a down cell.
_SLIPPED = ((6, 2), "normal")


@dataclass(frozen=True, slots=True)
class LatticeShape:
    """All numbers and choices of one lattice.

    Attributes
    ----------
    layers : int
        Layers, the stem's included; odd. The published networks have 9 (14 maps, 30
        cells), the search's first stage 7.
    channels : int
        Channels of a cell's node at depth 0, doubled with each depth; a map has four
        times as many. Published: 16.
    parity : str
        "paper"; or "code", which builds cell 6_2 "normal" as a down cell, and dead
        parameters, as the reference does. The published counts need "code".
    fusion : str
        How a map joins its branches: "sum", the reference's retraining; or "softmax",
        the paper's Eq. (7), with learned weights.
    up_padding : int
        See `build_operation`; the reference's value is 0.
    """

    layers: int = 9
    channels: int = 16
    parity: str = "paper"
    fusion: str = "sum"
    up_padding: int = 0

    def __post_init__(self) -> None:
        """Check the choices."""
        if self.layers < _LEAST_LAYERS or self.layers % 2 == 0:
            raise ModelOptionError(
                f"A lattice cannot have {self.layers} layers; expected an odd number"
                f" from {_LEAST_LAYERS}."
            )
        _check_choice("parity", self.parity, PARITIES)
        _check_choice("fusion", self.fusion, FUSIONS)

    @property
    def last(self) -> int:
        """Index of the last layer, which is also the number of the last diagonal."""
        return self.layers - 1

    def width(self, depth: int) -> int:
        """Return the channels of a map at a depth."""
        return CELL_NODES * self.channels * 2**depth


def lattice_nodes(layers: int) -> tuple[Node, ...]:
    """Return (layer, depth) of all maps after the stem, in order of computation."""
    return tuple(
        (layer, depth)
        for layer in range(1, layers)
        for depth in range(layer + 1)
        if (layer + depth) % 2 == 0 and layer + depth < layers
    )


def branches(node: Node, layers: int) -> dict[str, tuple[Node | None, Node]]:
    """Return the two inputs of each branch of a map; the first may be missing."""
    layer, depth = node
    present = {_STEM, *lattice_nodes(layers)}
    inputs = {
        "down": ((layer - 2, depth), (layer - 1, depth - 1)),
        "normal": ((layer - 4, depth), (layer - 2, depth)),
        "up": ((layer - 2, depth), (layer - 1, depth + 1)),
    }
    return {
        kind: (same if same in present else None, other)
        for kind, (same, other) in inputs.items()
        if other in present
    }


class WeavedLattice(nn.Module):
    """All cells of a network, and how their outputs are joined.

    Parameters
    ----------
    genotype : Genotype
        The three cells, the same at all depths and layers.
    shape : LatticeShape

    Attributes
    ----------
    weighed : dict
        Branches of the maps whose branches have learned weights, by (layer, depth);
        empty where they add.
    """

    def __init__(self, genotype: Genotype, shape: LatticeShape) -> None:
        super().__init__()
        self.shape = shape
        self.nodes = lattice_nodes(shape.layers)
        self.cells = nn.ModuleDict()
        self.betas = nn.ParameterDict()
        self.weighed: dict[Node, tuple[str, ...]] = {}
        for node in self.nodes:
            inputs = branches(node, shape.layers)
            for kind, (same, _) in inputs.items():
                self.cells[_name(node, kind)] = self._cell(
                    genotype, node, kind, same=same
                )
            if shape.fusion == "softmax" and len(inputs) > 1:
                self.betas[_name(node)] = nn.Parameter(torch.zeros(len(inputs)))
                self.weighed[node] = tuple(inputs)

    def _cell(
        self, genotype: Genotype, node: Node, kind: str, *, same: Node | None
    ) -> SearchedCell:
        other = branches(node, self.shape.layers)[kind][1]
        faithful = self.shape.parity == "code"
        slips = faithful and (node, kind) == _SLIPPED
        return SearchedCell(
            genotype.cell("down" if slips else kind),
            channels=self.shape.channels * 2 ** node[1],
            same_channels=None if same is None else self.shape.width(same[1]),
            other_channels=self.shape.width(other[1]),
            keeps_dead=faithful,
            up_padding=self.shape.up_padding,
        )

    def forward(
        self,
        stem: Tensor,
        wanted: Collection[Node],
        energies: dict[str, Tensor] | None = None,
    ) -> dict[Node, Tensor]:
        """Return the stem's map and the maps that are wanted, by (layer, depth).

        Parameters
        ----------
        stem : Tensor, (B, 4 c, h, w)
            Sides must be multiples of ``2 ** (last // 2)``.
        wanted : collection of (int, int)
            Maps to compute, all maps that they need included (see `ancestors`). No
            other cell runs.
        energies : dict, optional
            Is given ``cell/<layer>_<depth>/<branch>``, (B, 1, h, w): the channel norm
            of each branch as it enters its map.
        """
        maps = {_STEM: stem}
        rectified = {_STEM: F.relu(stem)}
        for node in self.nodes:
            if node not in wanted:
                continue
            maps[node] = self._join(node, rectified, energies)
            rectified[node] = F.relu(maps[node])  # (B, 4 c 2^d, h / 2^d, w / 2^d)
        return maps

    def look(self, stem: Tensor) -> tuple[Tensor, ...]:
        """Return the first maps at two depths before the largest; none after runs."""
        most = max(depth for _, depth in self.nodes)
        first = [
            min(node for node in self.nodes if node[1] == max(depth, 0))
            for depth in (most - 2, most - 1)
        ]
        maps = self(stem, ancestors(first, self.shape.layers))
        return tuple(maps[node] for node in first)

    def branch_weights(self, node: Node) -> Tensor:
        """Return the weights p of Eq. (7), one for each branch of a weighed map."""
        return torch.softmax(self.betas[_name(node)].float(), dim=0)

    def _join(
        self,
        node: Node,
        rectified: dict[Node, Tensor],
        energies: dict[str, Tensor] | None,
    ) -> Tensor:
        height, width = rectified[_STEM].shape[-2:]
        size = (height >> node[1], width >> node[1])
        weights = self.branch_weights(node) if node in self.weighed else None
        joined: Tensor | None = None
        for number, (kind, (same, other)) in enumerate(
            branches(node, self.shape.layers).items()
        ):
            cell = self.cells[_name(node, kind)]
            term = cell(
                None if same is None else rectified[same], rectified[other], size
            )
            if weights is not None:
                term = term * weights[number].to(term.dtype)
            if energies is not None:
                energies[f"cell/{_name(node)}/{kind}"] = _norm(term)
            joined = term if joined is None else joined + term
        assert joined is not None, node
        return joined


def ancestors(wanted: Collection[Node], layers: int) -> frozenset[Node]:
    """Return the maps that are needed to compute some maps, those included."""
    needed = set(wanted)
    for node in reversed(lattice_nodes(layers)):
        if node in needed:
            inputs = branches(node, layers).values()
            needed |= {each for pair in inputs for each in pair if each is not None}
    return frozenset(needed)


def _name(node: Node, *kind: str) -> str:
    return "_".join((str(node[0]), str(node[1]), *kind))


def _norm(x: Tensor) -> Tensor:
    return x.detach().float().norm(dim=1, keepdim=True)


def _check_choice(option: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise ModelOptionError(
            f"{option} cannot be {given!r}; expected one of {', '.join(known)}."
        )
