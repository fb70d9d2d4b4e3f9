"""Multi-scale patch embedding and merging of ResFormer's reference.

Facts of the authors' code; the paper has neither the embedding nor two scales of
merging, but these are what its results were made with.
"""

from enum import StrEnum

import torch
from torch import Tensor, nn

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.channel_attention import EfficientChannelAttention

# Kernel of each scale, and the part of the channels it makes.
_EMBEDDING_SCALES = ((2, 2), (4, 4), (8, 8), (16, 8))


class MergingForm(StrEnum):
    """How a level's map is halved.

    ``MULTI_SCALE``: the authors' code. ``PAPER``: one 3x3 convolution of stride 2.
    """

    MULTI_SCALE = "multi_scale"
    PAPER = "paper"


class MultiScalePatchEmbedding(nn.Module):
    """See patches of four sizes, all at half the image's resolution.

    Parameters
    ----------
    in_channels : int
        Channels of the image.
    channels : int
        Channels C of the result; a multiple of 8.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            nn.Conv2d(
                in_channels,
                channels // part,
                kernel,
                stride=2,
                padding=(kernel - 2) // 2,
            )
            for kernel, part in _EMBEDDING_SCALES
        )
        self.attention = EfficientChannelAttention()
        self.norm = nn.LayerNorm(channels)

    def forward(self, image: Tensor) -> Tensor:
        """Return (B, C, H/2, W/2) for (B, in_channels, H, W), both sides even."""
        patches = torch.cat([scale(image) for scale in self.scales], dim=1)
        return norm_channels(self.attention(patches), self.norm)  # (B, C, H/2, W/2)


class MultiScaleMerging(nn.Module):
    """Halve a map and widen it by a 2x2 and a 4x4 convolution of stride 2.

    Parameters
    ----------
    channels, out_channels : int
        Channels before and after; each scale makes half of the latter.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.norm = nn.LayerNorm(channels)
        self.small = nn.Conv2d(channels, half, 2, stride=2)
        self.large = nn.Conv2d(channels, out_channels - half, 4, stride=2, padding=1)
        self.attention = EfficientChannelAttention()

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out, h/2, w/2) for (B, c, h, w), both sides even."""
        x = norm_channels(x, self.norm)
        return self.attention(torch.cat([self.small(x), self.large(x)], dim=1))


def build_merging(
    channels: int, out_channels: int, *, form: str = "multi_scale"
) -> nn.Module:
    """Build the step from one level to the next.

    Parameters
    ----------
    channels, out_channels : int
        Channels before and after.
    form : str
        One of `MergingForm`.

    Raises
    ------
    ModelOptionError
        If there is no such form.
    """
    match form:
        case MergingForm.MULTI_SCALE:
            return MultiScaleMerging(channels, out_channels)
        case MergingForm.PAPER:
            return nn.Conv2d(channels, out_channels, 3, stride=2, padding=1)
    raise ModelOptionError(
        f"No patch merging {form!r}. Choose one of {', '.join(MergingForm)}."
    )


def norm_channels(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Apply a layer norm over the channels of a map, (B, C, h, w)."""
    return norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
