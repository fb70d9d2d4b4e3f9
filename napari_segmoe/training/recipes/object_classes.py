"""The loss of the region head, the same in every recipe."""

import torch
from torch import Tensor, nn

from napari_segmoe.models.outputs import SegmentationOutput
from napari_segmoe.training.batches import Batch
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.losses.focal_cross_entropy import focal_cross_entropy


def object_class_loss(
    model: nn.Module,
    output: SegmentationOutput,
    batch: Batch,
    config: TrainingConfig,
) -> Tensor | None:
    """Return the loss of the classes of objects; None without a region head.

    Rows of ``batch.pooled`` pool what is truly there, the others what the network
    marked near the object, so that the head knows imperfect masks.
    """
    if getattr(model, "region_head", None) is None:
        return None
    guess = output.foreground.sigmoid().detach() * batch.near_object
    pooled = batch.pooled[:, None, None, None]
    mask = torch.where(pooled, batch.object_mask, guess)
    scores = model.classify_region(output, mask)  # type: ignore[operator]
    return focal_cross_entropy(
        scores.float(),
        batch.object_class,
        smoothing=config.label_smoothing,
        weights=None if batch.balance is None else batch.balance.images,
    )
