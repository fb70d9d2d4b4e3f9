"""The class of clicked objects where masks tell classes apart, in one image several."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.training.bootstrap import BootstrapOptions, bootstrap_interval

AFTER_CLICKS = (1, 3)
_NO_ANSWER = -1


class ClassedObject(Protocol):
    """One clicked object; see `click_evaluation.ObjectRun`."""

    @property
    def group(self) -> str:
        """Group of its image."""
        ...

    @property
    def class_name(self) -> str | None:
        """True class."""
        ...

    @property
    def has_others(self) -> bool:
        """Whether its image has objects of other classes."""
        ...

    @property
    def probabilities(self) -> tuple[dict[str, float] | None, ...]:
        """After each click."""
        ...


def report_object_classes(
    objects: Sequence[ClassedObject],
    classes: Sequence[str],
    options: BootstrapOptions,
) -> dict[str, Any] | None:
    """Return how often the class of a clicked object is right.

    Parameters
    ----------
    objects : sequence of ClassedObject
        All clicked objects; those of a class that the weights do not know are left out.
    classes : sequence of str
        Object classes of the weights.
    options : BootstrapOptions
        For the intervals; objects of a group are drawn together.

    Returns
    -------
    dict or None
        After 1 and 3 clicks, over "all" objects and those of images with "several"
        classes: accuracy, balanced accuracy (the mean over the classes that occur),
        both with an answer of "no object here" counted as wrong, "answered" alone, and
        each class with its number of objects. None where no image has two classes.
    """
    known = [one for one in objects if one.class_name in classes]
    several = [one for one in known if one.has_others]
    if not several:
        return None
    return {
        "classes": list(classes),
        "after": {
            str(clicks): {
                "all": _figures(known, classes, clicks, options),
                "several": _figures(several, classes, clicks, options),
            }
            for clicks in AFTER_CLICKS
        },
    }


def _figures(
    objects: Sequence[ClassedObject],
    classes: Sequence[str],
    clicks: int,
    options: BootstrapOptions,
) -> dict[str, Any]:
    truth = np.array([list(classes).index(one.class_name or "") for one in objects])
    found = np.array([_found(one.probabilities, classes, clicks) for one in objects])
    groups = [one.group for one in objects]

    def interval(rows: NDArray[np.bool_]) -> dict[str, float | None]:
        return bootstrap_interval(
            found[rows],
            truth[rows],
            statistic=balanced,
            groups=[group for group, one in zip(groups, rows, strict=True) if one],
            **options,
        )

    answered = found != _NO_ANSWER
    confusion = np.zeros((len(classes), len(classes)), int)
    np.add.at(confusion, (truth[answered], found[answered]), 1)
    return {
        "n": len(objects),
        "unanswered": int((~answered).sum()),
        "accuracy": bootstrap_interval(found == truth, groups=groups, **options),
        "balanced_accuracy": interval(np.ones(len(objects), bool)),
        "balanced_accuracy_answered": interval(answered) if answered.any() else None,
        "per_class": {
            name: {
                "n": int((truth == number).sum()),
                "accuracy": float((found[truth == number] == number).mean()),
            }
            for number, name in enumerate(classes)
            if (truth == number).any()
        },
        "confusion": confusion.tolist(),
    }


def balanced(found: NDArray[np.intp], truth: NDArray[np.intp]) -> float:
    """Return the mean, over the classes that occur, of the share found right."""
    shares = [(found[truth == one] == one).mean() for one in np.unique(truth)]
    return float(np.mean(shares)) if shares else float("nan")


def _found(
    probabilities: Sequence[Mapping[str, float] | None],
    classes: Sequence[str],
    clicks: int,
) -> int:
    """Return the most probable class after so many clicks, -1 without an answer."""
    given = (
        probabilities[min(clicks, len(probabilities)) - 1] if probabilities else None
    )
    if not given:
        return _NO_ANSWER
    return int(np.argmax([given.get(name, 0.0) for name in classes]))
