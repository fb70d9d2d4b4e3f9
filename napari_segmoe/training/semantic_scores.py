"""How well masks of several classes agree, class by class.

An image counts for a class where its truth or its answer holds the class: elsewhere
both are empty and would score a trivial 1. Pixels of value 255 are not counted.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.folder import DataFolder
from napari_segmoe.data.mask_classes import IGNORED
from napari_segmoe.training.bootstrap import BootstrapOptions, bootstrap_interval
from napari_segmoe.training.cases import Case, ScoredPredictor, shared_classes
from napari_segmoe.training.metrics import Overlap, pool_overlaps
from napari_segmoe.types import Prediction

Classes = NDArray[np.uint8]


def class_overlaps(
    found: Classes, truth: Classes, count: int
) -> tuple[Overlap | None, ...]:
    """Return the pixel counts of each class of one image.

    Parameters
    ----------
    found, truth : (H, W) uint8
        Class of each pixel, from 1; 255 in the truth is not counted.
    count : int
        Number of classes.

    Returns
    -------
    tuple
        None for a class that neither holds.
    """
    counted = truth != IGNORED
    overlaps: list[Overlap | None] = []
    for number in range(1, count + 1):
        one, other = (found == number) & counted, truth == number
        sizes = int(one.sum()), int(other.sum())
        both = int((one & other).sum())
        overlaps.append(Overlap(both, *sizes) if any(sizes) else None)
    return tuple(overlaps)


def class_dice(
    pairs: Iterable[tuple[Classes, Classes]], count: int
) -> tuple[float | None, ...]:
    """Return the mean Dice of each class over the images that count for it.

    Parameters
    ----------
    pairs : iterable of ((H, W) uint8, (H, W) uint8)
        Found and true class of each pixel, image by image.
    count : int
        Number of classes.

    Returns
    -------
    tuple
        None for a class that no image holds.
    """
    scores: list[list[float]] = [[] for _ in range(count)]
    for found, truth in pairs:
        for number, overlap in enumerate(class_overlaps(found, truth, count)):
            if overlap is not None:
                scores[number].append(overlap.dice)
    return tuple(float(np.mean(one)) if one else None for one in scores)


class SemanticScores:
    """Gathers the figures of each class of pixels over images; a `MoreScores`.

    What counts is what a user sees: every pixel of an object is of the object's most
    probable class.

    Parameters
    ----------
    names : sequence of str
        Of the classes from 1, as the weights' card numbers them.
    has_image_labels : bool
        Whether the image head says which classes there are.
    """

    key = "mask_classes"

    def __init__(self, names: Sequence[str], *, has_image_labels: bool) -> None:
        self._names = tuple(names)
        self._has_image_labels = has_image_labels
        self._overlaps: list[tuple[Overlap | None, ...]] = []
        self._groups: list[str] = []
        self._labels: list[tuple[list[float], list[bool]]] = []

    @classmethod
    def of(cls, card: Any, folder: DataFolder) -> "list[SemanticScores]":
        """Return one where weights and masks tell classes apart, else none."""
        if shared_classes(folder, card) is None:
            return []
        return [cls(card.mask_classes, has_image_labels=card.multi_label)]

    def add(
        self, predictor: ScoredPredictor, case: Case, prediction: Prediction
    ) -> None:
        """Take one image and its answer."""
        if case.classes is None:
            return
        found = painted_classes(prediction, self._names)
        count = len(self._names)
        self._overlaps.append(class_overlaps(found, case.classes, count))
        self._groups.append(case.item.group)
        if self._has_image_labels and prediction.classes:
            scores = [prediction.classes.get(name, 0.0) for name in self._names]
            shown = set(np.unique(case.classes).tolist())
            self._labels.append((scores, [n + 1 in shown for n in range(count)]))

    def report(self, options: BootstrapOptions) -> dict[str, Any]:
        """Return Dice and IoU of each class, and how well its presence is told."""
        each = {
            name: self._class_report(number, options)
            for number, name in enumerate(self._names)
        }
        means = {
            figure: _mean_of([one[figure]["mean"] for one in each.values()])
            for figure in ("dice", "iou")
        }
        return {
            "classes": each,
            "dice_mean": means["dice"],
            "iou_mean": means["iou"],
            "present": self._presence() if self._labels else None,
        }

    def _class_report(self, number: int, options: BootstrapOptions) -> dict[str, Any]:
        rows = [
            (overlap, group)
            for overlaps, group in zip(self._overlaps, self._groups, strict=True)
            if (overlap := overlaps[number]) is not None
        ]
        groups = [group for _, group in rows]
        pooled = pool_overlaps(overlap for overlap, _ in rows)
        return {
            "n_images": len(rows),
            "n_true": sum(overlap.truth > 0 for overlap, _ in rows),
            "dice": bootstrap_interval(
                [overlap.dice for overlap, _ in rows], groups=groups, **options
            ),
            "iou": bootstrap_interval(
                [overlap.iou for overlap, _ in rows], groups=groups, **options
            ),
            "dice_pooled": pooled.dice if rows else None,
            "iou_pooled": pooled.iou if rows else None,
        }

    def _presence(self) -> dict[str, float]:
        """Return accuracy, sensitivity and specificity over all classes and images.

        Counted over classes together, at probability 0.5, as ResFormer's paper does.
        """
        found = np.array([scores for scores, _ in self._labels]) > 0.5
        truth = np.array([labels for _, labels in self._labels])
        return {
            "accuracy": float((found == truth).mean()),
            "sensitivity": float(found[truth].mean()),
            "specificity": float((~found[~truth]).mean()),
        }


def painted_classes(prediction: Prediction, names: Sequence[str]) -> Classes:
    """Return the class of each pixel of an answer, (H, W) uint8, from 1.

    Parameters
    ----------
    prediction : Prediction
        Each object's pixels take its most probable class; an object whose class is
        withheld takes none.
    names : sequence of str
        Of the classes from 1.
    """
    table = np.zeros(int(prediction.labels.max(initial=0)) + 1, np.uint8)
    for one in prediction.objects:
        known = one.probabilities or {}
        named = [name for name in names if name in known]
        if named:
            best = max(named, key=lambda name: known[name])
            table[one.id] = 1 + list(names).index(best)
    return table[prediction.labels]


def _mean_of(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
