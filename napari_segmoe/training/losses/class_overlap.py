"""Losses of masks of several classes, and of several classes in an image."""

import torch
from torch import Tensor
from torch.nn import functional as F

IGNORED_PIXEL = 255


def class_dice_loss(logits: Tensor, classes: Tensor, *, smooth: float = 1.0) -> Tensor:
    """Return 1 - Dice, pooled over the batch for each class, its mean over classes.

    Parameters
    ----------
    logits : Tensor, (B, K, H, W)
        Softmax scores, background first.
    classes : Tensor, (B, H, W) int64
        Class of each pixel, 0 for background; 255 is not counted.
    smooth : float
        Added to both sides of the fraction, in pixels.

    Returns
    -------
    Tensor, ()
        Over the lesion classes that the batch's truth holds; 0 where it holds none.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a pixel's class is not below K.

    Notes
    -----
    Pooled over the batch as in ResFormer's code, without the background: an object of
    few pixels in one image has little to overlap with, and most classes are absent
    from most images.
    """
    check_classes(logits, classes)
    counts = classes != IGNORED_PIXEL
    wanted = F.one_hot(classes * counts, logits.shape[1]).movedim(3, 1)
    wanted = (wanted * counts[:, None]).to(torch.float32)[:, 1:]
    probability = logits.float().softmax(dim=1)[:, 1:] * counts[:, None]
    both = (probability * wanted).sum(dim=(0, 2, 3))
    sizes = (probability + wanted).sum(dim=(0, 2, 3))
    dice = (2 * both + smooth) / (sizes + smooth)
    held = wanted.amax(dim=(0, 2, 3)) > 0
    return ((1 - dice) * held).sum() / held.sum().clamp_min(1)


def class_cross_entropy(
    logits: Tensor, classes: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Return the cross-entropy of pixels' classes, its mean over counted pixels.

    Parameters
    ----------
    logits, classes : Tensor
        As in `class_dice_loss`.
    weights : Tensor, (K,), or None
        Of each class; not divided by again.

    Raises
    ------
    ValueError
        As `class_dice_loss`.
    """
    check_classes(logits, classes)
    entropy = F.cross_entropy(
        logits.float(),
        classes,
        weight=weights,
        ignore_index=IGNORED_PIXEL,
        reduction="sum",
    )
    return entropy / (classes != IGNORED_PIXEL).sum().clamp_min(1)


def multi_label_loss(
    logits: Tensor, present: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Return the binary cross-entropy of "this class is in the image".

    Parameters
    ----------
    logits : Tensor, (B, C)
        Sigmoid scores.
    present : Tensor, (B, C)
        0 or 1; NaN is not counted.
    weights : Tensor, (C,), or None
        Of each class.

    Returns
    -------
    Tensor, ()
        Mean over what counts; 0 where nothing does.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    The weighted multi-label loss of ResFormer (its code: MultiLabelSoftMargin, which
    is the same for labels of 0 and 1).
    """
    if logits.shape != present.shape or logits.ndim != 2:
        raise ValueError(
            f"Logits {tuple(logits.shape)} and labels {tuple(present.shape)} must both"
            " be (B, C)."
        )
    counts = ~present.isnan()
    entropy = F.binary_cross_entropy_with_logits(
        logits.float(), present.nan_to_num().float(), weight=weights, reduction="none"
    )
    return (entropy * counts).sum() / counts.sum().clamp_min(1)


def check_classes(logits: Tensor, classes: Tensor) -> None:
    """Raise ValueError unless scores (B, K, H, W) can say the classes (B, H, W)."""
    if logits.ndim != 4 or classes.shape != (logits.shape[0], *logits.shape[2:]):
        raise ValueError(
            f"Logits {tuple(logits.shape)} must be (B, K, H, W) and classes"
            f" {tuple(classes.shape)} (B, H, W)."
        )
    largest = int((classes * (classes != IGNORED_PIXEL)).max())
    if largest >= logits.shape[1]:
        raise ValueError(
            f"A pixel is of class {largest}; the network has {logits.shape[1]} with the"
            f" background. Build it with classes={largest + 1}."
        )
