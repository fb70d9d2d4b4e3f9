"""Quick figures of a run whose masks tell classes apart."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import nn

from napari_segmoe.data.click_simulation import next_click
from napari_segmoe.data.mask_classes import IGNORED
from napari_segmoe.training.batches import make_batch
from napari_segmoe.training.class_metrics import balanced_accuracy
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.samples import Sample, plain_view, with_classes
from napari_segmoe.training.semantic_scores import class_dice
from napari_segmoe.training.sources import Source
from napari_segmoe.types import Prompts

_CLICKED_PER_CLASS = 3  # of an image
_LEAST_CLICKED_PX = 12


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """What a network says of one sample."""

    mask: NDArray[np.bool_]
    classes: NDArray[np.uint8]
    object_class: int
    present: NDArray[np.float32] | None


@torch.no_grad()
def validate_classes(
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
        "dice" and "iou" of the foreground over images with objects, "class_dice", the
        mean over classes of `semantic_scores.class_dice`, "click_iou",
        "object_accuracy" and "object_balanced" (balanced accuracy) over up to three
        objects of each class of each image after one click, "several_balanced" over
        those of images with several classes, "present_accuracy" of a multi-label image
        head, and "score" = dice + (class_dice + click_iou + object_balanced) / 2, by
        which the best epoch is chosen.
    """
    model.eval()
    views = [plain_view(source, output_px=config.input_px) for source in sources]
    answers = _ask(model, [sample for sample, _ in views], config, fabric)
    figures = _mask_figures([sample for sample, _ in views], answers)
    figures |= _present_figures([sample for sample, _ in views], answers)
    clicked = clicked_objects(sources, views)
    found = _ask(model, [sample for sample, _ in clicked], config, fabric)
    figures |= _click_figures(clicked, found)
    figures["score"] = figures["dice"] + 0.5 * (
        figures["class_dice"] + figures["click_iou"] + figures["object_balanced"]
    )
    return figures


def clicked_objects(
    sources: Sequence[Source], views: Sequence[tuple[Sample, NDArray[np.integer]]]
) -> list[tuple[Sample, bool]]:
    """Return up to three objects of each class of each image, clicked once.

    Parameters
    ----------
    sources : sequence of Source
    views : sequence of (Sample, (n, n) integers)
        Each image as `plain_view` shows it, and its objects.

    Returns
    -------
    list of (Sample, bool)
        And whether its image shows several classes.
    """
    return [
        (one, len(np.unique(sample.classes[sample.truth])) > 1)
        for source, (sample, ids) in zip(sources, views, strict=True)
        for one in _clicked(source, sample, ids)
        if sample.classes is not None
    ]


def _ask(
    model: nn.Module, samples: Sequence[Sample], config: TrainingConfig, fabric: Fabric
) -> list[_Answer]:
    answers = []
    for first in range(0, len(samples), config.batch_size):
        batch = make_batch(samples[first : first + config.batch_size])
        batch = batch.to(fabric.device)
        with fabric.autocast():
            output = model(batch.image, batch.prompts)
            probability = output.foreground.sigmoid()
            scores = None
            if getattr(model, "region_head", None) is not None:
                scores = model.classify_region(output, probability)  # type: ignore[operator]
        masks = (probability > 0.5)[:, 0].cpu().numpy()
        numbers = 1 + output.logits[:, 1:].argmax(dim=1).cpu().numpy().astype(np.uint8)
        named = None if scores is None else scores.float().argmax(dim=1).cpu().numpy()
        shown = output.class_logits
        present = None if shown is None else shown.float().cpu().numpy()
        for row, mask in enumerate(masks):
            classes = np.where(mask, numbers[row], 0).astype(np.uint8)
            mean = np.bincount(classes[mask] - 1, minlength=1).argmax()
            answers.append(
                _Answer(
                    mask,
                    classes,
                    int(mean if named is None else named[row]),
                    None if present is None else present[row],
                )
            )
    return answers


def _mask_figures(
    samples: Sequence[Sample], answers: Sequence[_Answer]
) -> dict[str, float]:
    dice, iou, pairs = [], [], []
    for sample, answer in zip(samples, answers, strict=True):
        assert sample.classes is not None
        counted = sample.truth | (sample.classes != IGNORED)
        mask, truth = answer.mask & counted, sample.truth
        both, either = (mask & truth).sum(), (mask | truth).sum()
        if truth.any():
            dice.append(2 * both / (both + either))
            iou.append(both / either)
        pairs.append((answer.classes, sample.classes))
    count = max(sample.present.size for sample in samples if sample.present is not None)
    each = class_dice(pairs, count)
    known = [value for value in each if value is not None]
    return {
        "dice": float(np.mean(dice)) if dice else 0.0,
        "iou": float(np.mean(iou)) if iou else 0.0,
        "class_dice": float(np.mean(known)) if known else 0.0,
    }


def _present_figures(
    samples: Sequence[Sample], answers: Sequence[_Answer]
) -> dict[str, float]:
    right = [
        (answer.present > 0) == sample.present
        for sample, answer in zip(samples, answers, strict=True)
        if answer.present is not None
        and sample.present is not None
        and answer.present.shape == sample.present.shape
    ]
    return {"present_accuracy": float(np.mean(right))} if right else {}


def _clicked(source: Source, sample: Sample, ids: NDArray[np.integer]) -> list[Sample]:
    """Return a question for some objects of each class: one click in the middle."""
    numbers, areas = np.unique(ids[ids > 0], return_counts=True)
    numbers = numbers[areas >= _LEAST_CLICKED_PX]
    classes = source.class_of_id[numbers]
    chosen = []
    for one in np.unique(classes):
        of_class = numbers[classes == one]
        step = max(len(of_class) / _CLICKED_PER_CLASS, 1.0)
        chosen += list(of_class[np.arange(0, len(of_class), step).astype(int)])
    questions = []
    for number in chosen:
        truth = ids == number
        click = next_click(np.zeros_like(truth), truth)
        if click is None:
            continue
        asked = replace(
            sample,
            truth=truth,
            prompts=Prompts(clicks=(click,)),
            object_class=int(source.class_of_id[number]) - 1,
        )
        questions.append(with_classes(asked, source, ids))
    return questions


def _click_figures(
    clicked: Sequence[tuple[Sample, bool]], answers: Sequence[_Answer]
) -> dict[str, float]:
    if not clicked:
        return {"click_iou": 0.0, "object_balanced": 0.0}
    iou = [
        (answer.mask & sample.truth).sum() / (answer.mask | sample.truth).sum()
        for (sample, _), answer in zip(clicked, answers, strict=True)
    ]
    truth = np.array([sample.object_class for sample, _ in clicked])
    found = np.array([answer.object_class for answer in answers])
    scores = np.eye(1 + max(found.max(), truth.max()))[found]
    several = np.array([one for _, one in clicked])
    figures = {
        "click_iou": float(np.mean(iou)),
        "object_accuracy": float((truth == found).mean()),
        "object_balanced": balanced_accuracy(scores, truth),
    }
    if several.any():
        figures["several_balanced"] = balanced_accuracy(scores[several], truth[several])
    return figures
