"""Boundary loss by curvature filtering."""

import torch
from torch import Tensor

from napari_segmoe.training.losses.filters import filter_separable
from napari_segmoe.training.losses.shapes import check_same_shape


def curvature_kernel(*, size: int = 5, sigma: float = 1.0) -> Tensor:
    """Return K(x, y) = (x^2 - y^2) exp(-r^2 / 2 sigma^2), (size, size), L1 norm 1.

    Al Shafi et al. 2026, section 2.4, sigma = 1.
    """
    bell, squared = _factors(size, sigma)
    kernel = torch.outer(bell, squared) - torch.outer(squared, bell)
    return kernel / kernel.abs().sum()


def _factors(size: int, sigma: float) -> tuple[Tensor, Tensor]:
    """Return exp(-x^2 / 2 sigma^2) and x^2 times it: the kernel is separable."""
    axis = torch.arange(-(size // 2), size // 2 + 1, dtype=torch.float64)
    bell = torch.exp(-(axis**2) / (2 * sigma**2))
    return bell, axis**2 * bell


_BELL, _SQUARED = (factor.tolist() for factor in _factors(5, 1.0))
_NORM = sum(
    abs(_BELL[i] * _SQUARED[j] - _SQUARED[i] * _BELL[j])
    for i in range(5)
    for j in range(5)
)


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
    error = probability - target
    across = filter_separable(error, down=_BELL, across=_SQUARED)
    down = filter_separable(error, down=_SQUARED, across=_BELL)
    return (across - down).abs().mean() / _NORM
