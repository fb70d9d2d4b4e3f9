"""Building blocks of the decoder-interaction network.

Al Shafi et al. 2026: task interaction (TIM, Eq. 1-5), uncertainty proxy attention
(UPA, Eq. 6-8), hierarchical multi-scale fusion (HMSF, Eq. 9-10).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_TAU = 0.7
_DILATIONS = (1, 2, 4)


class SeparableConv(nn.Module):
    """Depthwise 3x3 (dilated) and pointwise convolution.

    On CPUs a dilated convolution is computed as a plain one on interleaved
    sub-images. Equal results, twice as fast in the bf16 backward, and right: with
    channels last, torch 2.13's own bf16 weight gradient of a dilated depthwise
    convolution reads memory that was never written.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            in_channels,
            in_channels,
            3,
            padding=dilation,
            dilation=dilation,
            groups=in_channels,
            bias=False,
        )
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1)
        self.dilation = dilation

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out_channels, h, w) for (B, in_channels, h, w)."""
        if self.dilation > 1 and x.device.type == "cpu":
            return self.pointwise(self._dilated_by_subimages(x))
        return self.pointwise(self.depthwise(x))

    def _dilated_by_subimages(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        step = self.dilation
        x = F.pad(x, (0, -width % step, 0, -height % step))
        rows, columns = x.shape[-2] // step, x.shape[-1] // step
        x = x.permute(0, 2, 3, 1)  # channels last: the copies below move whole pixels
        x = x.reshape(batch, rows, step, columns, step, channels)
        x = x.permute(0, 2, 4, 1, 3, 5).reshape(-1, rows, columns, channels)
        x = x.permute(0, 3, 1, 2)
        x = F.conv2d(x, self.depthwise.weight, padding=1, groups=channels)
        x = x.permute(0, 2, 3, 1).reshape(batch, step, step, rows, columns, channels)
        x = x.permute(0, 3, 1, 4, 2, 5)
        x = x.reshape(batch, rows * step, columns * step, channels)
        x = x.permute(0, 3, 1, 2)
        return x[..., :height, :width]


class MultiScaleFusion(nn.Module):
    """HMSF: three dilated separable convolutions, weighed per image (Eq. 9-10)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            SeparableConv(channels, channels, dilation=dilation)
            for dilation in _DILATIONS
        )
        hidden = max(channels // 8, 1)
        self.reduce = nn.Linear(channels, hidden)
        self.scales = nn.Linear(hidden, len(_DILATIONS))
        self.fuse = nn.Conv2d(channels, channels, 1)

    def weigh(self, x: Tensor) -> Tensor:
        """Return the weights of the dilations, (B, 3) float32; rows sum to 1."""
        gate = F.relu(self.reduce(x.mean(dim=(2, 3))))  # (B, C/8), Eq. (9)
        return self.scales(gate).float().softmax(dim=1)  # Eq. (10)

    def forward(self, x: Tensor, alpha: Tensor | None = None) -> Tensor:
        """Return the fused map, (B, C, h, w); ``alpha`` is by default `weigh`'s."""
        alpha = (self.weigh(x) if alpha is None else alpha).to(x.dtype)  # (B, 3)
        mixed = torch.zeros_like(x)
        for index, branch in enumerate(self.branches):
            mixed = mixed + alpha[:, index, None, None, None] * branch(x)
        return self.fuse(mixed)


class DualPathAttention(nn.Module):
    """Channel and spatial attention of the encoder blocks."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(8, channels // 16)
        self.reduce = nn.Linear(channels, hidden)
        self.expand = nn.Linear(hidden, channels)
        self.spatial = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """Return the attended map, (B, C, h, w)."""
        channel = F.relu(self.reduce(x.mean(dim=(2, 3))))
        channel = torch.sigmoid(self.expand(channel))[:, :, None, None]
        peaks = torch.cat([x.amax(dim=1, keepdim=True), x.mean(dim=1, keepdim=True)], 1)
        return x * channel * torch.sigmoid(self.spatial(peaks))


class ResidualBlock(nn.Module):
    """Two separable convolutions, HMSF, optional attention, and a shortcut.

    Without ``fusion``, for comparison, HMSF is left out.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        attention: bool,
        fusion: bool = True,
    ) -> None:
        super().__init__()
        self.first = SeparableConv(in_channels, channels)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = SeparableConv(channels, channels)
        self.second_norm = nn.BatchNorm2d(channels)
        self.fusion = MultiScaleFusion(channels) if fusion else None
        self.attention = DualPathAttention(channels) if attention else nn.Identity()
        self.shortcut = (
            nn.Identity()
            if in_channels == channels
            else nn.Conv2d(in_channels, channels, 1)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return (B, channels, h, w) for (B, in_channels, h, w), and HMSF's weights."""
        y = self.first_norm(F.relu(self.first(x)))
        y = self.second_norm(self.second(y))
        alpha = None
        if self.fusion is not None:
            alpha = self.fusion.weigh(y)  # (B, 3)
            y = self.fusion(y, alpha)
        y = self.attention(y)
        return F.relu(y + self.shortcut(x)), alpha


class AttentionGate(nn.Module):
    """Weigh a skip connection by where the decoder looks."""

    def __init__(self, skip_channels: int, channels: int, *, inter: int) -> None:
        super().__init__()
        self.theta = nn.Conv2d(skip_channels, inter, 1)
        self.phi = nn.Conv2d(channels, inter, 1)
        self.narrow = SeparableConv(inter, inter)
        self.wide = SeparableConv(inter, inter, dilation=2)
        self.out = nn.Conv2d(inter, 1, 1)

    def forward(self, skip: Tensor, guide: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gated skip, (B, C, h, w), and its map, (B, 1, h, w)."""
        joined = F.relu(self.theta(skip) + self.phi(guide))
        attention = torch.sigmoid(self.out(self.wide(self.narrow(joined))))
        return skip * attention, attention


class TaskInteraction(nn.Module):
    """TIM: exchange between a decoder map and a class vector (Eq. 1-5).

    The dense layer before the batch norm of Eq. (1) has a ReLU, as in the authors'
    code; the paper writes none.
    """

    def __init__(self, channels: int, task: int) -> None:
        super().__init__()
        self.attend = nn.Conv2d(channels, channels // 2, 1)
        self.context = nn.Linear(channels // 2, task)
        self.context_norm = nn.BatchNorm1d(task)
        self.class_gate = nn.Linear(task, task)
        self.project = nn.Linear(task, channels)
        self.map_gate = nn.Linear(channels, channels)

    def forward(self, decoded: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
        """Return the enhanced map, (B, c, h, w), and vector, (B, task)."""
        pooled = F.relu(self.attend(decoded)).mean(dim=(2, 3))  # Eq. (1)
        context = self.context_norm(F.relu(self.context(pooled)))  # (B, task)
        gate = torch.sigmoid(self.class_gate(context))  # Eq. (2)
        enhanced_vector = vector + gate * context
        spatial = torch.sigmoid(self.project(vector))  # Eq. (3), (B, c)
        map_gate = torch.sigmoid(self.map_gate(decoded.mean(dim=(2, 3))))  # Eq. (4)
        modulation = 1 + _TAU * map_gate * spatial  # in (1, 1.7)
        return decoded * modulation[:, :, None, None], enhanced_vector  # Eq. (5)


class UncertaintyProxyAttention(nn.Module):
    """UPA: how far to follow the enhanced features, from their variance (Eq. 6-7).

    Variances are divided by their batch mean while training and by its running mean
    (momentum 0.99) otherwise, so that a prediction never depends on the other images
    of its batch.
    """

    running_variance: Tensor
    batches_seen: Tensor

    def __init__(self, *, hidden: int = 32, momentum: float = 0.99) -> None:
        super().__init__()
        self.hidden = nn.Linear(2, hidden)
        self.out = nn.Linear(hidden, 2)
        self.momentum = momentum
        self.register_buffer("running_variance", torch.ones(2))
        self.register_buffer("batches_seen", torch.zeros((), dtype=torch.long))

    def forward(self, decoded: Tensor, vector: Tensor) -> Tensor:
        """Return the weights of the map and of the vector, (B, 2); rows sum to 1."""
        with torch.autocast(device_type=decoded.device.type, enabled=False):
            variances = _variances(decoded.float(), vector.float())  # (B, 2)
            normal = variances / (self._scale(variances) + 1e-8)
            return self.out(F.relu(self.hidden(normal))).softmax(dim=1)

    def _scale(self, variances: Tensor) -> Tensor:
        if not self.training:
            return self.running_variance
        mean = variances.mean(dim=0)
        with torch.no_grad():
            first = bool(self.batches_seen == 0)
            keep = 0.0 if first else self.momentum
            self.running_variance.mul_(keep).add_(mean.detach(), alpha=1 - keep)
            self.batches_seen.add_(1)
        return mean


def spatial_variance(decoded: Tensor) -> Tensor:
    """Return each place's share in Eq. (6)'s variance of a map, (B, 1, h, w).

    Its mean over the places is the u_seg that UPA weighs by; the paper shows only that
    one number.
    """
    decoded = decoded.float()
    around = decoded - decoded.mean(dim=(2, 3), keepdim=True)
    return around.square().mean(dim=1, keepdim=True)


def _variances(decoded: Tensor, vector: Tensor) -> Tensor:
    """Return Eq. (6): mean spatial variance of the map, variance of the vector."""
    spatial = decoded.var(dim=(2, 3), unbiased=False).mean(dim=1)
    return torch.stack([spatial, vector.var(dim=1, unbiased=False)], dim=1)
