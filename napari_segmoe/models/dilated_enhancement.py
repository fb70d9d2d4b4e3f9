"""Dilated feature enhancement (DFE) of skip connections.

Bui et al., "Multi-scale Feature Enhancement in Multi-task Learning for Medical Image
Analysis" (ResFormer), Section III-B and Fig. 4.
"""

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn

from napari_segmoe.errors import ModelOptionError

_DILATIONS = (6, 12, 18)


class EnhancementForm(StrEnum):
    """Which enhancement is built.

    ``PAPER``: three dilated branches, summed. ``REFERENCE``: the authors' code, four
    branches, concatenated, with a shortcut. ``NONE``: plain skips, the ablation.
    """

    PAPER = "paper"
    REFERENCE = "reference"
    NONE = "none"


@dataclass(frozen=True, slots=True, eq=False)
class Enhanced:
    """An enhanced map and what led to it.

    Attributes
    ----------
    map : Tensor, (B, C, h, w)
        What the decoder gets.
    attention : Tensor, (B, 1, h, w), or None
        Spatial attention in 0..1; None where nothing was enhanced.
    branches : dict of str to Tensor, (B, C, h, w)
        Each branch's map by the branch's name.
    """

    map: Tensor
    attention: Tensor | None
    branches: dict[str, Tensor]


class SpatialAttention(nn.Module):
    """One weight a pixel from the channels' mean and maximum (CBAM, ref. [34])."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return weights in 0..1, (B, 1, h, w), for ``x``, (B, C, h, w)."""
        pooled = torch.cat(
            [x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1
        )  # (B, 2, h, w)
        return torch.sigmoid(self.conv(pooled).float()).to(x.dtype)


class DilatedEnhancement(nn.Module):
    """DFE as in the paper: dilated branches, summed, ReLU, spatial attention.

    Parameters
    ----------
    channels : int
        Channels C of the map.

    Notes
    -----
    On maps narrower than the dilation only the kernel's centre meets the map: such a
    branch is a pointwise convolution.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                _dilated(channels, dilation),
                nn.BatchNorm2d(channels),
                nn.Conv2d(channels, channels, 1, bias=False),
                nn.BatchNorm2d(channels),
            )
            for dilation in _DILATIONS
        )
        self.attention = SpatialAttention()

    def forward(self, x: Tensor) -> Enhanced:
        """Enhance a map, (B, C, h, w)."""
        names = [f"dilation {dilation}" for dilation in _DILATIONS]
        branches = {
            name: branch(x) for name, branch in zip(names, self.branches, strict=True)
        }
        first, second, third = branches.values()
        enhanced = torch.relu(first + second + third)
        attention = self.attention(enhanced)
        return Enhanced(enhanced * attention, attention, branches)


class ReferenceEnhancement(nn.Module):
    """DFE as in the authors' code: four branches, fused by a 3x3, with a shortcut.

    Parameters
    ----------
    channels : int
        Channels C of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        convolutions = [nn.Conv2d(channels, channels, 1, bias=False)]
        convolutions += [_dilated(channels, dilation) for dilation in _DILATIONS]
        self.branches = nn.ModuleList(
            nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU())
            for convolution in convolutions
        )
        self.fuse = nn.Sequential(
            nn.Conv2d(4 * channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels)
        )
        self.attention = SpatialAttention()

    def forward(self, x: Tensor) -> Enhanced:
        """Enhance a map, (B, C, h, w)."""
        names = ["pointwise", *(f"dilation {dilation}" for dilation in _DILATIONS)]
        branches = {
            name: branch(x) for name, branch in zip(names, self.branches, strict=True)
        }
        joined = torch.cat(list(branches.values()), dim=1)  # (B, 4C, h, w)
        enhanced = torch.relu(self.fuse(joined) + self.shortcut(x))  # (B, C, h, w)
        attention = self.attention(enhanced)
        return Enhanced(enhanced * attention, attention, branches)


class PlainSkip(nn.Module):
    """Pass the map on as it is: ResFormer without DFE."""

    def forward(self, x: Tensor) -> Enhanced:
        """Return the map unchanged."""
        return Enhanced(x, None, {})


def build_enhancement(channels: int, *, form: str = "paper") -> nn.Module:
    """Build the enhancement of one skip connection.

    Parameters
    ----------
    channels : int
        Channels of the skip.
    form : str
        One of `EnhancementForm`.

    Raises
    ------
    ModelOptionError
        If there is no such form.
    """
    match form:
        case EnhancementForm.PAPER:
            return DilatedEnhancement(channels)
        case EnhancementForm.REFERENCE:
            return ReferenceEnhancement(channels)
        case EnhancementForm.NONE:
            return PlainSkip()
    raise ModelOptionError(
        f"No dilated feature enhancement {form!r}. Choose one of"
        f" {', '.join(EnhancementForm)}."
    )


def _dilated(channels: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(
        channels, channels, 3, padding=dilation, dilation=dilation, bias=False
    )
