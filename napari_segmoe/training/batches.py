"""Samples as tensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from napari_segmoe.data.mask_classes import IGNORED
from napari_segmoe.training.class_balance import ClassBalance
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
    truth_classes : Tensor, (B, n, n) int64, or None
        Class of each pixel of the truth, from 1; 0 is background, 255 not known.
    present : Tensor, (B, C), or None
        1 for each class that is in the view, NaN where the masks tell no classes.
    balance : ClassBalance or None
        Weights of these classes.
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
    truth_classes: Tensor | None = None
    present: Tensor | None = None
    balance: ClassBalance | None = None

    @property
    def counted(self) -> Tensor | None:
        """1 where it is known what is true, (B, 1, n, n); None: everywhere."""
        if self.truth_classes is None:
            return None
        unknown = (self.truth_classes[:, None] == IGNORED) & (self.truth == 0)
        return (~unknown).float()

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
    balance: ClassBalance | None = None,
) -> Batch:
    """Stack samples; images are normalised to mean 0.5, deviation 0.5.

    Parameters
    ----------
    samples : sequence of Sample
    fields : FieldOptions or None
        Whether targets of distance and boundary heads are made.
    balance : ClassBalance or None
        Weights of the classes that masks tell apart, where they do.
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
        truth_classes=truth_classes(samples),
        present=_present(samples),
        balance=balance,
    )


def truth_classes(samples: Sequence[Sample]) -> Tensor | None:
    """Return the class of each pixel, (B, n, n) int64; None where no sample has any.

    255 where it is not known, as in objects of samples whose masks tell no classes.
    """
    if all(sample.classes is None for sample in samples):
        return None
    rows = [
        np.where(one.truth, np.uint8(IGNORED), np.uint8(0))
        if one.classes is None
        else one.classes
        for one in samples
    ]
    return torch.from_numpy(np.stack(rows)).long()


def _present(samples: Sequence[Sample]) -> Tensor | None:
    count = max((len(s.present) for s in samples if s.present is not None), default=0)
    if not count:
        return None
    unknown = np.full(count, np.nan, np.float32)
    rows = [unknown if s.present is None else s.present for s in samples]
    return torch.from_numpy(np.stack(rows).astype(np.float32))


def _object_mask(sample: Sample) -> Mask:
    return sample.truth if sample.pooled is None else sample.pooled


def _near_object(sample: Sample) -> Mask:
    if sample.pooled is None:
        return np.ones_like(sample.truth)
    return np.asarray(ndimage.binary_dilation(sample.pooled, iterations=4))


def _stack(masks: Sequence[Mask]) -> Tensor:
    return torch.from_numpy(np.stack(masks)[:, None]).float()
