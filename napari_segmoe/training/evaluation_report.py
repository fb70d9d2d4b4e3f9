"""The report of an evaluation, made from the scores of single images."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.training.bootstrap import (
    BootstrapOptions,
    bootstrap_interval,
    bootstrap_intervals,
)
from napari_segmoe.training.class_report import report_classes
from napari_segmoe.training.image_scores import THRESHOLD, ImageScores
from napari_segmoe.training.metrics import Overlap, pool_overlaps
from napari_segmoe.training.object_metrics import SUMS, ObjectScores, from_sums

Figure = dict[str, float | None]
_OVERLAPS = ("dice", "iou")
_POOLED = (*_OVERLAPS, *ObjectScores().as_dict())
_PIXELS = 3  # columns of an `Overlap`


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """How a folder is scored.

    Attributes
    ----------
    limit : int or None
        Score only the first so many images.
    per_image : bool
        Add the table of single images under "images".
    threshold : float
        Of the mask's probability.
    routing : bool
        Whether networks with experts are asked without each.
    resamples, seed : int
        For the bootstrap intervals.
    """

    limit: int | None = None
    per_image: bool = False
    threshold: float = THRESHOLD
    routing: bool = True
    resamples: int = 1000
    seed: int = 0

    @property
    def bootstrap(self) -> BootstrapOptions:
        """Size and seed of the bootstrap."""
        return {"resamples": self.resamples, "seed": self.seed}


def summarise(
    scores: Sequence[ImageScores],
    classes: Sequence[str],
    *,
    options: EvaluationOptions | None = None,
    unseen: Collection[str] | None = None,
) -> dict[str, Any]:
    """Turn the scores of single images into the report.

    Parameters
    ----------
    scores : sequence of ImageScores
        At least one.
    classes : sequence of str
        The image classes that the weights know, in the order of the AUC.
    options : EvaluationOptions, optional
        For the bootstrap intervals.
    unseen : collection of str, optional
        Groups that the weights have not learnt from; others have no say in
        "classification", and "classification_seen_too" has them all.

    Returns
    -------
    dict
        "n", "segmentation" (means over images with an object, with intervals),
        "pooled" (all pixels and all objects of all images taken together, with
        intervals), "classification" (None where the data has a class that the
        weights do not know), "normal_images_marked" (None without such images).
    """
    options = options or EvaluationOptions()
    draw = options.bootstrap
    with_object = [score for score in scores if score.has_truth]
    without = [score for score in scores if not score.has_truth]
    marked = [float(score.is_marked) for score in without]
    report = {
        "n": len(scores),
        "n_with_object": len(with_object),
        "n_normal": len(without),
        "threshold": options.threshold,
        "test_time_augmentation": False,
        "segmentation": _segmentation(with_object, draw),
        "pooled": pooled_figures(scores, draw),
        "all_images": _means(scores, _OVERLAPS, draw) | _pooled_overlap(scores),
        "classification": report_classes(scores, classes, draw),
        "normal_images_marked": _interval(marked, without, draw) if without else None,
    }
    if unseen is None or report["classification"] is None:
        return report
    clean = [score for score in scores if score.group in unseen]
    return report | {
        "classification": report_classes(clean, classes, draw),
        "classified_images": len(clean),
        "classification_seen_too": report["classification"],
    }


def pooled_figures(
    scores: Sequence[ImageScores], options: BootstrapOptions
) -> dict[str, Any]:
    """Return scores of all images taken together, with intervals.

    Object scores are those of the gland challenge: all objects of the set count
    alike, or by their area. Images, or groups of them, are drawn for the interval.
    """
    rows = pooled_rows(scores)
    figures = bootstrap_intervals(
        rows, statistic=pool, groups=[score.group for score in scores], **options
    )
    totals = dict(zip(SUMS, rows[:, _PIXELS:].sum(0), strict=True))
    return {
        **dict(zip(_POOLED, figures, strict=True)),
        "objects": int(totals["truth"]),
        "objects_found": int(totals["predicted"]),
    }


def pooled_rows(scores: Sequence[ImageScores]) -> NDArray[np.float64]:
    """Return what adds up over images, a row an image; `pool` takes it."""
    rows = [(*astuple(score.overlap), *astuple(score.objects)) for score in scores]
    return np.array(rows, np.float64).reshape(-1, _PIXELS + len(SUMS))


def pool(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the pooled figures of rows, in the order of `pooled_names`."""
    both, predicted, truth = rows[:, :_PIXELS].sum(0)
    overlap = Overlap(both, predicted, truth)
    objects = from_sums(rows[:, _PIXELS:]).as_dict()
    values = [overlap.dice, overlap.iou, *objects.values()]
    return np.array([np.nan if value is None else value for value in values])


def pooled_names() -> tuple[str, ...]:
    """Return the names of the pooled figures."""
    return _POOLED


def _segmentation(
    scores: Sequence[ImageScores], options: BootstrapOptions
) -> dict[str, Any]:
    names = list(dict.fromkeys(name for one in scores for name in one.figures()))
    figures = _means(scores, names or _NAMES, options) | _pooled_overlap(scores)
    missing = {
        name: sum(one.figures().get(name) is None for one in scores) for name in names
    }
    figures["hd95_undefined"] = missing.get("hd95", 0)
    figures["undefined"] = {name: n for name, n in missing.items() if n}
    return figures


_NAMES = ("dice", "iou", "hd95", "object_f1", "object_dice", "aji", "pq")


def _means(
    scores: Sequence[ImageScores], names: Iterable[str], options: BootstrapOptions
) -> dict[str, Any]:
    """Return the mean of figures over the images in which they are defined."""
    rows = [score.figures() for score in scores]
    means: dict[str, Any] = {}
    for name in names:
        defined = [
            (value, score)
            for row, score in zip(rows, scores, strict=True)
            if (value := row.get(name)) is not None
        ]
        values = [value for value, _ in defined]
        means[name] = _interval(values, [score for _, score in defined], options)
    return means


def _pooled_overlap(scores: Sequence[ImageScores]) -> dict[str, float]:
    pooled = pool_overlaps(score.overlap for score in scores)
    return {"dice_pooled": pooled.dice, "iou_pooled": pooled.iou}


def _interval(
    values: Sequence[float], scores: Sequence[ImageScores], options: BootstrapOptions
) -> Figure:
    return bootstrap_interval(
        values, groups=[score.group for score in scores], **options
    )
