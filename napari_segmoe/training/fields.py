"""Targets and losses of distance and boundary heads, and of experts' own outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_segmoe.data.targets import boundary_ring, clipped_distance_px
from napari_segmoe.models.outputs import SegmentationOutput
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.losses.focal_tversky import focal_tversky_loss
from napari_segmoe.training.samples import Sample


@dataclass(frozen=True, slots=True)
class FieldOptions:
    """Which fields are made: the distance is clipped at the limit and divided by it.

    A ring that no loss asks for is left empty, since it costs as much as the distance.
    """

    distance_limit_px: float
    with_ring: bool = True


@dataclass(slots=True, eq=False)  # not frozen: Fabric copies into it
class Fields:
    """What distance and boundary heads should say.

    Attributes
    ----------
    distance : Tensor, (B, 1, n, n) float32
        In -1..1, positive inside, zero along each object's edge.
    ring : Tensor, (B, 1, n, n) float32
        1 within 2 px of an object that a pixel is no part of.
    """

    distance: Tensor
    ring: Tensor

    def to(self, device: torch.device) -> "Fields":
        """Return the fields on a device."""
        return Fields(self.distance.to(device), self.ring.to(device))


def field_options(config: TrainingConfig) -> FieldOptions | None:
    """Return the options of a run, or None where no loss asks for fields."""
    if not config.distance_weight and not config.ring_weight:
        return None
    return FieldOptions(config.distance_limit_px, with_ring=config.ring_weight > 0)


def make_fields(samples: Sequence[Sample], options: FieldOptions) -> Fields:
    """Return the fields of samples; touching objects are kept apart."""
    limit = options.distance_limit_px
    distance, ring = [], []
    for sample in samples:
        ids = sample.truth if sample.ids is None else sample.ids
        signed = clipped_distance_px(ids, limit_px=limit, per_instance=True)
        distance.append(signed / np.float32(limit))
        if options.with_ring:
            ring.append(boundary_ring(ids, per_instance=True))
        else:
            ring.append(np.zeros(ids.shape, bool))
    return Fields(
        torch.from_numpy(np.stack(distance)[:, None]),
        torch.from_numpy(np.stack(ring)[:, None]).float(),
    )


def field_losses(
    output: SegmentationOutput, fields: Fields, config: TrainingConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the weighted sum of the heads' losses, and each.

    Parameters
    ----------
    output : SegmentationOutput
        Heads that it lacks cost nothing; ``expert_outputs`` count
        ``config.expert_weight`` times as much as the gates' heads.
    """
    own = output.expert_outputs
    parts: dict[str, Tensor] = {}
    total = fields.distance.new_zeros(())
    for name, weight, heads in (
        ("distance", config.distance_weight, _pair(output.distance, own, "distance")),
        ("ring", config.ring_weight, _pair(output.boundary, own, "boundary")),
    ):
        for share, head in zip((1.0, config.expert_weight), heads, strict=True):
            if head is None or not share * weight:
                continue
            loss = _FIELD_LOSSES[name](head.float(), getattr(fields, name))
            parts[name] = parts.get(name, 0) + share * loss
            total = total + share * weight * loss
    return total, parts


def _pair(
    gated: Tensor | None, own: Mapping[str, Tensor], expert: str
) -> tuple[Tensor | None, Tensor | None]:
    return gated, own.get(f"{expert} expert")


def _distance_loss(found: Tensor, wanted: Tensor) -> Tensor:
    return F.mse_loss(found, wanted)


def _ring_loss(scores: Tensor, wanted: Tensor) -> Tensor:
    overlap = focal_tversky_loss(
        scores.sigmoid(), wanted, false_positive=0.5, false_negative=0.5, gamma=1.0
    )
    return overlap + F.binary_cross_entropy_with_logits(scores, wanted)


_FIELD_LOSSES = {"distance": _distance_loss, "ring": _ring_loss}
