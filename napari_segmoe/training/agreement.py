"""How objects agree with a truth that is a label image; needs no network, no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.mask_classes import IGNORED
from napari_segmoe.data.mask_objects import true_objects
from napari_segmoe.data.masks import MaskImage, MaskKind, detect_kind
from napari_segmoe.training.image_scores import ImageScores
from napari_segmoe.training.metrics import Overlap, measure_overlap
from napari_segmoe.training.object_metrics import score_objects
from napari_segmoe.training.outline_metrics import score_outlines
from napari_segmoe.types import Mask, Spacing

BOTH, ONLY_FOUND, ONLY_TRUE = 1, 2, 3
_LARGEST_HAUSDORFF = 400  # objects; with more, distances of each pair take too long
_HALF = 0.5

Labels = NDArray[np.integer]


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What an image holds.

    Attributes
    ----------
    labels : (H, W) integers
        0 is background.
    kind : MaskKind or None
        What the values mean; None finds out.
    class_of : mapping of int to str
        Class of an object by its id, where it is known; of values that are classes,
        their names.
    """

    labels: Labels
    kind: MaskKind | None = None
    class_of: Mapping[int, str] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """One compared image.

    Attributes
    ----------
    scores : ImageScores
    overlay : (H, W) uint8
        1 where both mark, 2 where only the prediction does, 3 where only the truth.
    kind : MaskKind
        What the truth's values were taken for.
    classes : mapping of str to Overlap
        Pixels by class, where both sides tell classes.
    pairs : tuple of (str, str)
        Found and true class of each pair of objects whose IoU is above 0.5.
    """

    scores: ImageScores
    overlay: NDArray[np.uint8]
    kind: MaskKind
    classes: Mapping[str, Overlap]
    pairs: tuple[tuple[str, str], ...]


def measure_agreement(
    name: str,
    found: Labels,
    truth: Truth,
    *,
    class_of: Mapping[int, str],
    spacing_um: Spacing | None = None,
) -> Agreement:
    """Compare objects with a truth.

    Parameters
    ----------
    name : str
        Of the image.
    found : (H, W) integers
        One id an object.
    truth : Truth
        Of the same shape.
    class_of : mapping of int to str
        Class of each found object that has one.
    spacing_um : (y, x) or None
        For distances in micrometres.

    Raises
    ------
    ValueError
        If the shapes differ, or the truth marks nothing.
    """
    if found.shape != truth.labels.shape:
        raise ValueError(
            f"The prediction is {found.shape[0]} x {found.shape[1]} px, the truth"
            f" {truth.labels.shape[0]} x {truth.labels.shape[1]}; choose a truth of"
            " the same image."
        )
    kind = truth.kind or kind_of_labels(truth.labels)
    objects = true_objects(MaskImage(truth.labels.astype(np.uint32), kind, ""))
    marked, true = found > 0, objects > 0
    count = max(np.unique(found).size, np.unique(objects).size)
    scores = ImageScores(
        name=name,
        group=name,
        class_name=None,
        has_truth=bool(true.any()),
        is_marked=bool(marked.any()),
        overlap=measure_overlap(marked, true),
        outline=score_outlines(marked, true, spacing_um),
        objects=score_objects(found, objects, hausdorff=count <= _LARGEST_HAUSDORFF),
    )
    names = _true_classes(objects, truth, kind)
    return Agreement(
        scores,
        draw_agreement(marked, true),
        kind,
        _class_overlaps(found, class_of, objects, names),
        _class_pairs(found, class_of, objects, names),
    )


def kind_of_labels(labels: Labels) -> MaskKind:
    """Say what the values of a labels layer stand for.

    Unlike those of a mask file its ids may have gaps, where an object was deleted.
    """
    kind = detect_kind(labels)
    if kind is not MaskKind.SEMANTIC:
        return kind
    _, ranks = np.unique(labels, return_inverse=True)
    ranks = ranks.reshape(labels.shape)
    return detect_kind(ranks if (labels == 0).any() else ranks + 1)


def draw_agreement(found: Mask, truth: Mask) -> NDArray[np.uint8]:
    """Return 1 where both masks mark, 2 where only the first does, 3 the second."""
    drawn = np.zeros(found.shape, np.uint8)
    drawn[found & truth] = BOTH
    drawn[found & ~truth] = ONLY_FOUND
    drawn[truth & ~found] = ONLY_TRUE
    return drawn


def report_class_pairs(pairs: Sequence[tuple[str, str]]) -> dict[str, Any] | None:
    """Return how often objects that were found have the right class.

    Parameters
    ----------
    pairs : sequence of (found, true)

    Returns
    -------
    dict or None
        "n", "accuracy", "f1" (mean over the classes that occur), "classes" and
        "confusion" with a row a true class; None without pairs.
    """
    if not pairs:
        return None
    classes = sorted({name for pair in pairs for name in pair})
    confusion = np.zeros((len(classes), len(classes)), int)
    for one, other in pairs:
        confusion[classes.index(other), classes.index(one)] += 1
    right = np.diag(confusion)
    sizes = confusion.sum(0) + confusion.sum(1)
    return {
        "n": len(pairs),
        "accuracy": float(right.sum() / confusion.sum()),
        "f1": float(np.mean(2 * right / sizes)),
        "classes": classes,
        "confusion": confusion.tolist(),
    }


def _true_classes(objects: Labels, truth: Truth, kind: MaskKind) -> dict[int, str]:
    """Return the class of each true object that has one."""
    named = truth.class_of or {}
    if kind is not MaskKind.SEMANTIC:
        return dict(named) if kind is MaskKind.INSTANCES else {}
    ids, first = np.unique(objects, return_index=True)
    values = truth.labels.ravel()[first]
    return {
        int(one): named.get(int(value), f"class {int(value)}")
        for one, value in zip(ids, values, strict=True)
        if one
    }


def _class_overlaps(
    found: Labels,
    found_names: Mapping[int, str],
    objects: Labels,
    true_names: Mapping[int, str],
) -> dict[str, Overlap]:
    if not found_names or not true_names:
        return {}
    names = sorted({*found_names.values(), *true_names.values()})
    if len(names) >= IGNORED:
        return {}
    one, other = (
        _paint(labels, classes, names)
        for labels, classes in ((found, found_names), (objects, true_names))
    )
    overlaps = {}
    for number, name in enumerate(names, start=1):
        overlap = measure_overlap(one == number, other == number)
        overlaps[name] = overlap
    return overlaps


def _paint(
    labels: Labels, class_of: Mapping[int, str], names: Sequence[str]
) -> NDArray[np.uint8]:
    ids, index = np.unique(labels, return_inverse=True)
    numbers = [
        names.index(class_of[int(one)]) + 1 if int(one) in class_of and one else 0
        for one in ids
    ]
    return np.array(numbers, np.uint8)[index.reshape(labels.shape)]


def _class_pairs(
    found: Labels,
    found_names: Mapping[int, str],
    objects: Labels,
    true_names: Mapping[int, str],
) -> tuple[tuple[str, str], ...]:
    if not found_names or not true_names:
        return ()
    pairs = []
    areas = np.bincount(objects.ravel().astype(np.intp))
    for one, name in found_names.items():
        inside = objects[found == one].astype(np.intp)
        if not inside.size:
            continue
        shared = np.bincount(inside)
        shared[0] = 0
        partner = int(shared.argmax())
        union = inside.size + int(areas[partner]) - int(shared[partner])
        is_match = partner and shared[partner] > _HALF * union
        if is_match and partner in true_names:
            pairs.append((name, true_names[partner]))
    return tuple(pairs)
