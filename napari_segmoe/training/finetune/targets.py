"""Targets of partly known samples, and where they are known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_segmoe.data.targets import boundary_ring, clipped_distance_px
from napari_segmoe.training.finetune.network import stack_images, stack_prompts
from napari_segmoe.training.finetune.views import PartialSample

_RING_PX = 2


@dataclass(slots=True, eq=False)
class PartialBatch:
    """Partly known samples as tensors, all (B, 1, n, n) but the first and the last.

    Attributes
    ----------
    image, prompts : Tensor, (B, 3, n, n) and (B, 5, n, n)
    truth, weight : Tensor
        Mask, and how much each pixel counts; 0 where it is not known.
    distance, distance_known : Tensor
        In -1..1, and where it is the true one whatever lies in the unknown.
    ring, ring_known : Tensor
        Boundaries, and where they are known.
    pooled : Tensor
        The object whose class is asked for.
    object_class : Tensor, (B,) int64
        From 0; -1: not asked for.
    """

    image: Tensor
    prompts: Tensor
    truth: Tensor
    weight: Tensor
    distance: Tensor
    distance_known: Tensor
    ring: Tensor
    ring_known: Tensor
    pooled: Tensor
    object_class: Tensor

    def to(self, device: torch.device) -> "PartialBatch":
        """Return the batch on a device."""
        moved = {name: getattr(self, name).to(device) for name in self.__slots__}
        return PartialBatch(**moved)


def stack_partial(samples: Sequence[PartialSample], *, limit_px: float) -> PartialBatch:
    """Return samples as tensors.

    Parameters
    ----------
    samples : sequence of PartialSample
    limit_px : float
        Largest distance told apart.
    """
    fields = [partial_fields(one.ids, limit_px=limit_px) for one in samples]
    return PartialBatch(
        image=stack_images([one.image for one in samples]),
        prompts=stack_prompts(samples),
        truth=_stack([one.ids > 0 for one in samples]),
        weight=_stack([(one.ids >= 0) * one.weight for one in samples]),
        distance=_stack([one.distance for one in fields]),
        distance_known=_stack([one.distance_known for one in fields]),
        ring=_stack([one.ring for one in fields]),
        ring_known=_stack([one.ring_known for one in fields]),
        pooled=_stack(
            [
                np.zeros(one.ids.shape) if one.pooled is None else one.pooled
                for one in samples
            ]
        ),
        object_class=torch.tensor([one.object_class for one in samples]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class PartialFields:
    """Distance and ring of one sample, (n, n), and where they are known."""

    distance: NDArray[np.float32]
    distance_known: NDArray[np.bool_]
    ring: NDArray[np.bool_]
    ring_known: NDArray[np.bool_]


def partial_fields(ids: NDArray[np.integer], *, limit_px: float) -> PartialFields:
    """Return targets of the distance and boundary heads within what is known.

    Parameters
    ----------
    ids : (n, n) integers
        -1 where nothing is known.
    limit_px : float
        Distances are clipped at it and divided by it.

    Notes
    -----
    An edge hidden in the unknown may be nearer than the nearest known one: a distance
    is known where the unknown is at least as far away.
    """
    known = ids >= 0
    marked = np.maximum(ids, 0)
    signed = clipped_distance_px(marked, limit_px=limit_px, per_instance=True)
    ring = boundary_ring(marked, per_instance=True)
    if known.all():
        whole = np.ones(ids.shape, bool)
        return PartialFields(signed / np.float32(limit_px), whole, ring, whole)
    away = ndimage.distance_transform_edt(known)
    return PartialFields(
        signed / np.float32(limit_px),
        known & (away >= np.abs(signed)),
        ring,
        known & (away > _RING_PX),
    )


def _stack(maps: Sequence[NDArray[np.generic]]) -> Tensor:
    return torch.from_numpy(np.stack(maps)[:, None].astype(np.float32))
