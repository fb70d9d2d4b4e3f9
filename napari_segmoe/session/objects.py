"""The objects a user committed, and the label image that holds their pixels."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.project.records import Provenance, ReviewState
from napari_segmoe.types import Mask, SegmentedObject, Spacing

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
        Area, axes, box and outline, in pixels of its image.
    region : int or None
        Number of the slide's region it lies in; None in an image of its own.
    state : ReviewState
        How far its review is; a locked one is never changed.
    provenance : Provenance
        Who made its pixels.
    model_version : int or None
        Number of the project's weights that found it.
    """

    id: int
    class_id: int | None
    source: ClassSource
    probability: float | None
    model_class: str | None
    measured: SegmentedObject
    region: int | None = None
    state: ReviewState = ReviewState.ACCEPTED
    provenance: Provenance = Provenance.ACCEPTED_CLICK
    model_version: int | None = None

    @property
    def is_locked(self) -> bool:
        """Whether nobody may change it."""
        return self.state is ReviewState.LOCKED

    def rescaled(self, spacing_um: Spacing | None) -> "ObjectRecord":
        """Return the same object under another pixel size of its image."""
        found = self.measured
        y0, x0, y1, x1 = found.box
        spacing_y, spacing_x = spacing_um or (1.0, 1.0)
        area_um2 = found.area_px * spacing_y * spacing_x if spacing_um else None
        ratio = (x1 - x0) * spacing_x / ((y1 - y0) * spacing_y)
        measured = replace(found, area_um2=area_um2, width_height_ratio=ratio)
        return replace(self, measured=measured)


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


def join_boxes(one: LabelBox, other: LabelBox | None) -> LabelBox:
    """Return the smallest box around both."""
    if other is None:
        return one
    low = (min(one[0], other[0]), min(one[1], other[1]))
    return *low, max(one[2], other[2]), max(one[3], other[3])


def diff_labels(
    before: Labels, after: Labels, *, origin_yx: tuple[int, int] = (0, 0)
) -> LabelPatch | None:
    """Return the smallest patch that turns ``before`` into ``after``, both (H, W).

    Where they are parts of a label image, ``origin_yx`` is their first pixel in it.
    """
    box = bounding_box(before != after)
    if box is None:
        return None
    y0, x0, y1, x1 = box
    top, left = origin_yx
    return LabelPatch(
        (y0 + top, x0 + left, y1 + top, x1 + left),
        before[y0:y1, x0:x1].copy(),
        after[y0:y1, x0:x1].copy(),
    )


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
    free = found * (labels == 0)
    kept = [int(i) for i in np.flatnonzero(np.bincount(free.ravel())) if i]
    if not kept:
        return None, {}
    new_ids = {old: first_id + n for n, old in enumerate(kept)}
    lookup = np.zeros(kept[-1] + 1, np.uint32)
    lookup[list(new_ids)] = list(new_ids.values())
    return diff_labels(labels, labels + lookup[free]), new_ids


def remove_objects(labels: Labels, records: Iterable[ObjectRecord]) -> LabelPatch:
    """Return the patch that clears the pixels of objects in (H, W) ``labels``.

    Raises
    ------
    ValueError
        If there is no object to remove.
    """
    gone = tuple(records)
    if not gone:
        raise ValueError("There is no object to remove.")
    box: LabelBox | None = None
    for record in gone:
        box = join_boxes(record.measured.box, box)
    assert box is not None
    y0, x0, y1, x1 = box
    before = labels[y0:y1, x0:x1].copy()
    ids = [record.id for record in gone]
    return LabelPatch(box, before, np.where(np.isin(before, ids), 0, before))
