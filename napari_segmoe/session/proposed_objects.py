"""Pseudo-labels that were accepted become objects like any other."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from napari_segmoe.inference.objects import measure_object
from napari_segmoe.project.proposals import ProposedObject, ProposedPlace
from napari_segmoe.project.records import Provenance, ReviewState
from napari_segmoe.session.classes import ClassTable
from napari_segmoe.session.objects import (
    ClassSource,
    LabelPatch,
    Labels,
    ObjectRecord,
    add_objects,
)
from napari_segmoe.types import Spacing

_LEAST_FREE = 0.5  # of an object's pixels: else it is there already


@dataclass(frozen=True, slots=True)
class Reception:
    """What new objects of an image are made with.

    Attributes
    ----------
    first_id : int
        The smallest free one.
    spacing_um : (y, x) or None
        Micrometres per pixel.
    region : int or None
        Number of the slide's region.
    classes : ClassTable
        The user's classes.
    uncertain_below : float
        Smallest probability of a class that is taken over.
    model_version : int or None
        Number of the project's weights that found them.
    """

    first_id: int
    spacing_um: Spacing | None
    region: int | None
    classes: ClassTable
    uncertain_below: float
    model_version: int | None = None


def receive(
    labels: Labels, place: ProposedPlace, reception: Reception
) -> tuple[LabelPatch | None, tuple[ObjectRecord, ...]]:
    """Return the change that lays a place's objects onto a label image.

    An object of which the larger part is covered by others is left out: it is there
    already. All others are accepted objects that a model found.

    Parameters
    ----------
    labels : (H, W) uint32
        Committed objects.
    place : ProposedPlace
    reception : Reception

    Returns
    -------
    LabelPatch or None
        None where nothing is added.
    tuple of ObjectRecord
        The new objects.

    Raises
    ------
    ProjectError
        If the place's pixels are damaged.
    """
    y0, x0, y1, x1 = place.box
    there = labels[y0:y1, x0:x1]
    found = place.labels
    wanted = {one.id: one for one in place.objects}
    found = _still_free(there, found, wanted)
    patch, new_ids = add_objects(there, found, first_id=reception.first_id)
    if patch is None:
        return None, ()
    top, left, bottom, right = patch.box
    moved = LabelPatch(
        (top + y0, left + x0, bottom + y0, right + x0), patch.before, patch.after
    )
    records = tuple(
        _record(moved, new, wanted[old], reception) for old, new in new_ids.items()
    )
    return moved, records


def _still_free(there: Labels, found: Labels, wanted: Collection[int]) -> Labels:
    """Return the objects most of whose pixels nobody holds."""
    areas = np.bincount(found.ravel())
    free = np.bincount(found[there == 0].ravel(), minlength=areas.size)
    kept = [
        number
        for number in wanted
        if number < areas.size
        and areas[number]
        and free[number] >= _LEAST_FREE * areas[number]
    ]
    return np.where(np.isin(found, kept), found, 0).astype(np.uint32)


def _record(
    patch: LabelPatch, number: int, proposed: ProposedObject, reception: Reception
) -> ObjectRecord:
    answer = None
    if proposed.class_name is not None and proposed.probability is not None:
        answer = {proposed.class_name: proposed.probability}
    measured = measure_object(
        patch.after == number,
        reception.spacing_um,
        origin_yx=patch.box[:2],
        object_id=number,
        probabilities=answer,
    )
    is_certain = (proposed.probability or 0.0) >= reception.uncertain_below
    entry = reception.classes.resolve(proposed.class_name) if is_certain else None
    return ObjectRecord(
        number,
        entry.id if entry else None,
        ClassSource.MODEL,
        proposed.probability,
        proposed.class_name,
        measured,
        reception.region,
        ReviewState.ACCEPTED,
        Provenance.ACCEPTED_AUTOMATIC,
        reception.model_version,
    )
