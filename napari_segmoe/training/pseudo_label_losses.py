"""Losses on images without masks: against pseudo-labels, and mask against distance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from napari_segmoe.models.outputs import SegmentationOutput, foreground_scores
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.losses.class_overlap import (
    IGNORED_PIXEL,
    class_cross_entropy,
    class_dice_loss,
)
from napari_segmoe.training.losses.dice_cross_entropy import (
    dice_cross_entropy,
    dice_loss,
)
from napari_segmoe.training.pseudo_labels import PseudoLabels


@dataclass(frozen=True, slots=True, eq=False)
class TaughtHeads:
    """Heads that learn from pseudo-labels, in the networks' own scales.

    Attributes
    ----------
    mask : Tensor, (B, K, H, W)
        K = 1: sigmoid; K >= 2: softmax, background first.
    distance, boundary : Tensor, (B, 1, H, W), or None
    """

    mask: Tensor
    distance: Tensor | None
    boundary: Tensor | None


def expert_heads(output: SegmentationOutput) -> TaughtHeads | None:
    """Return what experts with heads of their own say alone; None without experts."""
    own = output.expert_outputs
    if "mask expert" not in own:
        return None
    return TaughtHeads(
        mask=own["mask expert"],
        distance=own.get("distance expert"),
        boundary=own.get("boundary expert"),
    )


def main_heads(output: SegmentationOutput) -> TaughtHeads:
    """Return the network's prediction itself: with gates, that of the gates."""
    return TaughtHeads(output.logits, output.distance, output.boundary)


def pseudo_label_losses(
    heads: Sequence[TaughtHeads], labels: PseudoLabels, config: TrainingConfig
) -> dict[str, Tensor]:
    """Return the losses of heads against pseudo-labels, summed over heads by task.

    Parameters
    ----------
    heads : sequence of TaughtHeads
        At least one.
    labels : PseudoLabels
        Of the same images.
    config : TrainingConfig
        ``confidence_gate`` leaves out pixels; ``cross_entropy_weight`` adds pixel-wise
        cross-entropy to the mask's Dice, and ``mask_class_weight`` the classes of
        pixels, as on labelled images.

    Returns
    -------
    dict
        "mask", and "distance" and "ring" where heads and labels have them.

    Notes
    -----
    Semi-MoE: Dice of the mask, squared error of the distance, Dice of the boundary.
    """
    counted = labels.counted(config.confidence_gate)
    sums: dict[str, Tensor] = {}
    for head in heads:
        for name, loss in _losses(head, labels, counted, config).items():
            sums[name] = sums[name] + loss if name in sums else loss
    return sums


def _losses(
    head: TaughtHeads,
    labels: PseudoLabels,
    counted: Tensor | None,
    config: TrainingConfig,
) -> dict[str, Tensor]:
    losses = {"mask": _mask_loss(head.mask, labels.mask, counted, config)}
    if head.distance is not None and labels.distance is not None:
        error = F.mse_loss(head.distance.float(), labels.distance, reduction="none")
        losses["distance"] = _mean(error, counted)
    if head.boundary is not None and labels.boundary is not None:
        ring = head.boundary.float().sigmoid()
        losses["ring"] = dice_loss(ring, labels.boundary, counted)
    return losses


def _mask_loss(
    logits: Tensor, classes: Tensor, counted: Tensor | None, config: TrainingConfig
) -> Tensor:
    """Return the loss of object or not, and of classes where a network tells them."""
    marked = (classes > 0).float()
    dice, entropy = dice_cross_entropy(foreground_scores(logits), marked, counted)
    loss = dice + config.cross_entropy_weight * entropy
    if logits.shape[1] < 3:
        return loss
    known = classes[:, 0]
    if counted is not None:
        known = known.masked_fill(counted[:, 0] == 0, IGNORED_PIXEL)
    told = class_dice_loss(logits, known) + class_cross_entropy(logits, known)
    return loss + config.mask_class_weight * told


def _mean(values: Tensor, counted: Tensor | None) -> Tensor:
    if counted is None:
        return values.mean()
    return (values * counted).sum() / counted.sum().clamp_min(1)


def consistency_loss(output: SegmentationOutput, *, limit_px: float) -> Tensor:
    """Return how far the mask is from what the predicted distance says.

    Parameters
    ----------
    output : SegmentationOutput
        With a distance head; both sides get gradients.
    limit_px : float
        The distance of 1 on the head's scale, network pixels.

    Raises
    ------
    ValueError
        If there is no distance.

    Notes
    -----
    As in Luo et al., "Semi-supervised medical image segmentation through dual-task
    consistency", AAAI 2021, with a slope at which one pixel inside is 0.75.
    """
    if output.distance is None:
        raise ValueError("The output has no distance to compare the mask with.")
    slope = math.log(3.0) * limit_px
    told = (slope * output.distance.float()).sigmoid()
    return F.mse_loss(output.foreground.sigmoid(), told)
