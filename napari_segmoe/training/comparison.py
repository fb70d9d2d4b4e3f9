"""Compare two weights on the same images, image by image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from napari_segmoe.training.bootstrap import BootstrapOptions, bootstrap_intervals
from napari_segmoe.training.evaluation import Evaluation
from napari_segmoe.training.evaluation_report import pool, pooled_names, pooled_rows
from napari_segmoe.training.image_scores import ImageScores

Difference = dict[str, Any]


def compare_evaluations(
    first: Evaluation, second: Evaluation, options: BootstrapOptions
) -> dict[str, Any]:
    """Join two evaluations of the same images into one report.

    Parameters
    ----------
    first, second : Evaluation
        The weights, and those that they are held against.
    options : BootstrapOptions
        Images, or groups of them, are drawn for both at once.

    Returns
    -------
    dict
        "weights" and "against": both reports; "difference": by figure the first
        less the second, ``{"mean", "low", "high", "p", "n"}``, over the images in
        which both are defined; "pooled_difference": the same of the pooled scores.

    Raises
    ------
    ValueError
        If they are not of the same images in the same order.
    """
    if [item.name for item in first.items] != [item.name for item in second.items]:
        raise ValueError("Two evaluations can be compared on the same images only.")
    return {
        "compared": f"{_name(first)} less {_name(second)}",
        "difference": image_differences(first.scores, second.scores, options),
        "pooled_difference": pooled_differences(first.scores, second.scores, options),
        "weights": first.report,
        "against": second.report,
    }


def image_differences(
    first: Sequence[ImageScores],
    second: Sequence[ImageScores],
    options: BootstrapOptions,
) -> dict[str, Difference]:
    """Return the mean difference of each figure of single images.

    Images with an object count, as in the reports' means; of the classes, the right
    answers of all images that have a known class.

    Notes
    -----
    The interval is the paired percentile bootstrap, by group; "p" is that of
    Wilcoxon's signed-rank test over images (two-sided, zero differences dropped),
    which takes images as independent: in grouped data trust the interval.
    """
    pairs = [
        (one, other) for one, other in zip(first, second, strict=True) if one.has_truth
    ]
    rows = [(one.figures(), other.figures(), one.group) for one, other in pairs]
    found: dict[str, Difference] = {}
    for name in dict.fromkeys(name for row, *_ in rows for name in row):
        both = [
            (a, b, group)
            for row, other, group in rows
            if (a := row.get(name)) is not None and (b := other.get(name)) is not None
        ]
        if both:
            found[name] = _difference(both, options)
    right = [
        (a, b, one.group)
        for one, other in zip(first, second, strict=True)
        if (a := _is_right(one)) is not None and (b := _is_right(other)) is not None
    ]
    return found | ({"accuracy": _difference(right, options)} if right else {})


def pooled_differences(
    first: Sequence[ImageScores],
    second: Sequence[ImageScores],
    options: BootstrapOptions,
) -> dict[str, Difference]:
    """Return the difference of the pooled figures, all images taken together.

    There is no p; a difference whose interval leaves out 0 is one.
    """
    rows = pooled_rows(first), pooled_rows(second)
    figures = bootstrap_intervals(
        *rows,
        statistic=lambda one, other: pool(one) - pool(other),
        groups=[score.group for score in first],
        **options,
    )
    found = zip(pooled_names(), figures, strict=True)
    return {
        name: {**figure, "n": len(first)}
        for name, figure in found
        if figure["mean"] is not None
    }


def signed_rank_p(differences: NDArray[np.float64]) -> float | None:
    """Return Wilcoxon's two-sided p; None where no image differs."""
    if not np.any(differences):
        return None
    return float(wilcoxon(differences, zero_method="wilcox").pvalue)


def _difference(
    rows: Sequence[tuple[float, float, str]], options: BootstrapOptions
) -> Difference:
    values = np.array([one - other for one, other, _ in rows])
    (figure,) = bootstrap_intervals(
        values,
        statistic=lambda drawn: np.array([drawn.mean()]),
        groups=[group for *_, group in rows],
        **options,
    )
    return {**figure, "p": signed_rank_p(values), "n": len(values)}


def _is_right(score: ImageScores) -> float | None:
    known = score.probabilities
    if not known or score.class_name not in known:
        return None
    return float(max(known, key=lambda name: known[name]) == score.class_name)


def _name(evaluation: Evaluation) -> str:
    return str(evaluation.report["weights"])
