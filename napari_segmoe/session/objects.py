"""The objects a user committed, and the label image that holds their pixels."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.types import Mask, SegmentedObject

Labels = NDArray[np.uint32]
LabelBox = tuple[int, int, int, int]


class ClassSource(StrEnum):
    """Who gave an object its class."""

    MODEL = "model"
    USER = "user"


@dataclass(frozen=True, slots=True, eq=False)
class ObjectRecord:
    """One committed object.

    Attributes
    ----------
    id : int
        Value of its pixels in the label image, from 1.
    class_id : int or None
        Class of the user's list; None is "unclassified".
    source : ClassSource
        Who gave the class.
    probability : float or None
        The model's probability of its own answer, None where it gave none.
    model_class : str or None
        The model's own answer, whatever the user made of it.
    measured : SegmentedObject
        Area, axes, box and outline.
    """

    id: int
    class_id: int | None
    source: ClassSource
    probability: float | None
    model_class: str | None
    measured: SegmentedObject


@dataclass(frozen=True, slots=True, eq=False)
class LabelPatch:
    """A change of the label image within one box; pixels before and after."""

    box: LabelBox
    before: Labels
    after: Labels

    def apply(self, labels: Labels, *, backwards: bool = False) -> None:
        """Write the change into ``labels`` (H, W), or take it back."""
        y0, x0, y1, x1 = self.box
        labels[y0:y1, x0:x1] = self.before if backwards else self.after


def bounding_box(mask: Mask) -> LabelBox | None:
    """Return the half-open box around the True pixels of (H, W), or None."""
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        return None
    columns = np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def diff_labels(before: Labels, after: Labels) -> LabelPatch | None:
    """Return the smallest patch that turns ``before`` into ``after``, both (H, W)."""
    box = bounding_box(before != after)
    if box is None:
        return None
    y0, x0, y1, x1 = box
    return LabelPatch(box, before[y0:y1, x0:x1].copy(), after[y0:y1, x0:x1].copy())


def add_objects(
    labels: Labels, found: Labels, *, first_id: int
) -> tuple[LabelPatch | None, Mapping[int, int]]:
    """Lay newly found objects onto the free pixels of a label image.

    Parameters
    ----------
    labels : (H, W) uint32
        Committed objects; their pixels are locked.
    found : (H, W) uint32
        New objects, one id each.
    first_id : int
        Id given to the first of them.

    Returns
    -------
    LabelPatch or None
        The change to make; None where no free pixel is left.
    mapping of int to int
        Id in ``found`` -> id in the label image, for objects that kept a pixel.
    """
    free = np.where(labels == 0, found, 0)
    kept = [int(i) for i in np.unique(free) if i]
    if not kept:
        return None, {}
    new_ids = {old: first_id + n for n, old in enumerate(kept)}
    lookup = np.zeros(int(found.max()) + 1, np.uint32)
    lookup[list(new_ids)] = list(new_ids.values())
    return diff_labels(labels, np.where(free > 0, lookup[free], labels)), new_ids


def remove_objects(labels: Labels, ids: set[int]) -> LabelPatch | None:
    """Return the patch that clears the pixels of ``ids`` in (H, W) ``labels``."""
    return diff_labels(labels, np.where(np.isin(labels, list(ids)), 0, labels))
