"""Dice and pixel-wise cross-entropy, for one class and for many."""

import torch
from torch import Tensor
from torch.nn import functional as F

SMOOTH_PX = 1.0


def dice_loss(
    probability: Tensor, target: Tensor, counted: Tensor | None = None
) -> Tensor:
    """Return 1 - Dice, its mean over images and classes.

    Parameters
    ----------
    probability, target : Tensor, (B, K, H, W)
        In 0..1; classes besides the background.
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
    if probability.shape != target.shape:
        raise ValueError(
            f"Probability has shape {tuple(probability.shape)}, target"
            f" {tuple(target.shape)}; they must be equal."
        )
    if counted is not None:
        probability, target = probability * counted, target * counted
    overlap = (probability * target).sum(dim=(2, 3))
    sizes = probability.sum(dim=(2, 3)) + target.sum(dim=(2, 3))
    return (1 - (2 * overlap + SMOOTH_PX) / (sizes + SMOOTH_PX)).mean()


def dice_cross_entropy(
    logits: Tensor, truth: Tensor, counted: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the Dice loss and the cross-entropy of mask scores.

    Parameters
    ----------
    logits : Tensor, (B, K, H, W)
        K = 1: sigmoid; K >= 2: softmax, background first.
    truth : Tensor, (B, 1, H, W)
        Class of each pixel, 0 for background; with K = 1 also shares in 0..1.
    counted : Tensor, (B, 1, H, W), or None
        0 where the truth is not known and costs nothing, else 1.

    Returns
    -------
    tuple
        Dice loss, mean over the foreground classes, and (binary) cross-entropy, mean
        over the pixels that count.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a pixel's class is not below K.
    """
    logits = logits.float()
    expected = (logits.shape[0], 1, *logits.shape[2:])
    if truth.shape != expected:
        raise ValueError(
            f"Truth has shape {tuple(truth.shape)}; expected {expected}, as the scores"
            f" are {tuple(logits.shape)}."
        )
    if logits.shape[1] == 1:
        wanted = truth.float()
        entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        return dice_loss(logits.sigmoid(), wanted, counted), _mean(entropy, counted)
    count = logits.shape[1]
    classes = truth[:, 0].long()
    if counted is not None:
        classes = classes * (counted[:, 0] > 0)
    if int(classes.max()) >= count:
        raise ValueError(
            f"A pixel is of class {int(classes.max())}; the network has {count} classes"
            f" with the background. Build it with classes={int(classes.max()) + 1}."
        )
    entropy = F.cross_entropy(logits, classes, reduction="none")[:, None]
    wanted = F.one_hot(classes, count).movedim(3, 1).to(logits.dtype)  # (B, K, H, W)
    probability = torch.softmax(logits, dim=1)
    dice = dice_loss(probability[:, 1:], wanted[:, 1:], counted)
    return dice, _mean(entropy, counted)


def _mean(values: Tensor, counted: Tensor | None) -> Tensor:
    if counted is None:
        return values.mean()
    return (values * counted).sum() / counted.sum().clamp_min(1)
