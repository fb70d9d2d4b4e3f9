"""The records of objects whose pixels a person changed."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_segmoe.inference.objects import describe_object
from napari_segmoe.project.records import Provenance, ReviewState
from napari_segmoe.session.objects import (
    ClassSource,
    LabelPatch,
    ObjectRecord,
    join_boxes,
)
from napari_segmoe.types import Mask

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session


def redrawn_records(
    session: "Session", patch: LabelPatch, *, is_drawn: bool
) -> tuple[ObjectRecord, ...]:
    """Return all records of the present image after a patch that is not applied yet.

    What a person drew counts as drawn, what a tool of hers changed as accepted; an
    object that was only painted over keeps its review. New objects get the class
    chosen for commits.

    Parameters
    ----------
    session : Session
    patch : LabelPatch
    is_drawn : bool
        Whether it came from a brush and not from a tool.
    """
    touched = ids_touched(patch)
    own = _changed_on_purpose(patch)
    kept = [one for one in session.annotation.records if one.id not in touched]
    drawn = (
        _redrawn(session, int(number), patch, is_own=number in own, is_drawn=is_drawn)
        for number in sorted(touched)
    )
    return _by_id([*kept, *(one for one in drawn if one is not None)])


def approved(record: ObjectRecord, state: ReviewState) -> ObjectRecord:
    """Return an object that a person has looked at, in another state of review."""
    provenance = record.provenance
    if provenance is Provenance.MODEL:
        provenance = Provenance.ACCEPTED_AUTOMATIC
    return replace(record, state=state, provenance=provenance)


def ids_touched(patch: LabelPatch) -> set[int]:
    """Return the objects that lose or get a pixel by a patch."""
    is_other = patch.before != patch.after
    found = np.unique(np.append(patch.before[is_other], patch.after[is_other]))
    return {int(number) for number in found if number}


def _changed_on_purpose(patch: LabelPatch) -> set[int]:
    """Return who got pixels, or lost some to the background."""
    is_other = patch.before != patch.after
    got = np.unique(patch.after[is_other])
    erased = np.unique(patch.before[is_other & (patch.after == 0)])
    return {int(number) for number in (*got, *erased)}


def _redrawn(
    session: "Session",
    number: int,
    patch: LabelPatch,
    *,
    is_own: bool,
    is_drawn: bool,
) -> ObjectRecord | None:
    old = session.annotation.find(number)
    mask, origin_yx = _mask_after(session, number, patch, old)
    if not mask.any():
        return None
    image = session.require_image()
    if old is None:
        state, provenance = ReviewState.ACCEPTED, Provenance.DRAWN
        measured = describe_object(
            mask, image.spacing_um, origin_yx=origin_yx, object_id=number
        )
        chosen = session.annotation.chosen_class_id
        user = ClassSource.USER
        return ObjectRecord(
            number, chosen, user, None, None, measured, image.region, state, provenance
        )
    measured = describe_object(
        mask,
        image.spacing_um,
        origin_yx=origin_yx,
        object_id=number,
        probabilities=old.measured.probabilities,
    )
    if is_own:
        old = approved(old, ReviewState.ACCEPTED)
        if is_drawn:
            old = replace(old, provenance=Provenance.DRAWN)
    return replace(old, measured=measured)


def _mask_after(
    session: "Session", number: int, patch: LabelPatch, old: ObjectRecord | None
) -> tuple[Mask, tuple[int, int]]:
    """Return where an object's pixels are after the patch, and where that begins."""
    labels = session.require_workspace().labels
    y0, x0, y1, x1 = join_boxes(patch.box, old.measured.box if old else None)
    found = labels[y0:y1, x0:x1].copy()
    top, left, bottom, right = patch.box
    found[top - y0 : bottom - y0, left - x0 : right - x0] = patch.after
    return found == number, (y0, x0)


def _by_id(records: Iterable[ObjectRecord]) -> tuple[ObjectRecord, ...]:
    return tuple(sorted(records, key=lambda record: record.id))
