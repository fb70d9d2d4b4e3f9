"""Dice and pixel-wise cross-entropy of a mask."""

from torch import Tensor
from torch.nn import functional as F

from napari_segmoe.training.losses.shapes import check_same_shape


def dice_loss(
    probability: Tensor, target: Tensor, counted: Tensor | None = None
) -> Tensor:
    """Return 1 - Dice, its mean over images.

    Parameters
    ----------
    probability, target : Tensor, (B, 1, H, W)
        In 0..1.
    counted : Tensor, (B, 1, H, W), or None
        0 where the truth is not known, else 1.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    Milletari et al. 2016 with sums instead of squares. One pixel is added to both sides
    of the fraction, not nnU-Net's 1e-5, which leaves images in which nothing is to be
    found without a gradient.
    """
    check_same_shape(probability, target)
    if counted is not None:
        probability, target = probability * counted, target * counted
    axes = (1, 2, 3)
    overlap = (probability * target).sum(axes)
    sizes = probability.sum(axes) + target.sum(axes)
    return (1 - (2 * overlap + 1) / (sizes + 1)).mean()


def dice_cross_entropy(
    scores: Tensor, target: Tensor, counted: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the Dice loss and the binary cross-entropy of a mask's scores.

    Parameters
    ----------
    scores : Tensor, (B, 1, H, W)
        Their sigmoid is the foreground probability; of two channels of softmax scores
        the difference, whose cross-entropy is the same.
    target : Tensor, (B, 1, H, W)
        In 0..1.
    counted : Tensor, (B, 1, H, W), or None
        0 where the truth is not known and costs nothing, else 1.

    Returns
    -------
    tuple
        Dice loss, and cross-entropy, mean over the pixels that count.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    check_same_shape(scores, target)
    scores = scores.float()
    dice = dice_loss(scores.sigmoid(), target, counted)
    if counted is None:
        return dice, F.binary_cross_entropy_with_logits(scores, target)
    entropy = F.binary_cross_entropy_with_logits(
        scores, target, weight=counted, reduction="sum"
    )
    return dice, entropy / counted.sum().clamp_min(1)
