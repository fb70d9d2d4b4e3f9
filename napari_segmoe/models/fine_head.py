"""A map at twice the resolution of a network's finest, for heads that need it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segmoe.models.search_operations import group_norm


class FineMap(nn.Module):
    """Join a network's finest map with its stem's first, at the stem's resolution.

    Objects a few pixels apart merge in a map of a quarter of the resolution, however
    good it is: what parts them is in the stem.

    Parameters
    ----------
    channels, stem_channels : int
        Channels of the finest map and of the stem's.
    width : int
        Channels of the result.
    """

    def __init__(self, channels: int, stem_channels: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, width, 1, bias=False)
        self.enter_norm = group_norm(width)
        self.join = nn.Conv2d(width + stem_channels, width, 3, padding=1, bias=False)
        self.join_norm = group_norm(width)

    def forward(self, x: Tensor, stem: Tensor) -> Tensor:
        """Return (B, width, 2h, 2w).

        Parameters
        ----------
        x : Tensor, (B, channels, h, w)
        stem : Tensor, (B, stem_channels, 2h, 2w)
        """
        x = F.relu(self.enter_norm(self.enter(x)))  # (B, width, h, w)
        x = F.interpolate(
            x, size=stem.shape[-2:], mode="bilinear", align_corners=False
        )  # (B, width, 2h, 2w)
        return F.relu(self.join_norm(self.join(torch.cat([x, stem], dim=1))))
