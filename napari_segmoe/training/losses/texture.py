"""Texture loss: consistency of gradient spread."""

from torch import Tensor

from napari_segmoe.training.losses.filters import filter_separable
from napari_segmoe.training.losses.shapes import check_same_shape

_SOBEL_DOWN = (1.0, 2.0, 1.0)
_SOBEL_ACROSS = (-1.0, 0.0, 1.0)


def texture_loss(
    probability: Tensor, target: Tensor, *, epsilon: float = 1e-8
) -> Tensor:
    """Return the mean |std(Sx * M) - std(Sx * M_hat)| over images.

    Parameters
    ----------
    probability, target : Tensor, (B, 1, H, W)
        Foreground probability and truth, in 0..1.
    epsilon : float
        Added to the variance, so that a flat map has a finite gradient.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    Eq. (12) of Al Shafi et al. 2026; Sx is the horizontal Sobel operator.
    """
    check_same_shape(probability, target)
    spread = [
        (
            filter_separable(mask, down=_SOBEL_DOWN, across=_SOBEL_ACROSS).var(
                dim=(1, 2, 3), unbiased=False
            )
            + epsilon
        ).sqrt()
        for mask in (probability, target)
    ]
    return (spread[0] - spread[1]).abs().mean()
