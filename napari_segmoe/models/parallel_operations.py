"""Several copies of one search operation on one input, computed together.

In a super-network each input of a cell feeds up to four nodes by the same operations.
Convolutions of the same kind on the same input are one convolution with more output
channels: the same numbers as `build_operation` copy by copy, in far fewer and larger
steps. Norms learn no scale and shift, as in the released code's search.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.search_operations import group_norm

_SQUEEZE = 16


class Shared(nn.Module):
    """An operation without weights: all copies are one."""

    def __init__(self, operation: nn.Module) -> None:
        super().__init__()
        self.operation = operation

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, 1, C, h', w')."""
        return self.operation(x)[:, None]


class ParallelConvolution(nn.Module):
    """Copies of convolution, norm and ReLU; transposed or not.

    Parameters
    ----------
    channels, copies : int
        Channels C of input and of each copy's output; copies n.
    stride, dilation : int
    transposed : bool
        Whether the resolution is doubled exactly instead.
    """

    def __init__(
        self,
        channels: int,
        copies: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        transposed: bool = False,
    ) -> None:
        super().__init__()
        self.copies = copies
        self.weight = _weigh(
            channels,
            channels * copies,
            stride=stride,
            dilation=dilation,
            transposed=transposed,
        )
        self.norm = parallel_norm(channels, copies)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, n, C, h', w')."""
        x = F.relu(self.norm(self.weight(x)))  # (B, n C, h', w')
        return _part(x, self.copies)


class ParallelSeparable(nn.Module):
    """Copies of depth-wise and 1x1 convolution, norm and ReLU."""

    def __init__(
        self, channels: int, copies: int, *, stride: int = 1, transposed: bool = False
    ) -> None:
        super().__init__()
        self.copies = copies
        whole = channels * copies
        self.depthwise = _weigh(
            whole, whole, stride=stride, transposed=transposed, groups=whole
        )
        self.pointwise = nn.Conv2d(whole, whole, 1, groups=copies, bias=False)
        self.norm = parallel_norm(channels, copies)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, n, C, h', w')."""
        x = x.repeat(1, self.copies, 1, 1)  # (B, n C, h, w)
        x = F.relu(self.norm(self.pointwise(self.depthwise(x))))
        return _part(x, self.copies)


class ParallelAttention(nn.Module):
    """Copies of `ChannelAttention`; a dead unit would stay dead, so biases are 1."""

    def __init__(self, channels: int, copies: int) -> None:
        super().__init__()
        squeezed = max(1, channels // _SQUEEZE)
        self.copies = copies
        self.squeeze = nn.Linear(channels, squeezed * copies)
        nn.init.ones_(self.squeeze.bias)
        self.excite = nn.Conv1d(squeezed * copies, channels * copies, 1, groups=copies)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, n, C, h, w)."""
        vector = F.relu(self.squeeze(x.mean(dim=(2, 3))))  # (B, n C/16)
        weights = torch.sigmoid(self.excite(vector[:, :, None]).float())[:, :, 0]
        weights = _part(weights, self.copies)  # (B, n, C)
        return x[:, None] * weights[..., None, None].to(x.dtype)


class AttendedConvolution(nn.Module):
    """Copies of channel attention, convolution and norm that change the resolution."""

    def __init__(self, channels: int, copies: int, *, transposed: bool) -> None:
        super().__init__()
        self.copies = copies
        whole = channels * copies
        self.attention = ParallelAttention(channels, copies)
        self.weight = _weigh(
            whole, whole, stride=2, transposed=transposed, groups=copies
        )
        self.norm = parallel_norm(channels, copies)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, n, C, h', w')."""
        x = self.attention(x).flatten(1, 2)  # (B, n C, h, w)
        return _part(self.norm(self.weight(x)), self.copies)


def parallel_norm(channels: int, copies: int) -> nn.GroupNorm:
    """Return `group_norm` of each copy, side by side, without scale and shift."""
    groups = group_norm(channels, affine=False).num_groups
    return nn.GroupNorm(groups * copies, channels * copies, affine=False)


def build_parallel(name: str, channels: int, copies: int) -> nn.Module:
    """Build copies of one operation that read the same input.

    Parameters
    ----------
    name : str
        One of `NORMAL_OPS` but "none", `DOWN_OPS` or `UP_OPS`.
    channels : int
        Channels C of input and output.
    copies : int
        How many, n.

    Returns
    -------
    nn.Module
        Maps (B, C, h, w) to (B, n, C, h', w'), or to (B, 1, C, h', w') where all
        copies are the same; h' is h, h / 2 or 2 h.

    Raises
    ------
    ModelOptionError
        If the name is unknown.
    """
    if name not in _BUILDERS:
        known = ", ".join(_BUILDERS)
        raise ModelOptionError(
            f"The search cannot mix an operation {name!r}. Expected one of {known}."
        )
    return _BUILDERS[name](channels, copies)


def _part(x: Tensor, copies: int) -> Tensor:
    """Part the channels of copies: (B, n C, ...) becomes (B, n, C, ...)."""
    return x.reshape(x.shape[0], copies, -1, *x.shape[2:])


def _weigh(
    channels: int,
    out: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    transposed: bool = False,
    groups: int = 1,
) -> nn.Module:
    if transposed:
        return nn.ConvTranspose2d(
            channels,
            out,
            3,
            stride=2,
            padding=dilation,
            output_padding=1,
            dilation=dilation,
            groups=groups,
            bias=False,
        )
    return nn.Conv2d(
        channels,
        out,
        3,
        stride=stride,
        padding=dilation,
        dilation=dilation,
        groups=groups,
        bias=False,
    )


_BUILDERS: dict[str, Callable[[int, int], nn.Module]] = {
    "identity": lambda c, n: Shared(nn.Identity()),
    "avg_pool": lambda c, n: Shared(nn.AvgPool2d(2)),
    "max_pool": lambda c, n: Shared(nn.MaxPool2d(2)),
    "cweight": ParallelAttention,
    "conv": ParallelConvolution,
    # Published as an ordinary convolution; see `build_operation`.
    "shuffle_conv": ParallelConvolution,
    "dil_conv": lambda c, n: ParallelConvolution(c, n, dilation=2),
    "dep_conv": ParallelSeparable,
    "down_conv": lambda c, n: ParallelConvolution(c, n, stride=2),
    "down_dil_conv": lambda c, n: ParallelConvolution(c, n, stride=2, dilation=2),
    "down_dep_conv": lambda c, n: ParallelSeparable(c, n, stride=2),
    "down_cweight": lambda c, n: AttendedConvolution(c, n, transposed=False),
    "up_conv": lambda c, n: ParallelConvolution(c, n, transposed=True),
    "up_dil_conv": lambda c, n: ParallelConvolution(c, n, dilation=2, transposed=True),
    "up_dep_conv": lambda c, n: ParallelSeparable(c, n, transposed=True),
    "up_cweight": lambda c, n: AttendedConvolution(c, n, transposed=True),
}
