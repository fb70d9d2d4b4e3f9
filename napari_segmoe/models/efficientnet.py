"""EfficientNet encoders for any input size, with TensorFlow's "SAME" padding.

Their maps are the *expanded* activations that the breast-ultrasound network of
`decoder_interaction` taps: after the expansion of a stage's first block, before its
depthwise convolution. Classifier and drop-connect of the original are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

# Keras' and timm's values for EfficientNet; Keras' momentum .99 is torch's .01.
Norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)


@dataclass(frozen=True)
class Stage:
    """One stage: `repeats` blocks, the first with `stride` and new width."""

    expansion: int
    channels: int
    repeats: int
    stride: int
    kernel: int


LITE0_STAGES = (
    Stage(1, 16, 1, 1, 3),
    Stage(6, 24, 2, 2, 3),
    Stage(6, 40, 2, 2, 5),
    Stage(6, 80, 3, 2, 3),
    Stage(6, 112, 3, 1, 5),
    Stage(6, 192, 4, 2, 5),
    Stage(6, 320, 1, 1, 3),
)
B4_STAGES = (
    Stage(1, 24, 2, 1, 3),
    Stage(6, 32, 4, 2, 3),
    Stage(6, 56, 4, 2, 5),
    Stage(6, 112, 6, 2, 3),
    Stage(6, 160, 6, 1, 5),
    Stage(6, 272, 8, 2, 5),
    Stage(6, 448, 2, 1, 3),
)
# Counting from 0: the second, third, fourth and sixth stage.
TAPPED_STAGES = (1, 2, 3, 5)


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the padding on both sides for ceil(size / stride) output pixels."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SameConv2d(nn.Conv2d):
    """Square convolution without bias, padded as TensorFlow's "SAME".

    At stride 2 an even side is padded at the bottom and right only, which torch's own
    symmetric padding cannot do; pretrained weights expect it.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            padding=kernel // 2 if stride == 1 else 0,
            groups=groups,
            bias=False,
        )

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name
        """Map (B, C, H, W) to (B, C', ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride > 1:
            top, bottom = _same_padding(input.shape[-2], kernel, stride)
            left, right = _same_padding(input.shape[-1], kernel, stride)
            input = functional.pad(input, (left, right, top, bottom))  # noqa: A001
        if not self._is_slow_in_half(input):
            return super().forward(input)
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.float()).to(input.dtype)

    def _is_slow_in_half(self, x: Tensor) -> bool:
        """Whether torch's half-precision backward is several times the full one."""
        wide = self.groups > 1 and self.kernel_size[0] > 3
        return wide and self.training and x.device.type == "cpu"


class SqueezeExcite(nn.Module):
    """Weigh channels by two dense layers on their means."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.restore = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to the same shape."""
        scale = x.mean(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
        scale = self.restore(functional.silu(self.reduce(scale)))
        return x * torch.sigmoid(scale)


class InvertedResidual(nn.Module):
    """Expand, depthwise convolution, squeeze and excite, project, add.

    Without expansion (`expansion` 1) the first step is left out; without
    squeeze and excite (the Lite family) the third.
    """

    def __init__(
        self,
        in_channels: int,
        stage: Stage,
        *,
        stride: int,
        squeeze: bool,
        activation: type[nn.Module],
    ) -> None:
        super().__init__()
        width = in_channels * stage.expansion
        self.expanded_channels = width
        self.adds_input = stride == 1 and in_channels == stage.channels
        self.activation = activation()
        self.expand: nn.Module | None = None
        self.expand_norm: nn.Module | None = None
        if stage.expansion != 1:
            self.expand = SameConv2d(in_channels, width, 1)
            self.expand_norm = Norm(width)
        self.depthwise = SameConv2d(
            width, width, stage.kernel, stride=stride, groups=width
        )
        self.depthwise_norm = Norm(width)
        self.squeeze: nn.Module | None = (
            SqueezeExcite(width, max(1, in_channels // 4)) if squeeze else None
        )
        self.project = SameConv2d(width, stage.channels, 1)
        self.project_norm = Norm(stage.channels)

    def expanded(self, x: Tensor) -> Tensor:
        """Return the expanded activation (B, expanded_channels, h, w)."""
        if self.expand is None or self.expand_norm is None:
            return x
        return self.activation(self.expand_norm(self.expand(x)))

    def contracted(self, expanded: Tensor, x: Tensor) -> Tensor:
        """Finish the block: `expanded` is `self.expanded(x)`."""
        y = self.activation(self.depthwise_norm(self.depthwise(expanded)))
        if self.squeeze is not None:
            y = self.squeeze(y)
        y = self.project_norm(self.project(y))
        return x + y if self.adds_input else y

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, C', ceil(h / stride), ceil(w / stride))."""
        return self.contracted(self.expanded(x), x)


class EfficientNetEncoder(nn.Module):
    """EfficientNet without its classifier, giving four expanded maps and the head.

    Parameters
    ----------
    stages : tuple of Stage
        The seven stages.
    stem_channels : int
        Channels of the first convolution, and of a prompt stem added to it.
    head_channels : int
        Channels of the last 1 x 1 convolution.
    squeeze : bool
        Whether blocks have squeeze and excite.
    activation : type of nn.Module
        `nn.SiLU` for the EfficientNets, `nn.ReLU6` for the Lite ones.
    in_channels : int, default: 3
        Channels of the image.

    Attributes
    ----------
    tap_channels : tuple of int
        Channels of the five maps that `forward` returns.
    stem_channels : int
        Channels that `stem_addition` must have.
    stage_starts : list of int
        Index of each stage's first block in `blocks`.
    """

    def __init__(
        self,
        stages: tuple[Stage, ...],
        *,
        stem_channels: int,
        head_channels: int,
        squeeze: bool,
        activation: type[nn.Module],
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.stem_channels = stem_channels
        self.activation = activation()
        self.stem = SameConv2d(in_channels, stem_channels, 3, stride=2)
        self.stem_norm = Norm(stem_channels)
        blocks: list[InvertedResidual] = []
        self.stage_starts: list[int] = []
        width = stem_channels
        for stage in stages:
            self.stage_starts.append(len(blocks))
            for index in range(stage.repeats):
                block = InvertedResidual(
                    width,
                    stage,
                    stride=stage.stride if index == 0 else 1,
                    squeeze=squeeze,
                    activation=activation,
                )
                blocks.append(block)
                width = stage.channels
        self.blocks = nn.ModuleList(blocks)
        self.head = SameConv2d(width, head_channels, 1)
        self.head_norm = Norm(head_channels)
        self._tapped = frozenset(self.stage_starts[stage] for stage in TAPPED_STAGES)
        self.tap_channels: tuple[int, ...] = (
            *(blocks[index].expanded_channels for index in sorted(self._tapped)),
            head_channels,
        )
        self._initialise()

    def _initialise(self) -> None:
        """He's normal initialisation over the outputs, as EfficientNet's authors."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(
        self, image: Tensor, stem_addition: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return the maps s1, s2, s3, s4 and the bridge.

        Parameters
        ----------
        image : (B, in_channels, H, W) float
            Normalised image; any H and W.
        stem_addition : (B, stem_channels, ceil(H/2), ceil(W/2)) float, optional
            Added to the first convolution's output, before its norm.

        Returns
        -------
        tuple of five (B, tap_channels[i], h, w) float
            At strides 2, 4, 8, 16 and 32; sides are rounded up.
        """
        x = self._begin(image, stem_addition)
        taps: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            assert isinstance(block, InvertedResidual)
            expanded = block.expanded(x)
            if index in self._tapped:
                taps.append(expanded)  # H/2, H/4, H/8, H/16
            x = block.contracted(expanded, x)
        bridge = self.activation(self.head_norm(self.head(x)))  # (B, head, H/32, W/32)
        s1, s2, s3, s4 = taps
        return s1, s2, s3, s4, bridge

    def look(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return what enters the fourth and sixth stage; nothing after runs.

        Returns
        -------
        tuple
            (B, c, H/8, W/8) and (B, c', H/16, W/16).
        """
        fourth, sixth = self.stage_starts[3], self.stage_starts[5]
        x = self._begin(image, None)
        for block in self.blocks[:fourth]:
            x = block(x)
        finer = x
        for block in self.blocks[fourth:sixth]:
            x = block(x)
        return finer, x

    def _begin(self, image: Tensor, addition: Tensor | None) -> Tensor:
        x = self.stem(image)  # (B, stem_channels, H/2, W/2)
        if addition is not None:
            x = x + addition
        return self.activation(self.stem_norm(x))


def efficientnet_lite0_encoder(*, in_channels: int = 3) -> EfficientNetEncoder:
    """Build EfficientNet-Lite0: taps of 96, 144, 240, 672 and 1280 channels."""
    return EfficientNetEncoder(
        LITE0_STAGES,
        stem_channels=32,
        head_channels=1280,
        squeeze=False,
        activation=nn.ReLU6,
        in_channels=in_channels,
    )


def efficientnet_b4_encoder(*, in_channels: int = 3) -> EfficientNetEncoder:
    """Build EfficientNet-B4: taps of 144, 192, 336, 960 and 1792 channels."""
    return EfficientNetEncoder(
        B4_STAGES,
        stem_channels=48,
        head_channels=1792,
        squeeze=True,
        activation=nn.SiLU,
        in_channels=in_channels,
    )
