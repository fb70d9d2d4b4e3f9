"""Focal Tversky loss."""

from torch import Tensor

from napari_segmoe.training.losses.shapes import check_same_shape


def focal_tversky_loss(
    probability: Tensor,
    target: Tensor,
    *,
    false_positive: float = 0.3,
    false_negative: float = 0.7,
    gamma: float = 0.75,
    smooth: float = 1.0,
) -> Tensor:
    """Return the mean over images of (1 - TI)^gamma.

    Parameters
    ----------
    probability, target : Tensor, (B, 1, H, W)
        Foreground probability and truth, in 0..1.
    false_positive, false_negative : float
        Alpha and beta of the Tversky index; the paper's 0.3 and 0.7.
    gamma : float
        Focus; the paper's 0.75.
    smooth : float
        Added to both sides of the fraction, in pixels. 1, not the reference's 1e-7,
        which leaves images without a lesion without a gradient.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    Abraham and Khan 2019, with TI = (tp + s) / (tp + alpha fp + beta fn + s).
    """
    check_same_shape(probability, target)
    axes = (1, 2, 3)
    hit = (probability * target).sum(axes)
    over = (probability * (1 - target)).sum(axes)
    under = ((1 - probability) * target).sum(axes)
    index = (hit + smooth) / (
        hit + false_positive * over + false_negative * under + smooth
    )
    return (1 - index).clamp_min(1e-7).pow(gamma).mean()
