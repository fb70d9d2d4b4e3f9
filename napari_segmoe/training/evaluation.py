"""Score the automatic mode on a data folder: masks, objects and image classes.

Figures are without test-time augmentation and at the fixed threshold 0.5. Mask
scores are means over images that have an object; images without one are reported
apart (`normal_images_marked`), since an empty answer there scores a trivial 1.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.folder import DataFolder
from napari_segmoe.training import class_metrics
from napari_segmoe.training.bootstrap import BootstrapOptions, bootstrap_interval
from napari_segmoe.training.cases import (
    Case,
    ScoredPredictor,
    ScoringProgress,
    choose_items,
    count_leaky_groups,
    describe_split,
    read_case,
)
from napari_segmoe.training.metrics import (
    Overlap,
    hausdorff95,
    label_components,
    measure_overlap,
    pool_overlaps,
    score_objects,
)
from napari_segmoe.types import Prediction

THRESHOLD = 0.5
_OBJECT_SCORES = ("object_f1", "object_dice", "aji", "pq")


@dataclass(frozen=True, slots=True)
class ImageScores:
    """All that is kept of one scored image.

    Attributes
    ----------
    name, group, class_name : str
        Which image it is; ``class_name`` is the true class
        (None where it is not told).
    has_truth, is_marked : bool
        Whether the truth has an object, and whether the answer marks anything.
    overlap : Overlap
        Pixel counts.
    hd95 : float or None
        In pixels; None where the truth or the answer is empty, but not both.
    objects : mapping of str to float
        Object F1, object Dice, AJI and PQ.
    probabilities : mapping of str to float, or None
        Class probabilities of the image; None where they were withheld.
    """

    name: str
    group: str
    class_name: str | None
    has_truth: bool
    is_marked: bool
    overlap: Overlap
    hd95: float | None
    objects: Mapping[str, float]
    probabilities: Mapping[str, float] | None

    def as_row(self) -> dict[str, Any]:
        """Return one flat row of the per-image table."""
        row: dict[str, Any] = {
            "name": self.name,
            "class": self.class_name,
            "dice": self.overlap.dice,
            "iou": self.overlap.iou,
            "hd95": self.hd95,
            **self.objects,
            "marked": self.is_marked,
        }
        for name, value in (self.probabilities or {}).items():
            row[f"p_{name}"] = value
        return row


def evaluate_folder(
    predictor: ScoredPredictor,
    folder: DataFolder | Path | str,
    split: str = "test",
    *,
    limit: int | None = None,
    per_image: bool = False,
    resamples: int = 1000,
    seed: int = 0,
) -> Generator[ScoringProgress, None, dict[str, Any]]:
    """Score a predictor's automatic mode on one split of a data folder.

    Parameters
    ----------
    predictor : ScoredPredictor
        The network to score.
    folder : DataFolder or path
        The data.
    split : str
        Names separated by commas.
    limit : int, optional
        Score only the first so many images.
    per_image : bool
        Add the table of single images under "images".
    resamples, seed : int
        For the bootstrap intervals.

    Yields
    ------
    ScoringProgress
        After each image.

    Returns
    -------
    dict
        The report, ready for JSON; see `summarise`.

    Raises
    ------
    DataFolderError
        If the folder is unusable or an image has no mask.
    """
    folder, items = choose_items(folder, split, limit=limit)
    scores = []
    for done, item in enumerate(items, start=1):
        scores.append(score_image(predictor, read_case(item, folder.mask_kind)))
        yield ScoringProgress(done, len(items), item.name)
    card = predictor.card  # without an image head, images get their objects' mean
    classes = tuple(card.classes or card.object_classes)
    report = summarise(scores, classes, resamples=resamples, seed=seed)
    leaky = count_leaky_groups(folder, items)
    report |= describe_split(folder, split) | {"weights": predictor.card.name}
    report |= {"leaky_groups": leaky} if leaky else {}
    report |= {"images": [score.as_row() for score in scores]} if per_image else {}
    return report


def score_image(predictor: ScoredPredictor, case: Case) -> ImageScores:
    """Ask for everything in one image and compare the answer with the truth."""
    case.show_to(predictor)
    prediction = predictor.predict()
    mask, labels = _answer_at_half(prediction, predictor.card)
    objects = asdict(score_objects(labels, case.objects))
    names = dict(zip(("f1", "dice", "aji", "pq"), _OBJECT_SCORES, strict=True))
    return ImageScores(
        name=case.item.name,
        group=case.item.group,
        class_name=case.item.class_name,
        has_truth=bool(case.truth.any()),
        is_marked=bool(mask.any()),
        overlap=measure_overlap(mask, case.truth),
        hd95=hausdorff95(mask, case.truth),
        objects={names[key]: value for key, value in objects.items()},
        probabilities=dict(prediction.classes) if prediction.classes else None,
    )


def summarise(
    scores: Sequence[ImageScores],
    classes: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Turn the scores of single images into the report.

    Parameters
    ----------
    scores : sequence of ImageScores
        At least one.
    classes : sequence of str
        The image classes that the weights know, in the order of the AUC.
    resamples, seed : int
        For the bootstrap intervals.

    Returns
    -------
    dict
        "n", "segmentation" (means over images with an object, with intervals, and
        pooled values), "classification" (None where the data has a class that the
        weights do not know), "normal_images_marked" (None without such images).
    """
    options: BootstrapOptions = {"resamples": resamples, "seed": seed}
    with_object = [score for score in scores if score.has_truth]
    without = [score for score in scores if not score.has_truth]
    return {
        "n": len(scores),
        "n_with_object": len(with_object),
        "n_normal": len(without),
        "threshold": THRESHOLD,
        "test_time_augmentation": False,
        "segmentation": _segmentation(with_object, options),
        "all_images": _pooled_and_mean(scores, options),
        "classification": _classification(scores, classes, options),
        "normal_images_marked": _mean(
            [float(score.is_marked) for score in without], without, options
        )
        if without
        else None,
    }


def class_figures(
    probabilities: NDArray[np.float64],
    truth: NDArray[np.intp],
    groups: Sequence[str],
    options: BootstrapOptions,
) -> dict[str, Any]:
    """Score class probabilities, each figure with its interval.

    Parameters
    ----------
    probabilities : (N, C) float
        Rows sum to 1.
    truth : (N,) int
        Class indices.
    groups : sequence of str
        Group of each row, drawn together.
    options : BootstrapOptions
        ``resamples`` and ``seed`` of the bootstrap.

    Returns
    -------
    dict
        Accuracy, F1, AUC, calibration error, Brier score, each
        ``{"mean", "low", "high"}``, and the accuracy at 100, 80, 60 % coverage.
    """
    figures: dict[str, Any] = {
        name: bootstrap_interval(
            probabilities, truth, statistic=statistic, groups=groups, **options
        )
        for name, statistic in {
            "accuracy": class_metrics.accuracy,
            "f1": class_metrics.macro_f1,
            "auc": class_metrics.auc,
            "ece": class_metrics.expected_calibration_error,
            "brier": class_metrics.brier_score,
        }.items()
    }
    figures["accuracy_at_coverage"] = class_metrics.accuracy_at_coverage(
        probabilities, truth
    )
    return figures


def _answer_at_half(
    prediction: Prediction, card: Any
) -> tuple[NDArray[np.bool_], NDArray[np.integer]]:
    """Take the answer as shown, or re-cut it where the card cuts elsewhere."""
    if card.mask_threshold == THRESHOLD:
        return prediction.mask, prediction.labels
    mask = prediction.probability >= THRESHOLD
    return mask, label_components(mask)


def _segmentation(
    scores: Sequence[ImageScores], options: BootstrapOptions
) -> dict[str, Any]:
    figures = _pooled_and_mean(scores, options)
    measured = [score for score in scores if score.hd95 is not None]
    distances = [score.hd95 for score in measured if score.hd95 is not None]
    figures["hd95"] = _mean(distances, measured, options)
    figures["hd95_undefined"] = len(scores) - len(measured)
    for name in _OBJECT_SCORES:
        figures[name] = _mean(
            [score.objects[name] for score in scores], scores, options
        )
    return figures


def _pooled_and_mean(
    scores: Sequence[ImageScores], options: BootstrapOptions
) -> dict[str, Any]:
    pooled = pool_overlaps(score.overlap for score in scores)
    return {
        "dice": _mean([score.overlap.dice for score in scores], scores, options),
        "iou": _mean([score.overlap.iou for score in scores], scores, options),
        "dice_pooled": pooled.dice,
        "iou_pooled": pooled.iou,
    }


def _classification(
    scores: Sequence[ImageScores], classes: Sequence[str], options: BootstrapOptions
) -> dict[str, Any] | None:
    if not {score.class_name for score in scores} <= set(classes):
        return None
    index_of = {name: index for index, name in enumerate(classes)}
    answered = [score for score in scores if score.probabilities is not None]
    if not answered:
        return None
    rows = [score.probabilities or {} for score in answered]
    probabilities = np.array([[row.get(name, 0.0) for name in classes] for row in rows])
    truth = np.array([index_of[score.class_name or ""] for score in answered])
    figures = class_figures(
        probabilities, truth, [score.group for score in answered], options
    )
    confusion = np.zeros((len(classes), len(classes)), int)
    np.add.at(confusion, (truth, probabilities.argmax(1)), 1)
    return figures | {
        "classes": list(classes),
        "confusion": confusion.tolist(),
        "withheld": len(scores) - len(answered),
    }


def _mean(
    values: Sequence[float], scores: Sequence[ImageScores], options: BootstrapOptions
) -> dict[str, float | None]:
    return bootstrap_interval(
        values, groups=[score.group for score in scores], **options
    )
