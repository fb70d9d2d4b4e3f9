"""Samples as tensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from napari_segmoe.training.fields import FieldOptions, Fields, make_fields
from napari_segmoe.training.samples import Sample
from napari_segmoe.types import Mask


@dataclass(slots=True, eq=False)
class Batch:
    """Samples as tensors.

    Attributes
    ----------
    image : Tensor, (B, 3, n, n)
        Normalised.
    prompts : Tensor, (B, 5, n, n)
    truth : Tensor, (B, 1, n, n)
    pooled : Tensor, (B,) bool
        Rows whose region head pools the truth; the others pool the prediction.
    image_class, object_class : Tensor, (B,) int64
    object_mask, near_object : Tensor, (B, 1, n, n)
        The object whose class is asked for, and where its prediction is pooled.
    fields : Fields or None
        Targets of distance and boundary heads.
    """

    image: Tensor
    prompts: Tensor
    truth: Tensor
    pooled: Tensor
    image_class: Tensor
    object_class: Tensor
    object_mask: Tensor
    near_object: Tensor
    fields: Fields | None = None

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        moved: dict[str, Any] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            moved[name] = None if value is None else value.to(device)
        return Batch(**moved)


def make_batch(
    samples: Sequence[Sample],
    *,
    fields: FieldOptions | None = None,
) -> Batch:
    """Stack samples; images are normalised to mean 0.5, deviation 0.5.

    Parameters
    ----------
    samples : sequence of Sample
    fields : FieldOptions or None
        Whether targets of distance and boundary heads are made.
    """
    image = (torch.stack([sample.image for sample in samples]) - 0.5) / 0.5
    return Batch(
        image=image.contiguous(memory_format=torch.channels_last),
        prompts=torch.from_numpy(np.stack([sample.maps() for sample in samples])),
        truth=torch.from_numpy(
            np.stack([sample.truth for sample in samples])[:, None]
        ).float(),
        pooled=torch.tensor([sample.pools_truth for sample in samples]),
        image_class=torch.tensor([sample.image_class for sample in samples]),
        object_class=torch.tensor([sample.object_class for sample in samples]),
        object_mask=_stack([_object_mask(sample) for sample in samples]),
        near_object=_stack([_near_object(sample) for sample in samples]),
        fields=None if fields is None else make_fields(samples, fields),
    )


def _object_mask(sample: Sample) -> Mask:
    return sample.truth if sample.pooled is None else sample.pooled


def _near_object(sample: Sample) -> Mask:
    if sample.pooled is None:
        return np.ones_like(sample.truth)
    return np.asarray(ndimage.binary_dilation(sample.pooled, iterations=4))


def _stack(masks: Sequence[Mask]) -> Tensor:
    return torch.from_numpy(np.stack(masks)[:, None]).float()
