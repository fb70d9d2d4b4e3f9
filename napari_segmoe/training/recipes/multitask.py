"""The recipe `multitask`: mask, image class and object class in one step."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from napari_segmoe.models.outputs import foreground_scores
from napari_segmoe.training.batches import Batch
from napari_segmoe.training.class_losses import class_mask_loss, image_class_loss
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.fields import field_losses
from napari_segmoe.training.losses.boundary import boundary_loss
from napari_segmoe.training.losses.focal_tversky import focal_tversky_loss
from napari_segmoe.training.losses.texture import texture_loss
from napari_segmoe.training.recipes.object_classes import object_class_loss
from napari_segmoe.training.recipes.recipe import Recipe
from napari_segmoe.training.routing_usage import RoutingUsage


class Multitask(Recipe):
    """Mask, image class and object class in one step."""

    usage: RoutingUsage | None = None

    def make_step(self, model: nn.Module) -> nn.Module:
        """Return a network with its losses."""
        self.usage = RoutingUsage()
        return MultitaskStep(model, self.config, self.usage)

    def epoch_figures(self) -> dict[str, Any]:
        """Return which experts the images asked, where a network has any."""
        return {} if self.usage is None else self.usage.event()


class MultitaskStep(nn.Module):
    """A network and its losses as one module, so that DDP sees one forward.

    Parameters
    ----------
    model : nn.Module
        With image head; a region head is trained where there is one.
    config : TrainingConfig
        Weights of the losses.
    usage : RoutingUsage or None
        Is told which experts the images ask.
    """

    def __init__(
        self,
        model: nn.Module,
        config: TrainingConfig,
        usage: RoutingUsage | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.usage = usage

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch; "loss" is their weighted sum."""
        output = self.model(batch.image, batch.prompts)
        if self.usage is not None:
            self.usage.add(output.routing)
        logits = output.foreground
        parts = self._mask_losses(logits, batch)
        config = self.config
        total = config.segmentation_weight * parts["segmentation"]
        if config.expert_weight and output.auxiliary:
            own = foreground_scores(output.auxiliary[0])
            losses = self._mask_losses(own, batch)
            parts["expert"] = losses["segmentation"]
            share = config.segmentation_weight * config.expert_weight
            total = total + share * parts["expert"]
        classes = class_mask_loss(output.logits, batch)
        if classes is not None:
            parts["mask_classes"] = classes
            total = total + config.mask_class_weight * classes
        if batch.fields is not None:
            cost, found = field_losses(output, batch.fields, config)
            total, parts = total + cost, parts | found
        if output.class_logits is not None:
            parts["class"] = image_class_loss(output.class_logits, batch, config)
            total = total + config.class_weight * parts["class"]
        objects = object_class_loss(self.model, output, batch, config)
        if objects is not None:
            parts["object_class"] = objects
            total = total + config.object_class_weight * objects
        return {"loss": total, **parts}

    def _mask_losses(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        config, truth, counted = self.config, batch.truth, batch.counted
        probability = logits.sigmoid()
        if counted is not None:  # what is not known is right as it is
            probability = probability * counted
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
            parts["cross_entropy"] = F.binary_cross_entropy_with_logits(
                logits, truth, weight=counted
            )
            total = total + config.cross_entropy_weight * parts["cross_entropy"]
        return {"segmentation": total, **parts}
