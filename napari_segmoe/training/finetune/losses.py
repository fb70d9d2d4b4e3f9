"""What a step of a round costs: partly known corrections, and answers to keep."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segmoe.models.outputs import SegmentationOutput, foreground_scores
from napari_segmoe.training.finetune.targets import PartialBatch
from napari_segmoe.training.losses.focal_cross_entropy import focal_cross_entropy

_LEAST_KNOWN_PX = 64


@dataclass(frozen=True, slots=True)
class LossWeights:
    """How the heads count, as in the training of the weights that a round starts from.

    Attributes
    ----------
    mask, distance, ring, object_class : float
    experts : float
        Experts' own outputs, over the gates'.
    limit_px : float
        Of the distance.
    """

    mask: float = 0.8
    distance: float = 1.0
    ring: float = 0.25
    object_class: float = 0.1
    experts: float = 0.0
    limit_px: float = 16.0


def loss_weights(training: Mapping[str, Any]) -> LossWeights:
    """Return the weights that a card's training states, else the usual ones."""
    usual = LossWeights()
    named = {
        "mask": "segmentation_weight",
        "distance": "distance_weight",
        "ring": "ring_weight",
        "object_class": "object_class_weight",
        "experts": "expert_weight",
        "limit_px": "distance_limit_px",
    }
    return LossWeights(
        **{
            name: float(training.get(key, getattr(usual, name)))
            for name, key in named.items()
        }
    )


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """What a network says in scores, (B, 1, n, n) float32; None: it does not.

    ``mask`` and ``ring`` are scores whose sigmoid is the probability.
    """

    mask: Tensor
    distance: Tensor | None = None
    ring: Tensor | None = None

    def rows(self, rows: slice) -> "Heads":
        """Return some images' part."""
        return Heads(
            self.mask[rows],
            None if self.distance is None else self.distance[rows],
            None if self.ring is None else self.ring[rows],
        )


def main_heads(output: SegmentationOutput) -> Heads:
    """Return the network's answer."""
    return Heads(output.foreground, _float(output.distance), _float(output.boundary))


def expert_heads(output: SegmentationOutput) -> Heads | None:
    """Return what experts say alone; None where they have no heads of their own."""
    own = output.expert_outputs
    if "mask expert" not in own:
        return None
    return Heads(
        foreground_scores(own["mask expert"]),
        _float(own.get("distance expert")),
        _float(own.get("boundary expert")),
    )


def _float(scores: Tensor | None) -> Tensor | None:
    return None if scores is None else scores.float()


def partial_loss(
    heads: Heads, batch: PartialBatch, weights: LossWeights
) -> dict[str, Tensor]:
    """Return the losses of what is known; "loss" is their weighted sum.

    Zero, with a gradient of zero, where nothing is known.
    """
    parts = {"mask": _mask_loss(heads.mask, batch.truth, batch.weight)}
    total = weights.mask * parts["mask"]
    if heads.distance is not None and weights.distance:
        error = (heads.distance - batch.distance).square()
        parts["distance"] = _mean(error, batch.distance_known * batch.weight)
        total = total + weights.distance * parts["distance"]
    if heads.ring is not None and weights.ring:
        known = batch.ring_known * batch.weight
        parts["ring"] = _mask_loss(heads.ring, batch.ring, known)
        total = total + weights.ring * parts["ring"]
    return {"loss": total, **parts}


def _mask_loss(scores: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Return cross-entropy plus soft Dice over known pixels."""
    entropy = F.binary_cross_entropy_with_logits(scores, truth, reduction="none")
    probability = scores.sigmoid()
    axes = (1, 2, 3)
    both = (probability * truth * weight).sum(axes)
    sizes = (probability * weight).sum(axes) + (truth * weight).sum(axes)
    dice = 1 - (2 * both + 1) / (sizes + 1)
    counts = ((truth * weight).sum(axes) >= _LEAST_KNOWN_PX).float()
    overlap = (dice * counts).sum() / counts.sum().clamp_min(1)
    return _mean(entropy, weight) + overlap


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp_min(1)


def class_loss(
    model: nn.Module, output: SegmentationOutput, batch: PartialBatch
) -> Tensor | None:
    """Return the loss of objects' classes; None where no object's class is known."""
    if getattr(model, "region_head", None) is None or not bool(
        (batch.object_class >= 0).any()
    ):
        return None
    rows = slice(0, len(batch.pooled))
    mask = torch.cat(
        [
            batch.pooled,
            batch.pooled.new_zeros(
                (output.foreground.shape[0] - rows.stop, *batch.pooled.shape[1:])
            ),
        ]
    )
    scores = model.classify_region(output, mask)[rows]  # type: ignore[operator]
    return focal_cross_entropy(scores.float(), batch.object_class)


def keeping_loss(
    heads: Heads, kept: Heads, counted: Tensor, weights: LossWeights
) -> Tensor:
    """Return how far answers are from those that are to be kept.

    Parameters
    ----------
    heads, kept : Heads
        The network's, and what the base network said.
    counted : Tensor, (B, 1, n, n)
        0 where corrections say otherwise, else 1.
    weights : LossWeights
    """
    total = weights.mask * _mean(_divergence(heads.mask, kept.mask), counted)
    if heads.distance is not None and kept.distance is not None and weights.distance:
        error = (heads.distance - kept.distance).square()
        total = total + weights.distance * _mean(error, counted)
    if heads.ring is not None and kept.ring is not None and weights.ring:
        total = total + weights.ring * _mean(
            _divergence(heads.ring, kept.ring), counted
        )
    return total


def _divergence(scores: Tensor, kept: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of each pixel's probability."""
    wanted = kept.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(scores, wanted, reduction="none")
    least = F.binary_cross_entropy_with_logits(kept, wanted, reduction="none")
    return entropy - least
