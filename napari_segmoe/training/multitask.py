"""The recipe `multitask`: mask, image class and object class in one step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.losses.boundary import boundary_loss
from napari_segmoe.training.losses.focal_cross_entropy import focal_cross_entropy
from napari_segmoe.training.losses.focal_tversky import focal_tversky_loss
from napari_segmoe.training.losses.texture import texture_loss
from napari_segmoe.training.samples import Sample


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
    """

    image: Tensor
    prompts: Tensor
    truth: Tensor
    pooled: Tensor
    image_class: Tensor
    object_class: Tensor

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        return Batch(
            **{
                name: getattr(self, name).to(device, non_blocking=True)
                for name in self.__slots__
            }
        )


def make_batch(samples: Sequence[Sample], rng: np.random.Generator) -> Batch:
    """Stack samples; images are normalised to mean 0.5, deviation 0.5."""
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
    )


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
        if output.class_logits is not None:
            parts["class"] = focal_cross_entropy(
                output.class_logits.float(),
                batch.image_class,
                smoothing=config.label_smoothing,
            )
            total = total + config.class_weight * parts["class"]
        if getattr(self.model, "region_head", None) is not None:
            pooled = batch.pooled[:, None, None, None]
            mask = torch.where(pooled, batch.truth, probability.detach())
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
