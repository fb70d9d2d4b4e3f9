"""The losses of classes that every recipe shares: of pixels and of images."""

from torch import Tensor
from torch.nn import functional as F

from napari_segmoe.training.batches import Batch
from napari_segmoe.training.config import ClassLoss, TrainingConfig
from napari_segmoe.training.losses.class_overlap import (
    class_cross_entropy,
    class_dice_loss,
    multi_label_loss,
)
from napari_segmoe.training.losses.focal_cross_entropy import focal_cross_entropy


def class_mask_loss(logits: Tensor, batch: Batch) -> Tensor | None:
    """Return Dice and cross-entropy of the classes of pixels.

    Parameters
    ----------
    logits : Tensor, (B, K, H, W)
        Of the size of the batch.
    batch : Batch

    Returns
    -------
    Tensor, (), or None
        None where the network tells no classes apart, or the masks do not.
    """
    classes = batch.truth_classes
    if classes is None or logits.shape[1] < 3:
        return None
    weights = None if batch.balance is None else batch.balance.pixels
    entropy = class_cross_entropy(logits, classes, weights)
    return class_dice_loss(logits, classes) + entropy


def image_class_loss(logits: Tensor, batch: Batch, config: TrainingConfig) -> Tensor:
    """Return the loss of the image head, as ``config.class_loss`` names it.

    Parameters
    ----------
    logits : Tensor, (B, C)
    batch : Batch
    config : TrainingConfig

    Returns
    -------
    Tensor, ()
        Multi-label: of the classes that a view shows; where masks tell none, of the
        image's class against all others.
    """
    if config.class_loss is ClassLoss.FOCAL:
        return focal_cross_entropy(
            logits.float(), batch.image_class, smoothing=config.label_smoothing
        )
    if batch.present is not None:
        weights = None if batch.balance is None else batch.balance.images
        return multi_label_loss(logits, batch.present, weights)
    known = batch.image_class >= 0
    labels = F.one_hot(batch.image_class.clamp_min(0), logits.shape[1]).float()
    return multi_label_loss(logits, labels.masked_fill(~known[:, None], float("nan")))
