"""Boundary loss by curvature filtering."""

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_segmoe.training.losses.shapes import check_same_shape


def curvature_kernel(*, size: int = 5, sigma: float = 1.0) -> Tensor:
    """Return K(x, y) = (x^2 - y^2) exp(-r^2 / 2 sigma^2), (size, size), L1 norm 1.

    Al Shafi et al. 2026, section 2.4, sigma = 1.
    """
    half = size // 2
    axis = torch.arange(-half, half + 1, dtype=torch.float64)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    kernel = (x**2 - y**2) * torch.exp(-(x**2 + y**2) / (2 * sigma**2))
    return kernel / kernel.abs().sum()


def boundary_loss(probability: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference of both masks' curvature maps.

    Parameters
    ----------
    probability, target : Tensor, (B, 1, H, W)
        Foreground probability and truth, in 0..1.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    Eq. (11) of Al Shafi et al. 2026 with the probability itself in place of its
    thresholded form, which has no gradient.
    """
    check_same_shape(probability, target)
    kernel = curvature_kernel().to(probability)[None, None]
    difference = F.conv2d(probability - target, kernel, padding=kernel.shape[-1] // 2)
    return difference.abs().mean()
