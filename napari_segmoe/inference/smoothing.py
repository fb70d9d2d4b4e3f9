"""Smooth mask scores: transposed convolutions leave a comb along edges."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_LARGEST_SCORE = 8.0


def smooth_scores(scores: Tensor, sigma: float) -> Tensor:
    """Return scores, (1, 1, n, n), clipped and blurred by a Gaussian."""
    if sigma == 0:
        return scores
    reach = math.ceil(3 * sigma)
    axis = torch.arange(-reach, reach + 1, device=scores.device, dtype=scores.dtype)
    kernel = torch.exp(-(axis**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(
        scores.clamp(-_LARGEST_SCORE, _LARGEST_SCORE), (reach,) * 4, mode="replicate"
    )
    rows = F.conv2d(padded, kernel[None, None, :, None])
    return F.conv2d(rows, kernel[None, None, None, :])
