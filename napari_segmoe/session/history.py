"""What was done: an append-only list of events, and one stack to undo and redo."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from napari_segmoe.project.records import JudgedPlace
from napari_segmoe.session.classes import ClassTable
from napari_segmoe.session.objects import LabelBox, LabelPatch, ObjectRecord
from napari_segmoe.types import Prompts


class EventKind(StrEnum):
    """What an event records."""

    IMAGE = "image"
    MODEL = "model"
    CLICK = "click"
    BOX = "box"
    STROKE = "stroke"
    AUTOMATIC = "automatic"
    REJECT = "reject"
    STEER = "steer"
    COMMIT = "commit"
    CORRECT = "correct"
    IMPORT = "import"
    DELETE = "delete"
    CLASS = "class"
    ACCEPT = "accept"
    REVIEW = "review"
    LOCK = "lock"
    UNLOCK = "unlock"
    FINISH_TILE = "finish_tile"
    REOPEN_TILE = "reopen_tile"
    ACCEPT_PLACE = "accept_place"
    REJECT_PLACE = "reject_place"
    REOPEN_PLACE = "reopen_place"
    MERGE = "merge"
    SPLIT = "split"
    FILL_HOLES = "fill_holes"
    SMOOTH = "smooth"
    GROW = "grow"
    SHRINK = "shrink"
    CLASS_MADE = "class_made"
    CLASS_RENAMED = "class_renamed"
    CLASS_RECOLOURED = "class_recoloured"
    CLASS_DELETED = "class_deleted"
    CLASS_MAPPED = "class_mapped"
    UNDO = "undo"
    REDO = "redo"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; ``time`` is seconds since 1970."""

    kind: EventKind
    payload: Mapping[str, Any]
    time: float


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """All that a step can change, save the label pixels.

    Attributes
    ----------
    prompts : Prompts
        Prompts of the object in the making.
    is_automatic : bool
        Whether the whole image was segmented instead.
    records : tuple of ObjectRecord
        Committed objects, by id.
    label_version : int
        Names one state of the label image; equal numbers mean equal pixels.
    classes : ClassTable
        The user's classes.
    tiles : tuple of LabelBox
        Boxes that are finished: what is no object in them is background.
    places : tuple of JudgedPlace
        Boxes in which pseudo-labels were accepted or rejected.
    """

    prompts: Prompts = field(default_factory=Prompts)
    is_automatic: bool = False
    records: tuple[ObjectRecord, ...] = ()
    label_version: int = 0
    classes: ClassTable = field(default_factory=ClassTable)
    tiles: tuple[LabelBox, ...] = ()
    places: tuple[JudgedPlace, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One undoable action: the state before and after, and the pixels it changed."""

    kind: EventKind
    before: Snapshot
    after: Snapshot
    patch: LabelPatch | None = None


class EventLog:
    """The events of a session, oldest first; nothing is ever taken out."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    @property
    def events(self) -> tuple[Event, ...]:
        """All events so far."""
        return tuple(self._events)

    def record(self, kind: EventKind, payload: Mapping[str, Any]) -> Event:
        """Append an event that happened now."""
        event = Event(kind, MappingProxyType(dict(payload)), time.time())
        self._events.append(event)
        return event


class History:
    """One stack of steps for prompts, commits and classes alike.

    Parameters
    ----------
    depth : int
        Number of steps kept; older ones can no longer be undone.
    """

    def __init__(self, depth: int = 500) -> None:
        self._depth = depth
        self._done: list[Step] = []
        self._undone: list[Step] = []

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to redo."""
        return bool(self._undone)

    @property
    def undo_kind(self) -> EventKind | None:
        """What `undo` would take back."""
        return self._done[-1].kind if self._done else None

    @property
    def redo_kind(self) -> EventKind | None:
        """What `redo` would do again."""
        return self._undone[-1].kind if self._undone else None

    def push(self, step: Step) -> None:
        """Add a step that was just done; what was undone is forgotten."""
        self._done.append(step)
        del self._done[: -self._depth]
        self._undone.clear()

    def take_undo(self) -> Step | None:
        """Move the newest step to the undone ones and return it."""
        if not self._done:
            return None
        self._undone.append(self._done.pop())
        return self._undone[-1]

    def note_undone(self, step: Step) -> None:
        """Add a step of before this history, which is undone just now."""
        self._undone.append(step)

    def take_redo(self) -> Step | None:
        """Move the newest undone step back and return it."""
        if not self._undone:
            return None
        self._done.append(self._undone.pop())
        return self._done[-1]

    def clear(self) -> None:
        """Forget all steps."""
        self._done.clear()
        self._undone.clear()

    def rewrite(self, change: Callable[[Snapshot], Snapshot]) -> None:
        """Change the snapshots of all steps: for facts that no step changes."""
        for steps in (self._done, self._undone):
            steps[:] = [
                replace(step, before=change(step.before), after=change(step.after))
                for step in steps
            ]
