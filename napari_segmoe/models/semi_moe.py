"""Mask, distance and boundary experts under three gates (Semi-MoE).

Vu et al., "Semi-MoE", BMVC 2025. Architecture and numbers follow the authors' review
code, which agrees with the paper's abstract and figure: each expert's last map goes to
all gates; each gate weighs the experts once per image for its own task and its head
reads the weighted sum. The prediction is the gate's mask, not the mask expert's.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.network import (
    ImageHead,
    SegmentationNetwork,
    State,
    steer_weights,
)
from napari_segmoe.models.outputs import Routing, SegmentationOutput
from napari_segmoe.models.registry import register_model
from napari_segmoe.models.semi_moe_experts import (
    EXPERTS,
    SeparateExperts,
    SharedExperts,
)
from napari_segmoe.models.unet import PAPER_WIDTHS, initialise
from napari_segmoe.types import Steering

STAGES = ("mask", "distance", "boundary")


class Gate(nn.Module):
    """Weigh the experts for one task: pool, MLP, self-gate over features, softmax.

    Parameters
    ----------
    channels : int
        Channels of all experts' last maps together.
    experts : int
        How many experts are weighed.
    dropout : float
        The reference's 0.1.
    """

    def __init__(self, channels: int, experts: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        hidden = channels // 2
        self.hidden = nn.Linear(channels, hidden)
        self.attend = nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(dropout)
        self.weigh = nn.Linear(hidden, experts)
        self.apply(initialise)

    def forward(self, pooled: Tensor) -> Tensor:
        """Return one weight per image and expert, (B, experts) float32; rows sum to 1.

        Parameters
        ----------
        pooled : Tensor, (B, channels)
            Mean of the experts' last maps.
        """
        with torch.autocast(device_type=pooled.device.type, enabled=False):
            hidden = F.relu(self.hidden(pooled.float()))
            attention = self.attend(hidden).softmax(dim=1)
            return self.weigh(self.dropout(hidden * attention)).softmax(dim=1)


class MultiGating(nn.Module):
    """One gate and one head per task; 84 718 parameters at the paper's widths.

    Parameters
    ----------
    channels : int
        Channels of each expert's last map.
    classes : int
        Channels of the mask head; the distance has one, the boundary two.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.gates = nn.ModuleList(
            Gate(channels * len(EXPERTS), len(EXPERTS)) for _ in STAGES
        )
        self.heads = _heads(channels, classes)

    def weigh(self, pooled: Tensor) -> list[Tensor]:
        """Return each task's weights, (B, 3), of pooled last maps, (B, 3 c)."""
        return [gate(pooled) for gate in self.gates]


class SemiMoE(SegmentationNetwork):
    """Experts for mask, distance and boundary, mixed by one gate per task.

    Parameters
    ----------
    experts : SeparateExperts or SharedExperts
        Make the maps that are weighed.
    in_channels : int
        Channels of the image.
    classes : int
        Mask channels K, of the gate's head and the mask expert's own.
    image_classes : int
        Classes of an image head on the deepest map (the paper has none); 0 builds none.
    object_classes : int
        Classes of the region head; 0 builds none.
    prompts : bool
        Whether a prompt stem is attached.

    Notes
    -----
    Outputs beside the mask: ``distance`` (after tanh) and ``boundary`` (difference of
    the two channels) of the gates' heads; ``expert_outputs`` the same three of the
    experts' own heads, by the names in `EXPERTS`, for the semi-supervised recipe (the
    softmax over two boundary channels is the sigmoid of their difference);
    ``auxiliary`` the mask expert's own scores. Traces: ``contribution/STAGE/EXPERT``
    and ``energy/STAGE/EXPERT``.
    """

    def __init__(
        self,
        experts: SeparateExperts | SharedExperts,
        *,
        in_channels: int,
        classes: int,
        image_classes: int,
        object_classes: int,
        prompts: bool,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            stride=experts.stride,
            stem_channels=experts.stem_channels,
            stem_stride=experts.stem_stride,
        )
        self.experts = experts
        self.expert_heads = _heads(experts.channels, classes)
        self.gating = MultiGating(experts.channels, classes)
        self.image_head = (
            ImageHead(experts.deep_channels, image_classes) if image_classes else None
        )
        if object_classes:
            self.attach_region_head(
                (experts.channels, *experts.deeper_channels),
                embedding_channels=128 if image_classes else 0,
                classes=object_classes,
            )
        if prompts:
            self.attach_prompt_stem()

    def encode(self, image: Tensor, prompts: Tensor | None = None) -> State:
        """Return the experts' maps and own outputs, and the gates."""
        size = image.shape[-2:]
        image, addition = self.prepare(image, prompts)
        maps = self.experts(image, addition)
        own = [
            head(last) for head, last in zip(self.expert_heads, maps.last, strict=True)
        ]
        inside = self._map_size(size)
        pooled = [_crop(last, inside).float().mean(dim=(2, 3)) for last in maps.last]
        return {
            "maps": maps,
            "own": self._finish(own, size),
            "gates": self.gating.weigh(torch.cat(pooled, dim=1)),
            "size": size,
        }

    def look(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return two maps of an encoder; see `SegmentationNetwork.look`."""
        return self.experts.look(self.prepare(image, None)[0])

    def decode(
        self, state: State, explain: bool = False, steering: Steering | None = None
    ) -> SegmentationOutput:
        """Mix the experts' maps by the steered gates and read the three heads."""
        maps, size = state["maps"], state["size"]
        routing = [
            _route(stage, gates, steering)
            for stage, gates in zip(STAGES, state["gates"], strict=True)
        ]
        mixed = [_mix(maps.last, one.weights) for one in routing]
        scores = [head(one) for head, one in zip(self.gating.heads, mixed, strict=True)]
        logits, distance, boundary = self._finish(scores, size)
        class_logits = embedding = None
        if self.image_head is not None:
            class_logits, embedding = self.image_head(maps.deepest)
        own = dict(zip(EXPERTS, state["own"], strict=True))
        return SegmentationOutput(
            logits=logits,
            class_logits=class_logits,
            distance=distance,
            boundary=boundary,
            auxiliary=(own[EXPERTS[0]],),
            routing=tuple(routing),
            features=(mixed[0], *maps.deeper),
            embedding=embedding,
            traces=_traces(maps.last, routing, self._map_size(size)) if explain else {},
            expert_outputs=own,
        )

    def _map_size(self, size: torch.Size) -> tuple[int, int]:
        """Return the part of the last maps that padding did not add."""
        stride = self.experts.map_stride
        return math.ceil(size[0] / stride), math.ceil(size[1] / stride)

    def _finish(
        self, scores: list[Tensor], size: torch.Size
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return mask, distance and boundary at the image's size."""
        mask, distance, boundary = (self._enlarge(score, size) for score in scores)
        return mask, distance.tanh(), boundary[:, 1:] - boundary[:, :1]

    def _enlarge(self, scores: Tensor, size: torch.Size) -> Tensor:
        if self.experts.map_stride > 1:
            factor = float(self.experts.map_stride)
            scores = F.interpolate(scores, scale_factor=factor, mode="bilinear")
        return _crop(scores, (size[0], size[1]))  # (B, c, H, W)


def _heads(channels: int, classes: int) -> nn.ModuleList:
    """Return the 1x1 convolutions for mask, distance and boundary."""
    heads = nn.ModuleList(nn.Conv2d(channels, out, 1) for out in (classes, 1, 2))
    heads.apply(initialise)
    return heads


def _crop(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return maps[..., : size[0], : size[1]]


def _route(stage: str, gates: Tensor, steering: Steering | None) -> Routing:
    weights, chosen = steer_weights(
        gates, stage=stage, experts=EXPERTS, most=len(EXPERTS), steering=steering
    )
    return Routing(stage=stage, experts=EXPERTS, weights=weights, chosen=chosen)


def _mix(maps: tuple[Tensor, ...], weights: Tensor) -> Tensor:
    """Return the weighted sum of the experts' maps, (B, c, h, w)."""
    columns = weights.to(maps[0].dtype)[:, :, None, None, None].unbind(dim=1)
    first, *others = zip(columns, maps, strict=True)
    mixed = first[0] * first[1]
    for weight, one in others:
        mixed = mixed + weight * one
    return mixed


def _traces(
    maps: tuple[Tensor, ...], routing: list[Routing], size: tuple[int, int]
) -> dict[str, Tensor]:
    """Return each expert's energy, and its share in each stage."""
    energies = [_crop(one, size).float().norm(dim=1, keepdim=True) for one in maps]
    traces: dict[str, Tensor] = {}
    for stage in routing:
        for column, (expert, energy) in enumerate(zip(EXPERTS, energies, strict=True)):
            weight = stage.weights[:, column, None, None, None]
            traces[f"contribution/{stage.stage}/{expert}"] = weight * energy
            traces[f"energy/{stage.stage}/{expert}"] = energy
    return traces


@register_model
def semi_moe(
    *,
    in_channels: int = 3,
    classes: int = 2,
    image_classes: int = 0,
    object_classes: int = 0,
    prompts: bool = False,
    widths: tuple[int, ...] = PAPER_WIDTHS,
) -> nn.Module:
    """Build the paper's network: three U-Nets (103.7 M parameters; for GPUs).

    Parameters
    ----------
    in_channels, classes, image_classes, object_classes, prompts
        See `SemiMoE`; the paper has two mask channels and no classes.
    widths : tuple of int
        Channels of each U-Net's levels, finest first; the paper's are 64 to 1024.

    Raises
    ------
    ModelOptionError
        If there are fewer than three levels or a width is not positive.
    """
    widths = tuple(widths)
    if len(widths) < 3 or min(widths) < 1:
        raise ModelOptionError(
            f"widths is {widths}; expected three or more positive numbers."
        )
    return SemiMoE(
        SeparateExperts(in_channels=in_channels, widths=widths),
        in_channels=in_channels,
        classes=classes,
        image_classes=image_classes,
        object_classes=object_classes,
        prompts=prompts,
    )


@register_model
def semi_moe_lite(
    *,
    in_channels: int = 3,
    classes: int = 1,
    image_classes: int = 3,
    object_classes: int = 2,
    prompts: bool = True,
) -> nn.Module:
    """Build one EfficientNet-Lite0 with three decoders, for a click on two CPU cores.

    Gates and heads are the paper's; the experts share their encoder and work at half
    resolution, and scores are enlarged bilinearly.
    """
    return SemiMoE(
        SharedExperts(
            in_channels=in_channels,
            taps=(16, 32, 48, 96, 160),
            widths=(16, 24, 48, 80),
        ),
        in_channels=in_channels,
        classes=classes,
        image_classes=image_classes,
        object_classes=object_classes,
        prompts=prompts,
    )
