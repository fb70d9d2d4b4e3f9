"""ResFormer's encoder: a CNN and a Swin transformer at each of four levels.

Bui et al., "Multi-scale Feature Enhancement in Multi-task Learning for Medical Image
Analysis", Section III-A and Fig. 3.
"""

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segmoe.models.patch_embedding import (
    MultiScalePatchEmbedding,
    build_merging,
)
from napari_segmoe.models.region_head import RegionContext
from napari_segmoe.models.resnet import stack_blocks
from napari_segmoe.models.swin import SwinStage


class Arrangement(StrEnum):
    """How a level joins its CNN and its transformer (paper, Fig. 3)."""

    SEQUENTIAL = "sequential"
    PARALLEL = "parallel"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResFormerPlan:
    """All numbers of one preset.

    ``window`` is in tokens of every level. ``dfe`` and ``merging`` name forms, see
    `build_enhancement` and `build_merging`. ``drop_path`` is the rate of the last
    Swin block; it grows linearly from 0. ``feed_forward_attention`` is the
    reference's channel attention in the FFN (the paper: False). ``region_context`` is
    what the region head, which is not the paper's, sees around an object.
    """

    arrangement: Arrangement
    window: int
    dfe: str = "paper"
    merging: str = "multi_scale"
    feed_forward_attention: bool = True
    channels: tuple[int, ...] = (64, 128, 256, 512)
    heads: tuple[int, ...] = (2, 4, 8, 16)
    cnn_depths: tuple[int, ...] = (3, 4, 6, 3)
    swin_depth: int = 2
    drop_path: float = 0.1
    embedding: int = 32
    region_context: str = RegionContext.LAYERS


@dataclass(frozen=True, slots=True, eq=False)
class LevelMaps:
    """What one encoder level made: ``local`` by its CNN, ``distant`` by its Swin.

    In sequence ``distant`` was made from ``local`` and equals ``map``.
    """

    map: Tensor
    local: Tensor
    distant: Tensor


class ResFormerLevel(nn.Module):
    """One encoder level: ResNet blocks and Swin blocks, in sequence or in parallel.

    Parameters
    ----------
    plan : ResFormerPlan
        All numbers.
    number : int
        Level, from 0.
    """

    def __init__(self, plan: ResFormerPlan, number: int) -> None:
        super().__init__()
        channels = plan.channels[number]
        self.arrangement = plan.arrangement
        self.cnn = stack_blocks(
            plan.channels[max(number - 1, 0)],
            channels,
            count=plan.cnn_depths[number],
            stride=1 if number == 0 else 2,
        )
        depth, levels = plan.swin_depth, len(plan.channels)
        rates = torch.linspace(0, plan.drop_path, levels * depth, device="cpu").tolist()
        self.swin = SwinStage(
            channels,
            heads=plan.heads[number],
            window=plan.window,
            drop_paths=tuple(rates[number * depth : (number + 1) * depth]),
            channel_attention=plan.feed_forward_attention,
        )

    def forward(self, previous: Tensor, patches: Tensor) -> LevelMaps:
        """Return the level's maps, (B, C, h, w).

        Parameters
        ----------
        previous : Tensor, (B, c, 2h, 2w), at the first level (B, C, h, w)
            Map for the CNN, which halves it (not at the first level).
        patches : Tensor, (B, C, h, w)
            Embedded or merged patches.
        """
        if self.arrangement is Arrangement.SEQUENTIAL:
            local = self.cnn(previous) + patches
            distant = self.swin(local)
            return LevelMaps(distant, local, distant)
        local, distant = self.cnn(previous), self.swin(patches)
        return LevelMaps(local + distant, local, distant)


class ResFormerEncoder(nn.Module):
    """Stem, multi-scale patch embedding and four ResFormer levels.

    Parameters
    ----------
    in_channels : int
        Channels of the image.
    plan : ResFormerPlan
        All numbers.
    """

    def __init__(self, in_channels: int, plan: ResFormerPlan) -> None:
        super().__init__()
        first = plan.channels[0]
        self.arrangement = plan.arrangement
        self.stem = nn.Conv2d(in_channels, first, 7, padding=3, bias=False)
        self.stem_norm = nn.BatchNorm2d(first)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.levels = nn.ModuleList(
            ResFormerLevel(plan, number) for number in range(len(plan.channels))
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(
                    module.weight, mode="fan_out", nonlinearity="relu"
                )
        self.embedding = MultiScalePatchEmbedding(in_channels, first)
        self.mergings = nn.ModuleList(
            build_merging(channels, wider, form=plan.merging)
            for channels, wider in zip(
                plan.channels[:-1], plan.channels[1:], strict=True
            )
        )

    def forward(self, image: Tensor, stem_addition: Tensor | None) -> list[LevelMaps]:
        """Return the levels' maps, at strides 2, 4, 8 and 16.

        Parameters
        ----------
        image : Tensor, (B, in_channels, H, W)
            Sides are multiples of 16.
        stem_addition : Tensor, (B, C, H, W), or None
            Added to the first convolution's output, before its norm.
        """
        x = self.stem(image)  # (B, C, H, W)
        if stem_addition is not None:
            x = x + stem_addition
        x = self.pool(F.relu(self.stem_norm(x)))  # (B, C, H/2, W/2)
        patches = self.embedding(image)  # (B, C, H/2, W/2)
        if self.arrangement is Arrangement.PARALLEL:
            x = patches = x + patches
        maps = [self.levels[0](x, patches)]
        for merging, level in zip(self.mergings, self.levels[1:], strict=True):
            previous = maps[-1].map
            maps.append(level(previous, merging(previous)))  # H/4, H/8, H/16
        return maps
