"""Quick figures on the validation images during a run."""

from collections.abc import Sequence

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import nn

from napari_segmoe.data.click_simulation import next_click
from napari_segmoe.training.batches import Batch, make_batch
from napari_segmoe.training.class_metrics import accuracy, auc
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.samples import Sample, plain_sample
from napari_segmoe.training.sources import Source
from napari_segmoe.types import Prompts


@torch.no_grad()
def validate(
    model: nn.Module,
    sources: Sequence[Source],
    *,
    config: TrainingConfig,
    fabric: Fabric,
) -> dict[str, float]:
    """Return mean figures of the automatic mode and of one click.

    Returns
    -------
    dict
        "dice" and "iou" over images with objects, "normal_marked" over those without,
        "accuracy", "auc" of the image class, "click_iou" and "object_accuracy" after
        one click, and "score" = dice + click_iou / 2 + (accuracy + auc) / 4, by which
        the best epoch is chosen.
    """
    model.eval()
    samples = [plain_sample(source, output_px=config.input_px) for source in sources]
    clicked = [_first_click(sample) for sample in samples if sample.truth.any()]
    automatic = _Answers(model, samples, config, fabric)
    answered = _Answers(model, clicked, config, fabric)
    figures = automatic.mask_figures()
    figures["click_iou"] = answered.mask_figures()["iou"]
    figures["score"] = figures["dice"] + figures["click_iou"] / 2
    known = [i for i, sample in enumerate(samples) if sample.image_class >= 0]
    if known and automatic.image_scores is not None:
        truth = np.array([samples[i].image_class for i in known])
        figures |= _class_figures(automatic.image_scores[known], truth)
        figures["score"] += (figures["accuracy"] + figures["auc"]) / 4
    object_truth = np.array([sample.object_class for sample in clicked])
    if answered.object_scores is not None and (object_truth >= 0).any():
        rows = object_truth >= 0
        found = answered.object_scores[rows].argmax(1) == object_truth[rows]
        figures["object_accuracy"] = float(found.mean())
    return figures


class _Answers:
    """Probabilities and scores of a network over samples."""

    def __init__(
        self,
        model: nn.Module,
        samples: Sequence[Sample],
        config: TrainingConfig,
        fabric: Fabric,
    ) -> None:
        self.samples = samples
        masks, images, objects = [], [], []
        for first in range(0, len(samples), config.batch_size):
            batch = make_batch(samples[first : first + config.batch_size])
            mask, image, found = _answer(model, batch.to(fabric.device), fabric)
            masks.append(mask)
            images.append(image)
            objects.append(found)
        self.masks = np.concatenate(masks)
        self.image_scores = _joined(images)
        self.object_scores = _joined(objects)

    def mask_figures(self) -> dict[str, float]:
        dice, iou, marked = [], [], []
        for mask, sample in zip(self.masks, self.samples, strict=True):
            both, either = (mask & sample.truth).sum(), (mask | sample.truth).sum()
            if sample.truth.any():
                dice.append(2 * both / (both + either))
                iou.append(both / either)
            else:
                marked.append(bool(mask.any()))
        figures = {"dice": float(np.mean(dice)), "iou": float(np.mean(iou))}
        if marked:
            figures["normal_marked"] = float(np.mean(marked))
        return figures


Scores = NDArray[np.float32] | None


def _answer(
    model: nn.Module, batch: Batch, fabric: Fabric
) -> tuple[NDArray[np.bool_], Scores, Scores]:
    with fabric.autocast():
        output = model(batch.image, batch.prompts)
        probability = output.foreground.sigmoid()
        objects = None
        if getattr(model, "region_head", None) is not None:
            objects = model.classify_region(output, probability).float()  # type: ignore[operator]
            objects = objects.cpu().numpy()
    images = output.class_logits
    return (
        (probability > 0.5)[:, 0].cpu().numpy(),
        None if images is None else images.float().cpu().numpy(),
        objects,
    )


def _first_click(sample: Sample) -> Sample:
    click = next_click(np.zeros_like(sample.truth), sample.truth)
    prompts = Prompts(clicks=() if click is None else (click,))
    return Sample(
        sample.image,
        sample.truth,
        prompts,
        None,
        sample.image_class,
        sample.object_class,
    )


def _class_figures(
    scores: NDArray[np.float32], truth: NDArray[np.int64]
) -> dict[str, float]:
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    return {
        "accuracy": accuracy(probabilities, truth),
        "auc": auc(probabilities, truth),
    }


def _joined(parts: Sequence[Scores]) -> Scores:
    present = [part for part in parts if part is not None]
    return np.concatenate(present) if present else None
