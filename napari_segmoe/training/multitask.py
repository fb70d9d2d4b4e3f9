"""The recipe `multitask`: mask, image class and object class in one step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segmoe.models.outputs import foreground_scores
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.fields import (
    FieldOptions,
    Fields,
    field_losses,
    make_fields,
)
from napari_segmoe.training.losses.boundary import boundary_loss
from napari_segmoe.training.losses.focal_cross_entropy import focal_cross_entropy
from napari_segmoe.training.losses.focal_tversky import focal_tversky_loss
from napari_segmoe.training.losses.texture import texture_loss
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
    rng: np.random.Generator,
    *,
    fields: FieldOptions | None = None,
) -> Batch:
    """Stack samples; images are normalised to mean 0.5, deviation 0.5.

    Parameters
    ----------
    samples : sequence of Sample
    rng : Generator
        Draws the rows whose region head pools the truth.
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
        pooled=torch.from_numpy(rng.random(len(samples)) < 0.5),
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


class MultitaskStep(nn.Module):
    """A network and its losses as one module, so that DDP sees one forward.

    Parameters
    ----------
    model : nn.Module
        With image head; a region head is trained where there is one.
    config : TrainingConfig
        Weights of the losses.
    """

    def __init__(self, model: nn.Module, config: TrainingConfig) -> None:
        super().__init__()
        self.model = model
        self.config = config

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch; "loss" is their weighted sum."""
        output = self.model(batch.image, batch.prompts)
        logits = output.foreground
        probability = logits.sigmoid()
        parts = self._mask_losses(logits, probability, batch.truth)
        config = self.config
        total = config.segmentation_weight * parts["segmentation"]
        if config.expert_weight and output.auxiliary:
            own = foreground_scores(output.auxiliary[0])
            losses = self._mask_losses(own, own.sigmoid(), batch.truth)
            parts["expert"] = losses["segmentation"]
            share = config.segmentation_weight * config.expert_weight
            total = total + share * parts["expert"]
        if batch.fields is not None:
            cost, found = field_losses(output, batch.fields, config)
            total, parts = total + cost, parts | found
        if output.class_logits is not None:
            parts["class"] = focal_cross_entropy(
                output.class_logits.float(),
                batch.image_class,
                smoothing=config.label_smoothing,
            )
            total = total + config.class_weight * parts["class"]
        if getattr(self.model, "region_head", None) is not None:
            pooled = batch.pooled[:, None, None, None]
            guess = probability.detach() * batch.near_object
            mask = torch.where(pooled, batch.object_mask, guess)
            scores = self.model.classify_region(output, mask)  # type: ignore[operator]
            parts["object_class"] = focal_cross_entropy(
                scores.float(),
                batch.object_class,
                smoothing=config.label_smoothing,
            )
            total = total + config.object_class_weight * parts["object_class"]
        return {"loss": total, **parts}

    def _mask_losses(
        self, logits: Tensor, probability: Tensor, truth: Tensor
    ) -> dict[str, Tensor]:
        config = self.config
        parts = {
            "tversky": focal_tversky_loss(
                probability,
                truth,
                false_positive=config.false_positive_weight,
                false_negative=config.false_negative_weight,
                gamma=config.tversky_gamma,
            ),
            "boundary": boundary_loss(probability, truth),
            "texture": texture_loss(probability, truth),
        }
        total = (
            parts["tversky"]
            + config.boundary_weight * parts["boundary"]
            + config.texture_weight * parts["texture"]
        )
        if config.cross_entropy_weight:
            parts["cross_entropy"] = F.binary_cross_entropy_with_logits(logits, truth)
            total = total + config.cross_entropy_weight * parts["cross_entropy"]
        return {"segmentation": total, **parts}
