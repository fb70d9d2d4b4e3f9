"""Experts of TA-MoSC, computed all at once, and the plain dispatch they replace."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_WIDENING = 2
_PIECE_PX = 1024


class ReferenceExperts(nn.Module):
    """Experts Conv-Conv-BN-ReLU-Conv of 1x1 convolutions, hidden width doubled.

    The form of UTANet's code. All experts stand side by side as groups of channels.
    Nothing lies between the first two convolutions, so their product, one small
    matrix an expert, is applied in their stead: equal to rounding, half the work.

    Parameters
    ----------
    channels : int
        Channels in and out.
    experts : int
        Number of experts (N).
    """

    def __init__(self, channels: int, *, experts: int) -> None:
        super().__init__()
        hidden = _WIDENING * channels
        self.channels, self.count = channels, experts
        self.expand = nn.Conv2d(channels, experts * hidden, 1)
        self.widen = nn.Conv2d(experts * hidden, experts * hidden, 1, groups=experts)
        self.norm = nn.BatchNorm2d(experts * hidden)
        self.project = nn.Conv2d(
            experts * hidden, experts * channels, 1, groups=experts
        )

    def forward(self, stripe: Tensor) -> Tensor:
        """Return every expert's map, (B, experts, C, h, w), for (B, C, h, w)."""
        weight, bias = self._first_two()
        if self.training:
            hidden = self.norm(F.conv2d(stripe, weight, bias))
        else:
            weight, bias = _fold_norm(self.norm, weight, bias)
            if stripe.device.type == "cpu":
                return self._answer_in_pieces(stripe, weight, bias)
            hidden = F.conv2d(stripe, weight, bias)
        maps = self.project(F.relu(hidden, inplace=True))  # (B, experts * C, h, w)
        return _by_expert(maps, self.count)

    def _answer_in_pieces(self, stripe: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return what `forward` does, piece by piece: hidden maps stay in the cache."""
        batch, channels, height, width = stripe.shape
        assert self.project.bias is not None
        first = weight.view(self.count, -1, channels)
        shift = bias.view(self.count, -1, 1)
        second = self.project.weight.view(self.count, channels, -1)
        last_shift = self.project.bias.view(self.count, channels, 1)
        pieces = []
        pixels = stripe.reshape(batch, 1, channels, height * width)
        for piece in torch.split(pixels, _PIECE_PX, dim=-1):
            hidden = (first @ piece + shift).relu()  # (B, N, hidden, piece)
            pieces.append(second @ hidden + last_shift)
        maps = torch.cat(pieces, dim=-1)
        return maps.view(batch, self.count, channels, height, width)

    def run_one(self, stripe: Tensor, expert: int) -> Tensor:
        """Return one expert's map, (B, C, h, w), layer by layer as in the code.

        In eval mode only: batch statistics belong to `forward`.
        """
        one = expert, self.count
        hidden = F.conv2d(stripe, *_slice(self.expand, *one))
        hidden = F.conv2d(hidden, *_slice(self.widen, *one))
        hidden = F.relu(_normalise(self.norm, hidden, *one))
        return F.conv2d(hidden, *_slice(self.project, *one))

    def _first_two(self) -> tuple[Tensor, Tensor]:
        """Multiply the first two convolutions: (N * hidden, C, 1, 1) and a bias."""
        with torch.autocast(device_type=self.expand.weight.device.type, enabled=False):
            assert self.expand.bias is not None
            assert self.widen.bias is not None
            hidden = self.expand.out_channels // self.count
            first = self.expand.weight.view(self.count, hidden, self.channels)
            second = self.widen.weight.view(self.count, hidden, hidden)
            shift = second @ self.expand.bias.view(self.count, hidden, 1)
            weight = (second @ first).view(-1, self.channels, 1, 1)
            return weight, shift.flatten() + self.widen.bias


class PaperExperts(nn.Module):
    """Experts (Conv1x1-BN-ReLU) twice, Eq. (7).

    The paper gives no hidden width; it is doubled, as in the code's experts.
    """

    def __init__(self, channels: int, *, experts: int) -> None:
        super().__init__()
        hidden = _WIDENING * channels
        self.channels, self.count = channels, experts
        self.expand = nn.Conv2d(channels, experts * hidden, 1)
        self.norm = nn.BatchNorm2d(experts * hidden)
        self.project = nn.Conv2d(
            experts * hidden, experts * channels, 1, groups=experts
        )
        self.last_norm = nn.BatchNorm2d(experts * channels)

    def forward(self, stripe: Tensor) -> Tensor:
        """Return every expert's map, (B, experts, C, h, w), for (B, C, h, w)."""
        hidden = F.relu(self.norm(self.expand(stripe)), inplace=True)
        maps = F.relu(self.last_norm(self.project(hidden)), inplace=True)
        return _by_expert(maps, self.count)

    def run_one(self, stripe: Tensor, expert: int) -> Tensor:
        """Return one expert's map, (B, C, h, w); in eval mode only."""
        one = expert, self.count
        hidden = F.conv2d(stripe, *_slice(self.expand, *one))
        hidden = F.relu(_normalise(self.norm, hidden, *one))
        hidden = F.conv2d(hidden, *_slice(self.project, *one))
        return F.relu(_normalise(self.last_norm, hidden, *one))


def mix_maps(expert_maps: Tensor, weights: Tensor) -> Tensor:
    """Return each stage's weighted sum of the experts' maps (Eq. 8).

    Parameters
    ----------
    expert_maps : Tensor, (B, experts, C, h, w)
    weights : Tensor, (B, stages, experts)

    Returns
    -------
    Tensor, (B, stages, C, h, w)
    """
    weights = weights.to(expert_maps.dtype)
    return torch.einsum("bse,bechw->bschw", weights, expert_maps)


def dispatch_per_gate(
    experts: ReferenceExperts | PaperExperts, stripe: Tensor, weights: Tensor
) -> Tensor:
    """Mix as UTANet's code does: each gate runs the experts that it chose.

    What `mix_maps` of all experts' maps must equal, and be faster than. Experts must
    be in eval mode.

    Parameters
    ----------
    experts : ReferenceExperts or PaperExperts
    stripe : Tensor, (B, C, h, w)
    weights : Tensor, (B, stages, experts)
        Zero where a stage did not choose an expert.

    Returns
    -------
    Tensor, (B, stages, C, h, w)
    """
    mixtures = []
    for gate in weights.unbind(dim=1):
        mixture = torch.zeros_like(stripe)
        for expert, share in enumerate(gate.unbind(dim=1)):
            images = share.nonzero()[:, 0]
            if len(images):
                found = experts.run_one(stripe[images], expert)
                share = share[images, None, None, None].to(found.dtype)
                mixture.index_add_(0, images, share * found)
        mixtures.append(mixture)
    return torch.stack(mixtures, dim=1)


def _by_expert(maps: Tensor, experts: int) -> Tensor:
    batch, channels, height, width = maps.shape
    return maps.view(batch, experts, channels // experts, height, width)


def _slice(layer: nn.Conv2d, part: int, parts: int) -> tuple[Tensor, Tensor]:
    """Return weight and bias of one of ``parts`` equal groups of output channels."""
    assert layer.bias is not None
    return layer.weight.chunk(parts)[part], layer.bias.chunk(parts)[part]


def _normalise(norm: nn.BatchNorm2d, x: Tensor, part: int, parts: int) -> Tensor:
    """Apply one of ``parts`` groups of a norm's channels, with running statistics."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, variance, weight, bias = (
        tensor.chunk(parts)[part]
        for tensor in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return F.batch_norm(x, mean, variance, weight, bias, eps=norm.eps)


def _fold_norm(
    norm: nn.BatchNorm2d, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """Put running statistics into the convolution before them."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    shift = (bias - norm.running_mean) * scale + norm.bias
    return weight * scale[:, None, None, None], shift
