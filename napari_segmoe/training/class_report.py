"""Class figures of a report, each with its interval."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.training import class_metrics
from napari_segmoe.training.bootstrap import BootstrapOptions, bootstrap_interval
from napari_segmoe.training.image_scores import ImageScores

CLASS_FIGURES = {
    "accuracy": class_metrics.accuracy,
    "balanced_accuracy": class_metrics.balanced_accuracy,
    "f1": class_metrics.macro_f1,
    "auc": class_metrics.auc,
    "ece": class_metrics.expected_calibration_error,
    "brier": class_metrics.brier_score,
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
        Accuracy, balanced accuracy, F1, AUC, calibration error, Brier score, each
        ``{"mean", "low", "high"}``, and the accuracy at 100, 80, 60 % coverage.
    """
    figures: dict[str, Any] = {
        name: bootstrap_interval(
            probabilities, truth, statistic=statistic, groups=groups, **options
        )
        for name, statistic in CLASS_FIGURES.items()
    }
    figures["accuracy_at_coverage"] = class_metrics.accuracy_at_coverage(
        probabilities, truth
    )
    return figures


def report_classes(
    scores: Sequence[ImageScores], classes: Sequence[str], options: BootstrapOptions
) -> dict[str, Any] | None:
    """Return the figures of the images' classes, with the confusion matrix.

    Returns
    -------
    dict or None
        None where the data has a class that the weights do not know, or every class
        was withheld. ``confusion`` has a row a true class.
    """
    if not {score.class_name for score in scores} <= set(classes):
        return None
    answered = [score for score in scores if score.probabilities is not None]
    if not answered:
        return None
    probabilities, truth = class_columns(answered, classes)
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


def class_columns(
    answered: Sequence[ImageScores], classes: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return class probabilities, (N, C), and true indices, (N,), of images."""
    index_of = {name: index for index, name in enumerate(classes)}
    rows = [score.probabilities or {} for score in answered]
    probabilities = np.array([[row.get(name, 0.0) for name in classes] for row in rows])
    truth = np.array([index_of[score.class_name or ""] for score in answered])
    return probabilities, truth
