"""Dice and pixel-wise cross-entropy, for one class and for many."""

import torch
from torch import Tensor
from torch.nn import functional as F

SMOOTH_PX = 1.0


def dice_loss(probability: Tensor, target: Tensor) -> Tensor:
    """Return 1 - Dice, its mean over images and classes.

    Parameters
    ----------
    probability, target : Tensor, (B, K, H, W)
        In 0..1; classes besides the background.

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
    overlap = (probability * target).sum(dim=(2, 3))
    sizes = probability.sum(dim=(2, 3)) + target.sum(dim=(2, 3))
    return (1 - (2 * overlap + SMOOTH_PX) / (sizes + SMOOTH_PX)).mean()


def dice_cross_entropy(logits: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Return the Dice loss and the cross-entropy of mask scores.

    Parameters
    ----------
    logits : Tensor, (B, K, H, W)
        K = 1: sigmoid; K >= 2: softmax, background first.
    truth : Tensor, (B, 1, H, W)
        Class of each pixel, 0 for background; with K = 1 also shares in 0..1.

    Returns
    -------
    tuple
        Dice loss over the foreground classes, and (binary) cross-entropy over pixels.
        A class that neither the truth nor the prediction of an image holds costs
        nothing.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a pixel's class is not below K.
    """
    logits = logits.float()
    if truth.shape != (logits.shape[0], 1, *logits.shape[2:]):
        raise ValueError(
            f"Truth has shape {tuple(truth.shape)}; expected"
            f" {(logits.shape[0], 1, *logits.shape[2:])}, as the scores'"
            f" {tuple(logits.shape)}."
        )
    count = logits.shape[1]
    if count == 1:
        entropy = F.binary_cross_entropy_with_logits(logits, truth.float())
        return dice_loss(logits.sigmoid(), truth.float()), entropy
    classes = truth[:, 0].long()
    if int(classes.max()) >= count:
        raise ValueError(
            f"A pixel is of class {int(classes.max())}; the network has {count} classes"
            f" with the background. Build it with classes={int(classes.max()) + 1}."
        )
    wanted = F.one_hot(classes, count).movedim(3, 1).to(logits.dtype)  # (B, K, H, W)
    probability = torch.softmax(logits, dim=1)
    return (
        dice_loss(probability[:, 1:], wanted[:, 1:]),
        F.cross_entropy(logits, classes),
    )
