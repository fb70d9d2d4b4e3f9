"""The session's objects, classes and steps in the project's words, and back."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from napari_segmoe.inference.objects import measure_object
from napari_segmoe.project.records import (
    Change,
    ClassRecord,
    JudgedPlace,
    ObjectState,
    PixelPatch,
    PlaceVerdict,
    TileState,
)
from napari_segmoe.project.records import EventKind as ProjectKind
from napari_segmoe.session.classes import ClassEntry, ClassTable
from napari_segmoe.session.history import EventKind, Snapshot, Step
from napari_segmoe.session.objects import (
    ClassSource,
    LabelPatch,
    Labels,
    ObjectRecord,
)
from napari_segmoe.types import Prompts, SegmentedObject, Spacing

_KINDS: Mapping[EventKind, ProjectKind] = {
    EventKind.COMMIT: ProjectKind.COMMIT,
    EventKind.IMPORT: ProjectKind.IMPORT,
    EventKind.DELETE: ProjectKind.DELETE,
    EventKind.CLASS: ProjectKind.CLASS,
    EventKind.CLASS_MADE: ProjectKind.CLASSES,
    EventKind.CLASS_RENAMED: ProjectKind.CLASSES,
    EventKind.CLASS_RECOLOURED: ProjectKind.CLASSES,
    EventKind.CLASS_DELETED: ProjectKind.CLASSES,
    EventKind.CLASS_MAPPED: ProjectKind.CLASSES,
    EventKind.ACCEPT: ProjectKind.ACCEPT,
    EventKind.REVIEW: ProjectKind.REVIEW,
    EventKind.LOCK: ProjectKind.REVIEW,
    EventKind.UNLOCK: ProjectKind.REVIEW,
    EventKind.FINISH_TILE: ProjectKind.FINISH_TILE,
    EventKind.REOPEN_TILE: ProjectKind.FINISH_TILE,
    EventKind.ACCEPT_PLACE: ProjectKind.ACCEPT,
    EventKind.REJECT_PLACE: ProjectKind.REJECT,
    EventKind.REOPEN_PLACE: ProjectKind.REJECT,
}


def is_lasting(before: Snapshot, after: Snapshot, patch: LabelPatch | None) -> bool:
    """Whether a step changed what a project keeps: more than prompts."""
    return (
        patch is not None
        or before.records is not after.records
        or before.classes != after.classes
        or before.tiles != after.tiles
        or before.places != after.places
    )


def kind_of(kind: EventKind) -> ProjectKind:
    """Return the project's kind of a step; tools that redraw count as corrections."""
    return _KINDS.get(kind, ProjectKind.CORRECT)


def change_of(step: Step, *, backwards: bool = False) -> Change:
    """Return what a step, or taking it back, means for the project."""
    before, after = step.before, step.after
    if backwards:
        before, after = after, before
    classes = None
    details = _details_of(step, backwards=backwards)
    if before.classes != after.classes:
        classes = class_records(after.classes)
        details |= class_details(after.classes)
    return Change(
        objects=_changed_objects(before.records, after.records),
        tiles=_changed_tiles(before, after),
        places=_changed_places(before, after),
        classes=classes,
        details=details or None,
    )


def patch_of(patch: LabelPatch | None, *, backwards: bool = False) -> PixelPatch | None:
    """Return a step's pixels as the project takes them."""
    if patch is None:
        return None
    if backwards:
        return PixelPatch(patch.box, patch.after, patch.before)
    return PixelPatch(patch.box, patch.before, patch.after)


def state_of(record: ObjectRecord) -> ObjectState:
    """Return an object as the project keeps it."""
    return ObjectState(
        class_id=record.class_id,
        state=record.state,
        provenance=record.provenance,
        source=record.source.value,
        probability=record.probability,
        model_class=record.model_class,
        model_version=record.model_version,
        area_px=record.measured.area_px,
        box=record.measured.box,
    )


def restored_records(
    states: Mapping[int, ObjectState],
    labels: Labels,
    *,
    spacing_um: Spacing | None,
    region: int | None,
) -> tuple[ObjectRecord, ...]:
    """Return a project's objects of an image as the session has them.

    Parameters
    ----------
    states : mapping of int to ObjectState
    labels : (H, W) uint32
    spacing_um : (y, x) or None
        Micrometres per pixel.
    region : int or None
        Number of the slide's region.
    """
    records = []
    for number, state in sorted(states.items()):
        y0, x0, y1, x1 = state.box
        mask = labels[y0:y1, x0:x1] == number
        if mask.any():
            answer = _answer_of(state)
            measured = measure_object(
                mask,
                spacing_um,
                origin_yx=(y0, x0),
                object_id=number,
                probabilities=answer,
            )
            records.append(_record_of(number, state, measured, region))
    return tuple(records)


def class_records(table: ClassTable) -> tuple[ClassRecord, ...]:
    """Return the classes as the project keeps them, in their order."""
    return tuple(
        ClassRecord(id=one.id, name=one.name, colour=one.colour)
        for one in table.entries
    )


def class_details(table: ClassTable) -> dict[str, Any]:
    """Return what else is to be kept of the classes: mapping, next number."""
    return {"mapping": dict(table.mapping), "next_class_id": table.next_id}


def table_of(
    records: Iterable[ClassRecord],
    details: Mapping[str, Any],
    *,
    used_ids: Iterable[int] = (),
) -> ClassTable:
    """Return a project's classes as the session has them.

    Parameters
    ----------
    records : iterable of ClassRecord
    details : mapping
        From `class_details`, as far as it is known.
    used_ids : iterable of int
        Ids that objects have; none of them is given again.
    """
    entries = tuple(ClassEntry(one.id, one.name, one.colour) for one in records)
    ids = {entry.id for entry in entries}
    stated = details.get("mapping")
    mapping = {
        str(name): number
        for name, number in (stated.items() if isinstance(stated, dict) else ())
        if number is None or number in ids
    }
    free = 1 + max((*ids, *used_ids), default=0)
    wanted = details.get("next_class_id")
    next_id = max(free, wanted) if isinstance(wanted, int) else free
    return ClassTable(entries, mapping, next_id)


def _changed_objects(
    before: tuple[ObjectRecord, ...], after: tuple[ObjectRecord, ...]
) -> dict[int, ObjectState | None] | None:
    if before is after:
        return None
    old = {record.id: record for record in before}
    new = {record.id: record for record in after}
    changed: dict[int, ObjectState | None] = {
        number: state_of(record)
        for number, record in new.items()
        if old.get(number) is not record
    }
    return changed | dict.fromkeys(old.keys() - new.keys())


def _changed_tiles(before: Snapshot, after: Snapshot) -> tuple[TileState, ...]:
    added = (box for box in after.tiles if box not in before.tiles)
    gone = (box for box in before.tiles if box not in after.tiles)
    return (
        *(TileState(box=box) for box in added),
        *(TileState(box=box, is_finished=False) for box in gone),
    )


def _changed_places(before: Snapshot, after: Snapshot) -> tuple[JudgedPlace, ...]:
    kept = {(one.box, one.source) for one in after.places}
    added = (one for one in after.places if one not in before.places)
    gone = (one for one in before.places if (one.box, one.source) not in kept)
    return (
        *added,
        *(
            one.model_copy(update={"verdict": PlaceVerdict.PROPOSED, "figures": {}})
            for one in gone
        ),
    )


def _details_of(step: Step, *, backwards: bool) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if kind_of(step.kind).value != step.kind.value or backwards:
        details["action"] = step.kind.value
    if step.kind is EventKind.COMMIT and not backwards:
        details |= _prompts_as_values(step.before.prompts)
        if step.before.is_automatic:
            details["automatic"] = True
    return details


def _prompts_as_values(prompts: Prompts) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if prompts.clicks:
        values["clicks"] = [[one.y, one.x, one.positive] for one in prompts.clicks]
    if prompts.box is not None:
        box = prompts.box
        values["box"] = [box.y0, box.x0, box.y1, box.x1]
    if prompts.strokes:
        values["strokes"] = [
            {
                "points": np.round(np.array(one.points), 2).tolist(),
                "positive": one.positive,
            }
            for one in prompts.strokes
        ]
    return values


def _record_of(
    number: int, state: ObjectState, measured: SegmentedObject, region: int | None
) -> ObjectRecord:
    is_known = state.source in {one.value for one in ClassSource}
    return ObjectRecord(
        number,
        state.class_id,
        ClassSource(state.source) if is_known else ClassSource.MODEL,
        state.probability,
        state.model_class,
        replace(measured, id=number),
        region,
        state.state,
        state.provenance,
        state.model_version,
    )


def _answer_of(state: ObjectState) -> dict[str, float] | None:
    if state.model_class is None or state.probability is None:
        return None
    return {state.model_class: state.probability}
