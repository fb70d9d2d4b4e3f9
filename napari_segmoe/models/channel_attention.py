"""Efficient channel attention (ECA), Wang et al. 2020, with a residual."""

import torch
from torch import Tensor, nn


class EfficientChannelAttention(nn.Module):
    """Weigh channels by a 1-D convolution over their means: ``x * w + x``.

    Parameters
    ----------
    kernel : int, default: 3
        Neighbouring channels that decide on one weight.

    Notes
    -----
    ResFormer's reference adds it to its patch embedding, patch merging and
    feed-forward layers; the paper does not mention it.
    """

    def __init__(self, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighed map, same shape as ``x``, (B, C, h, w)."""
        weight = self.conv(x.mean(dim=(2, 3))[:, None])[:, 0]  # (B, C)
        weight = torch.sigmoid(weight.float()).to(x.dtype)
        return x + x * weight[:, :, None, None]

    def weigh_tokens(self, tokens: Tensor) -> Tensor:
        """Do the same for channels-last tokens, (B, h, w, C)."""
        weight = self.conv(tokens.mean(dim=(1, 2))[:, None])[:, 0]  # (B, C)
        weight = torch.sigmoid(weight.float()).to(tokens.dtype)
        return tokens + tokens * weight[:, None, None, :]
