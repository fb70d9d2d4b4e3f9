"""Searched U-shaped network whose up and down paths are woven (MixSearch).

Liu et al. 2021, "MixSearch: Searching for Domain Generalized Medical Image
Segmentation Architectures". Operations, cells and lattice follow the authors' released
code (NAS-WDAN), genotypes are the published ones. The image and the region head, the
distance head and the fine map are ours.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.fine_head import FineMap
from napari_segmoe.models.genotypes import Genotype, GenotypeChoice, choose_genotype
from napari_segmoe.models.network import ImageHead, SegmentationNetwork, State
from napari_segmoe.models.outputs import Routing, SegmentationOutput
from napari_segmoe.models.registry import register_model
from napari_segmoe.models.search_operations import group_norm
from napari_segmoe.models.weaved_lattice import (
    LatticeShape,
    Node,
    WeavedLattice,
    ancestors,
)
from napari_segmoe.types import Steering

_EXITS = 3
_EMBEDDING = 128
_REGION_MAPS = 3


class WeavedStem(nn.Module):
    """Two convolutions before the lattice.

    Parameters
    ----------
    in_channels, middle, channels : int
        Channels of the image, of the first convolution and of the stem's output.
    stride : int
        Stride of the first convolution; the second's is 2.
    """

    def __init__(
        self, in_channels: int, middle: int, channels: int, *, stride: int
    ) -> None:
        super().__init__()
        self.first = nn.Conv2d(
            in_channels, middle, 3, stride=stride, padding=1, bias=False
        )
        self.first_norm = group_norm(middle)
        self.second = nn.Conv2d(middle, channels, 3, stride=2, padding=1, bias=False)
        self.second_norm = group_norm(channels)

    def forward(self, image: Tensor, addition: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the map (0, 0), and the finer one before it.

        ``addition`` joins the first convolution's output.
        """
        x = self.first(image)  # (B, middle, H/stride, W/stride)
        if addition is not None:
            x = x + addition
        fine = F.relu(self.first_norm(x))
        x = F.relu(self.second_norm(self.second(fine)))  # (B, c, H/(2 stride), ...)
        return x, fine


class MixSearchNet(SegmentationNetwork):
    """A weaved lattice with three mask heads, the last of which gives the mask.

    Parameters
    ----------
    genotype : Genotype
        The searched cells.
    shape : LatticeShape
        Size of the lattice and what it takes from paper and code.
    stem : (int, int)
        Channels and stride of the first convolution. Published: (32, 1).
    classes : int
        Mask channels K.
    image_classes, object_classes : int
        Classes of the image and of the region head; 0 builds none.
    prompts : bool
        Whether a prompt stem is attached.
    distance_head : bool
        Whether the last head also gives a signed distance, by which touching objects
        are parted.
    fine_channels : int
        Channels of a map at twice the lattice's resolution, which the last head then
        reads: the lattice's finest map joined with the stem's first. 0: the head reads
        the lattice, as published.

    Attributes
    ----------
    genotype : Genotype

    Notes
    -----
    Image and region head read the last diagonal but one, so classes are the same with
    and without the last diagonal. Where they exist, leaving out two diagonals spares
    little: what they read is computed all the same.
    """

    def __init__(  # noqa: PLR0913  (its options)
        self,
        genotype: Genotype,
        *,
        shape: LatticeShape,
        stem: tuple[int, int],
        in_channels: int,
        classes: int,
        image_classes: int,
        object_classes: int,
        prompts: bool,
        distance_head: bool = False,
        fine_channels: int = 0,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            stride=2 * stem[1] * 2 ** (shape.last // 2),
            stem_channels=stem[0],
            stem_stride=stem[1],
        )
        self.genotype = genotype
        self.shape = shape
        self._progressive = 0
        width = shape.width(0)
        self.stem = WeavedStem(in_channels, stem[0], width, stride=stem[1])
        self.lattice = WeavedLattice(genotype, shape)
        self.heads = nn.ModuleDict(
            {f"{layer}_0": _head(width, classes, shape.parity) for layer in self.exits}
        )
        if shape.parity == "code" and shape.layers > 2 * _EXITS + 1:
            self.dead_head = _head(width, classes, shape.parity)  # The reference's 2_0.
        self.fine_map: FineMap | None = None
        if fine_channels:
            self.fine_map = FineMap(width, stem[0], fine_channels)
            self.heads[f"{shape.last}_0"] = _head(fine_channels, classes, shape.parity)
        self.distance_head: nn.Sequential | None = None
        if distance_head:
            self.distance_head = _head(fine_channels or width, 1, "paper")
        self.image_head: ImageHead | None = None
        if image_classes:
            deep = shape.width(self._deep_node[1])
            self.image_head = ImageHead(deep, image_classes, width=_EMBEDDING)
        if object_classes:
            self.attach_region_head(
                tuple(shape.width(depth) for _, depth in self._region_nodes),
                embedding_channels=_EMBEDDING if image_classes else 0,
                classes=object_classes,
            )
        if prompts:
            self.attach_prompt_stem()
        _initialise(self)

    @property
    def exits(self) -> tuple[int, ...]:
        """Layers of the three heads: 4, 6, 8, the paper's X^{0,5}, X^{0,7}, X^{0,9}."""
        last = self.shape.last
        return (last - 4, last - 2, last)

    @property
    def progressive(self) -> int:
        """How many diagonals at the end are left out: 0 (the full network), 1 or 2.

        With 1, the mask comes from X^{0,7} (paper, section IV.C.2), and no cell of the
        last diagonal runs; its parameters stay, so weights fit either way. Then there
        is no distance either: its head has learnt to read the last map.
        """
        return self._progressive

    @progressive.setter
    def progressive(self, left_out: int) -> None:
        if left_out not in range(_EXITS):
            raise ModelOptionError(
                f"progressive cannot be {left_out!r}; expected 0 (the full network), 1"
                " or 2 diagonals to leave out."
            )
        self._progressive = int(left_out)

    @property
    def _deep_node(self) -> Node:
        half = self.shape.last // 2 - 1
        return (half, half)

    @property
    def _region_nodes(self) -> tuple[Node, ...]:
        """The three finest maps of the last diagonal but one, finest first."""
        diagonal = self.exits[1]
        return tuple((diagonal - depth, depth) for depth in range(_REGION_MAPS))

    def encode(self, image: Tensor, prompts: Tensor | None = None) -> State:
        """Return the stem's map; see `SegmentationNetwork.encode`."""
        height, width = image.shape[-2:]
        image, addition = self.prepare(image, prompts)
        stem, fine = self.stem(image, addition)
        return {
            "stem": stem,
            "fine": fine,
            "padded": tuple(image.shape[-2:]),
            "size": (height, width),
        }

    def look(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return maps on the lattice's way down; see `SegmentationNetwork.look`."""
        return self.lattice.look(self.stem(self.prepare(image, None)[0], None)[0])

    def decode(
        self, state: State, explain: bool = False, steering: Steering | None = None
    ) -> SegmentationOutput:
        """Run lattice and heads; there are no experts, so steering is refused."""
        if steering is not None:
            raise ModelOptionError(
                "This network has no experts to pin or veto: its cells are fixed."
            )
        exits = self.exits[: _EXITS - self.progressive]
        traces: dict[str, Tensor] = {}
        maps = self.lattice(
            state["stem"],
            self._wanted(exits[-1]),
            traces if explain else None,
        )
        last = self.shape.last
        read = {layer: maps[layer, 0] for layer in exits}
        if self.fine_map is not None and last in read:
            read[last] = self.fine_map(read[last], state["fine"])
        answers = [
            self._enlarge(self.heads[f"{layer}_0"](x), state)
            for layer, x in read.items()
        ]
        distance = None
        if self.distance_head is not None and last in read:
            distance = self._enlarge(self.distance_head(read[last]), state).tanh()
        class_logits, embedding = None, None
        if self.image_head is not None:
            class_logits, embedding = self.image_head(maps[self._deep_node])
        return SegmentationOutput(
            logits=answers[-1],
            class_logits=class_logits,
            distance=distance,
            auxiliary=tuple(answers[:-1]),
            routing=self._routing(maps),
            features=tuple(maps[node] for node in self._region_nodes if node in maps),
            embedding=embedding,
            traces=traces,
        )

    def _wanted(self, exit_layer: int) -> frozenset[Node]:
        """Return the maps that the heads need."""
        ends = {(exit_layer, 0)}
        if self.image_head is not None:
            ends.add(self._deep_node)
        if self.region_head is not None:
            ends.update(self._region_nodes)
        return ancestors(ends, self.shape.layers)

    def _enlarge(self, scores: Tensor, state: State) -> Tensor:
        """Return one head's scores at the input's size."""
        height, width = state["size"]
        scores = F.interpolate(
            scores, size=state["padded"], mode="bilinear", align_corners=False
        )
        return scores[..., :height, :width]  # (B, K, H, W)

    def _routing(self, maps: Mapping[Node, Tensor]) -> tuple[Routing, ...]:
        """Return the learned weights of branches, the same for every image."""
        found = []
        for node, kinds in self.lattice.weighed.items():
            if node not in maps:
                continue
            weights = self.lattice.branch_weights(node).expand(len(maps[node]), -1)
            found.append(
                Routing(
                    stage=f"cell {node[0]}_{node[1]}",
                    experts=kinds,
                    weights=weights,
                    chosen=weights.argsort(dim=1, descending=True),
                )
            )
        return tuple(found)


def _head(channels: int, classes: int, parity: str) -> nn.Sequential:
    head = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(channels, classes, 1, bias=False))
    if parity == "code":
        # The reference builds a norm that its forward never calls.
        head.register_module("dead_norm", _Unused(classes))
    return head


class _Unused(nn.Module):
    """A norm's parameters without the norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``."""
        return x


@torch.no_grad()
def _initialise(network: MixSearchNet) -> None:
    """Initialise as the reference: He's for convolutions, N(1, 0.02) for norms."""
    fine = () if network.fine_map is None else network.fine_map.modules()
    for module in (*network.stem.modules(), *network.lattice.modules(), *fine):
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in")
        elif isinstance(module, nn.GroupNorm):
            nn.init.normal_(module.weight, 1.0, 0.02)


@register_model
def mixsearch(  # noqa: PLR0913  (its options)
    *,
    in_channels: int = 3,
    classes: int = 1,
    image_classes: int = 0,
    object_classes: int = 0,
    prompts: bool = False,
    genotype: GenotypeChoice = "k3_mu1",
    parity: str = "paper",
    fusion: str = "sum",
    layers: int = 9,
    channels: int = 16,
    distance_head: bool = False,
    fine_channels: int = 0,
) -> nn.Module:
    """Build a published network: 9 layers, 16 channels (4 to 13 M parameters).

    ``genotype`` is a name of `list_genotypes`, a JSON file, or its content; see
    `LatticeShape` for ``parity`` ("code" for the published parameter counts),
    ``fusion``, ``layers`` and ``channels``, `MixSearchNet` for ``distance_head`` and
    ``fine_channels``, which are ours and off: a published network stays the published
    one.
    """
    return MixSearchNet(
        choose_genotype(genotype),
        shape=LatticeShape(
            layers=layers, channels=channels, parity=parity, fusion=fusion
        ),
        stem=(32, 1),
        in_channels=in_channels,
        classes=classes,
        image_classes=image_classes,
        object_classes=object_classes,
        prompts=prompts,
        distance_head=distance_head,
        fine_channels=fine_channels,
    )


@register_model
def mixsearch_lite(  # noqa: PLR0913  (its options)
    *,
    in_channels: int = 3,
    classes: int = 1,
    image_classes: int = 3,
    object_classes: int = 2,
    prompts: bool = True,
    genotype: GenotypeChoice = "k3_mu1",
    layers: int = 7,
    channels: int = 16,
    distance_head: bool = False,
    fine_channels: int = 0,
) -> nn.Module:
    """Build the lattice of the search's first stage, at half the resolution, for CPUs.

    7 layers instead of 9; the stem's first convolution has 16 channels and stride 2
    instead of 32 and 1; transposed convolutions double exactly (``up_padding`` 1), so
    nothing is resized. Its heads answer at a quarter of the input's resolution, which
    is coarse for nuclei: ``fine_channels`` makes that a half.
    """
    return MixSearchNet(
        choose_genotype(genotype),
        shape=LatticeShape(layers=layers, channels=channels, up_padding=1),
        stem=(16, 2),
        in_channels=in_channels,
        classes=classes,
        image_classes=image_classes,
        object_classes=object_classes,
        prompts=prompts,
        distance_head=distance_head,
        fine_channels=fine_channels,
    )
