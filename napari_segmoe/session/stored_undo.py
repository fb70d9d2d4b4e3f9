"""Undo that reaches steps of before the project was opened: out of its events."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.records import EventKind as ProjectKind
from napari_segmoe.project.records import JudgedPlace, PlaceVerdict
from napari_segmoe.project.undoable import StoredStep
from napari_segmoe.session.classes import ClassTable
from napari_segmoe.session.history import EventKind, Snapshot, Step
from napari_segmoe.session.objects import LabelBox, LabelPatch, ObjectRecord
from napari_segmoe.session.project_states import restored_records, table_of
from napari_segmoe.session.workspace import Workspace
from napari_segmoe.types import Box, Click, PromptKind, Prompts, Stroke

if TYPE_CHECKING:
    from napari_segmoe.session.project_link import ProjectLink
    from napari_segmoe.session.session import Session

_KINDS: Mapping[ProjectKind, EventKind] = {
    ProjectKind.COMMIT: EventKind.COMMIT,
    ProjectKind.CORRECT: EventKind.CORRECT,
    ProjectKind.ACCEPT: EventKind.ACCEPT,
    ProjectKind.REVIEW: EventKind.REVIEW,
    ProjectKind.REJECT: EventKind.REJECT_PLACE,
    ProjectKind.FINISH_TILE: EventKind.FINISH_TILE,
    ProjectKind.DELETE: EventKind.DELETE,
    ProjectKind.CLASS: EventKind.CLASS,
    ProjectKind.IMPORT: EventKind.IMPORT,
    ProjectKind.CLASSES: EventKind.CLASS_MAPPED,
}


class StoredUndo:
    """Finds what can be taken back once a window's own steps are used up.

    Nothing is kept: each time the events say which step of the image is the newest that
    was not undone. Taking it back is a new event, as every undo is.

    Parameters
    ----------
    session : Session
        Whose image is worked on.
    link : ProjectLink
        The project.
    """

    def __init__(self, session: "Session", link: "ProjectLink") -> None:
        self._session, self._link = session, link
        self._known: tuple[object, bool] = (None, False)

    def can_undo(self, workspace: Workspace) -> bool:
        """Whether there is a step, the window's own or a stored one."""
        if workspace.history.can_undo:
            return True
        if not self._link.is_open or self._is_waiting(workspace):
            return False
        recorder = self._link.require()[1]
        state = (recorder, recorder.annotator, workspace.image.key)
        key = (*state, recorder.seen(workspace.image))
        if self._known[0] != key:
            number = self._link.reading.read(
                "steps to undo", lambda _: self._find(workspace), None
            )
            self._known = (key, number is not None)
        return self._known[1]

    def take(self, workspace: Workspace) -> Step | None:
        """Move the newest step to the undone ones and return it: for `Session`.

        The window's own steps come first.
        """
        history = workspace.history
        step, is_first = history.take_undo(), not history.can_redo
        if step is not None:
            return step
        try:
            step = self.find(workspace)
        except ProjectError as error:
            self._session.report(error)
            return None
        if step is not None:
            history.note_undone(step)
            if is_first:
                self._session.notified.emit(
                    "Undo goes on with steps of before the project was opened."
                )
        return step

    def find(self, workspace: Workspace) -> Step | None:
        """Return the newest step that can be taken back, or None.

        What another window has done to the image meanwhile is taken in first.

        Raises
        ------
        ProjectError
            If the project cannot be read.
        """
        if not self._link.is_open or self._is_waiting(workspace):
            return None
        store, recorder = self._link.require()
        if recorder.has_news(workspace.image):
            self._link.arrivals.bring(workspace)
            self._session.show_workspace()
        number, name = self._find(workspace), recorder.find_name(workspace.image)
        if number is None or name is None:
            return None
        return self._step_of(store.read_step(name, number), workspace)

    def _is_waiting(self, workspace: Workspace) -> bool:
        """Whether the project is behind the window: its events say too little."""
        return bool(self._link.require()[1].waiting_of(workspace))

    def _find(self, workspace: Workspace) -> int | None:
        store, recorder = self._link.require()
        name = recorder.find_name(workspace.image)
        if name is None:
            return None
        return store.find_undoable(
            name,
            annotator=recorder.annotator,
            is_ours=lambda number: recorder.is_ours(workspace.image, number),
        )

    def _step_of(self, stored: StoredStep, workspace: Workspace) -> Step | None:
        after = workspace.snapshot
        patch = _patch_of(stored)
        if patch is not None and not _is_there(patch, workspace):
            raise ProjectError(
                "The step before cannot be taken back: the pixels shown are not those"
                " that it left. Open the image again."
            )
        is_drawn = patch is not None
        version = self._session.next_label_version() if is_drawn else None
        before = replace(
            after,
            records=_records_before(stored, workspace, patch),
            tiles=_tiles_before(stored, after.tiles),
            places=_places_before(stored, after.places),
            classes=_classes_before(stored, after),
            prompts=_prompts_of(stored),
            label_version=after.label_version if version is None else version,
        )
        return Step(_kind_of(stored), before, after, patch)


def _patch_of(stored: StoredStep) -> LabelPatch | None:
    patch = stored.patch
    return None if patch is None else LabelPatch(patch.box, patch.before, patch.after)


def _is_there(patch: LabelPatch, workspace: Workspace) -> bool:
    y0, x0, y1, x1 = patch.box
    return np.array_equal(workspace.labels[y0:y1, x0:x1], patch.after)


def _records_before(
    stored: StoredStep, workspace: Workspace, patch: LabelPatch | None
) -> tuple[ObjectRecord, ...]:
    """Return the objects before a step: those it did not touch are the same values."""
    states = stored.before.objects
    if not states:
        return workspace.snapshot.records
    known = {one.id for one in _classes_before(stored, workspace.snapshot).entries}
    there = {
        number: state
        if state.class_id in known
        else state.model_copy(update={"class_id": None})  # it was deleted since
        for number, state in states.items()
        if state is not None
    }
    if patch is not None:
        patch.apply(workspace.labels, backwards=True)
    try:
        image = workspace.image
        found = restored_records(
            there, workspace.labels, spacing_um=image.spacing_um, region=image.region
        )
    finally:
        if patch is not None:
            patch.apply(workspace.labels)
    others = (one for one in workspace.snapshot.records if one.id not in states)
    return tuple(sorted((*others, *found), key=lambda one: one.id))


def _tiles_before(
    stored: StoredStep, tiles: tuple[LabelBox, ...]
) -> tuple[LabelBox, ...]:
    states = {tile.box: tile.is_finished for tile in stored.before.tiles}
    kept = (box for box in tiles if states.get(box, True))
    again = (box for box, is_there in states.items() if is_there and box not in tiles)
    return (*kept, *again)


def _places_before(
    stored: StoredStep, places: tuple[JudgedPlace, ...]
) -> tuple[JudgedPlace, ...]:
    touched = {(one.box, one.source): one for one in stored.before.places}
    kept = (one for one in places if (one.box, one.source) not in touched)
    again = (
        one for one in touched.values() if one.verdict is not PlaceVerdict.PROPOSED
    )
    return (*kept, *again)


def _classes_before(stored: StoredStep, after: Snapshot) -> ClassTable:
    if stored.before.classes is None:
        return after.classes
    return table_of(stored.before.classes, stored.before.details or {})


def _kind_of(stored: StoredStep) -> EventKind:
    action = (stored.change.details or {}).get("action")
    if action in {one.value for one in EventKind}:
        return EventKind(str(action))
    return _KINDS.get(stored.kind, EventKind.CORRECT)


def _prompts_of(stored: StoredStep) -> Prompts:
    """Return the prompts that a committed object was made with."""
    if stored.kind is not ProjectKind.COMMIT:
        return Prompts()
    details: Mapping[str, Any] = stored.change.details or {}
    clicks = tuple(
        Click(y, x, positive) for y, x, positive in details.get("clicks", ())
    )
    strokes = tuple(
        Stroke(tuple((y, x) for y, x in one["points"]), one["positive"])
        for one in details.get("strokes", ())
    )
    box = Box(*details["box"]) if "box" in details else None
    order = (
        *(PromptKind.POINT for _ in clicks),
        *(() if box is None else (PromptKind.BOX,)),
        *(PromptKind.STROKE for _ in strokes),
    )
    return Prompts(clicks, box, strokes, order)
