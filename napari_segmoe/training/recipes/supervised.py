"""The recipe `supervised`: Dice and cross-entropy of the mask, deep heads included."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from napari_segmoe.models.outputs import SegmentationOutput, foreground_scores
from napari_segmoe.training.batches import Batch
from napari_segmoe.training.class_losses import image_class_loss
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.fields import field_losses
from napari_segmoe.training.losses.class_overlap import (
    class_cross_entropy,
    class_dice_loss,
)
from napari_segmoe.training.losses.dice_cross_entropy import dice_cross_entropy
from napari_segmoe.training.recipes.object_classes import object_class_loss
from napari_segmoe.training.recipes.recipe import Recipe
from napari_segmoe.training.routing_usage import RoutingUsage


class Supervised(Recipe):
    """The mask by Dice and (binary) cross-entropy; prompts and objects as ever.

    An image head is built only where `TrainingConfig.image_head` asks for one.
    """

    usage: RoutingUsage | None = None

    def make_step(self, model: nn.Module) -> nn.Module:
        """Return a network with its losses."""
        self.usage = RoutingUsage()
        return SupervisedStep(model, self.config, self.usage)

    def epoch_figures(self) -> dict[str, Any]:
        """Return which experts the images asked, where a network has any."""
        return {} if self.usage is None else self.usage.event()


class SupervisedStep(nn.Module):
    """A network and its losses as one module.

    Parameters
    ----------
    model : nn.Module
    config : TrainingConfig
        Weights of the losses.
    usage : RoutingUsage
        Is told which experts the images ask.
    """

    def __init__(
        self, model: nn.Module, config: TrainingConfig, usage: RoutingUsage
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.usage = usage

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch; "loss" is their weighted sum."""
        output: SegmentationOutput = self.model(batch.image, batch.prompts)
        self.usage.add(output.routing)
        return supervised_losses(self.model, output, batch, self.config)


def supervised_losses(
    model: nn.Module,
    output: SegmentationOutput,
    batch: Batch,
    config: TrainingConfig,
) -> dict[str, Tensor]:
    """Return the losses of an answer by name; "loss" is their weighted sum.

    "dice" and "cross_entropy" of the mask, "auxiliary", their sum over the deep heads,
    and what else the network has heads for: fields, image class, class of objects.
    """
    parts: dict[str, Tensor] = {}
    total, parts["dice"], parts["cross_entropy"] = _mask_loss(
        output.logits, batch, config
    )
    for scores in output.auxiliary if config.auxiliary_weight else ():
        size = batch.truth.shape[-2:]
        enlarged = F.interpolate(scores.float(), size=size, mode="bilinear")
        loss = _mask_loss(enlarged, batch, config)[0]
        parts["auxiliary"] = parts.get("auxiliary", 0) + loss
        total = total + config.auxiliary_weight * loss
    if batch.fields is not None:
        cost, found = field_losses(output, batch.fields, config)
        total, parts = total + cost, parts | found
    if output.class_logits is not None:
        parts["class"] = image_class_loss(output.class_logits, batch, config)
        total = total + config.class_weight * parts["class"]
    objects = object_class_loss(model, output, batch, config)
    if objects is not None:
        parts["object_class"] = objects
        total = total + config.object_class_weight * objects
    return {"loss": total, **parts}


def _mask_loss(
    logits: Tensor, batch: Batch, config: TrainingConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weighted sum, the Dice loss and the cross-entropy.

    Of three channels or more, pixels' classes count; else what is object and what not.
    """
    classes = batch.truth_classes
    if classes is None or logits.shape[1] < 3:
        scores = foreground_scores(logits)
        dice, entropy = dice_cross_entropy(scores, batch.truth, batch.counted)
    else:
        weights = None if batch.balance is None else batch.balance.pixels
        dice = class_dice_loss(logits, classes)
        entropy = class_cross_entropy(logits, classes, weights)
    total = config.dice_weight * dice + config.pixel_weight * entropy
    return total, dice, entropy
