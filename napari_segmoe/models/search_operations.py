"""The operations among which MixSearch searches; all map C channels to C.

Table I of Liu et al. 2021, "MixSearch", with the definitions of the authors' released
code: seven normal operations (stride 1), six that halve and four that double the
resolution. No convolution has a bias.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segmoe.errors import ModelOptionError

_GROUP_CHANNELS = 16
_SQUEEZE = 16
_SHUFFLE_GROUPS = 4


class NoConnection(nn.Module):
    """Zeros: the operation "none", which only the search knows."""

    def forward(self, x: Tensor) -> Tensor:
        """Return zeros of the shape of ``x``."""
        return torch.zeros_like(x)


class ChannelAttention(nn.Module):
    """Squeeze and excitation, the paper's "Att-identity" (Hu et al. 2018).

    The squeezed vector has few numbers (one at 16 channels), so its biases start at 1:
    a unit that starts dead would stay dead.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = max(1, channels // _SQUEEZE)
        self.squeeze = nn.Linear(channels, squeezed)
        self.excite = nn.Linear(squeezed, channels)
        nn.init.ones_(self.squeeze.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to the same shape, each channel weighed in 0..1."""
        vector = F.relu(self.squeeze(x.mean(dim=(2, 3))))  # (B, C/16)
        weights = torch.sigmoid(self.excite(vector).float())  # (B, C)
        return x * weights[:, :, None, None].to(x.dtype)


class ChannelShuffle(nn.Module):
    """Let the groups of a grouped convolution exchange channels (ShuffleNet)."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to the same shape, channels in another order."""
        return F.channel_shuffle(x, self.groups)


def group_norm(channels: int, *, affine: bool = True) -> nn.GroupNorm:
    """Return a group norm of 16 channels a group, or of one group where that fails."""
    whole = channels % _GROUP_CHANNELS == 0
    groups = channels // _GROUP_CHANNELS if whole else 1
    return nn.GroupNorm(groups, channels, affine=affine)


def build_operation(
    name: str, channels: int, *, affine: bool = True, up_padding: int = 0
) -> nn.Module:
    """Build one operation.

    Parameters
    ----------
    name : str
        One of `NORMAL_OPS`, `DOWN_OPS`, `UP_OPS` or `EXTRA_OPS` of `genotypes`.
    channels : int
        Channels C of input and output.
    affine : bool
        Whether norms learn scale and shift; the reference's search does without.
    up_padding : int
        Output padding of transposed convolutions. With 0, the reference's value, h
        rows become 2h - 1 and the cell must resize them; with 1 they become 2h.

    Returns
    -------
    nn.Module
        Maps (B, C, h, w) to (B, C, h, w), to (B, C, h/2, w/2) rounded up (pooling:
        down), or to (B, C, 2h - 1 + up_padding, 2w - 1 + up_padding).

    Raises
    ------
    ModelOptionError
        If the name is unknown, or the channels cannot be shuffled in four groups.

    Notes
    -----
    The published "shuffle_conv" is an ordinary convolution: its groups stay 1 in the
    released code, so it never shuffles. "group_shuffle_conv" does.
    """
    if name in _PLAIN:
        return _PLAIN[name](channels)
    if name in _UP:
        return _UP[name](channels, affine, up_padding)
    if name not in _CONVOLUTIONS:
        known = ", ".join((*_PLAIN, *_CONVOLUTIONS, *_UP))
        raise ModelOptionError(f"No operation {name!r}. Expected one of {known}.")
    return _CONVOLUTIONS[name](channels, affine)


def _convolution(
    channels: int,
    affine: bool,
    *,
    stride: int = 1,
    dilation: int = 1,
) -> nn.Module:
    weight = nn.Conv2d(
        channels,
        channels,
        3,
        stride=stride,
        padding=dilation,
        dilation=dilation,
        bias=False,
    )
    return nn.Sequential(
        weight, group_norm(channels, affine=affine), nn.ReLU(inplace=True)
    )


def _separable(channels: int, affine: bool, *, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(
            channels,
            channels,
            3,
            stride=stride,
            padding=1,
            groups=channels,
            bias=False,
        ),
        nn.Conv2d(channels, channels, 1, bias=False),
        group_norm(channels, affine=affine),
        nn.ReLU(inplace=True),
    )


def _group_shuffle(channels: int, affine: bool) -> nn.Module:
    if channels % _SHUFFLE_GROUPS:
        raise ModelOptionError(
            f"group_shuffle_conv cannot split {channels} channels in"
            f" {_SHUFFLE_GROUPS} groups. Use a multiple of {_SHUFFLE_GROUPS}."
        )
    groups = _SHUFFLE_GROUPS
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=groups, bias=False),
        group_norm(channels, affine=affine),
        nn.ReLU(inplace=True),
        ChannelShuffle(groups),
    )


def _attended_down(channels: int, affine: bool) -> nn.Module:
    return nn.Sequential(
        ChannelAttention(channels),
        nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False),
        group_norm(channels, affine=affine),
    )


def _transposed(
    channels: int, up_padding: int, *, dilation: int = 1, groups: int = 1
) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(
        channels,
        channels,
        3,
        stride=2,
        padding=dilation,
        output_padding=up_padding,
        dilation=dilation,
        groups=groups,
        bias=False,
    )


def _up_convolution(
    channels: int, affine: bool, up_padding: int, *, dilation: int = 1
) -> nn.Module:
    return nn.Sequential(
        _transposed(channels, up_padding, dilation=dilation),
        group_norm(channels, affine=affine),
        nn.ReLU(inplace=True),
    )


def _up_separable(channels: int, affine: bool, up_padding: int) -> nn.Module:
    return nn.Sequential(
        _transposed(channels, up_padding, groups=channels),
        nn.Conv2d(channels, channels, 1, bias=False),
        group_norm(channels, affine=affine),
        nn.ReLU(inplace=True),
    )


def _up_attended(channels: int, affine: bool, up_padding: int) -> nn.Module:
    return nn.Sequential(
        ChannelAttention(channels),
        _transposed(channels, up_padding),
        group_norm(channels, affine=affine),
    )


_PLAIN: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda channels: NoConnection(),
    "identity": lambda channels: nn.Identity(),
    "cweight": ChannelAttention,
    "avg_pool": lambda channels: nn.AvgPool2d(2),
    "max_pool": lambda channels: nn.MaxPool2d(2),
}
_CONVOLUTIONS: dict[str, Callable[[int, bool], nn.Module]] = {
    "conv": _convolution,
    "shuffle_conv": _convolution,
    "group_shuffle_conv": _group_shuffle,
    "dil_conv": lambda c, affine: _convolution(c, affine, dilation=2),
    "dep_conv": _separable,
    "down_conv": lambda c, affine: _convolution(c, affine, stride=2),
    "down_dil_conv": lambda c, affine: _convolution(c, affine, stride=2, dilation=2),
    "down_dep_conv": lambda c, affine: _separable(c, affine, stride=2),
    "down_cweight": _attended_down,
}
_UP: dict[str, Callable[[int, bool, int], nn.Module]] = {
    "up_conv": _up_convolution,
    "up_dil_conv": lambda c, affine, pad: _up_convolution(c, affine, pad, dilation=2),
    "up_dep_conv": _up_separable,
    "up_cweight": _up_attended,
}
