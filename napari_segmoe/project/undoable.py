"""Which stored step of an image can be taken back, and what was there before it."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.payload import DAMAGED, from_json, unpack_pixels
from napari_segmoe.project.records import (
    Change,
    EventKind,
    JudgedPlace,
    ObjectState,
    PixelPatch,
    PlaceVerdict,
    TileState,
)

REACH = 400  # events of an image that are looked at
_PARTS = frozenset(("objects", "tiles", "places", "classes", "details", "box"))
_NEVER = frozenset((EventKind.IMAGE, EventKind.CLICK))
_CLASS_KINDS = "('classes', 'undo', 'redo')"


@dataclass(frozen=True, slots=True, eq=False)
class StoredStep:
    """One step as it is stored, and the states that it changed.

    Attributes
    ----------
    number : int
        Of its event.
    time_utc : str
        ISO 8601.
    kind : EventKind
    change : Change
        What it reached.
    before : Change
        What its objects, tiles, places and classes were before it.
    patch : PixelPatch or None
    """

    number: int
    time_utc: str
    kind: EventKind
    change: Change
    before: Change
    patch: PixelPatch | None


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    kind: str
    annotator: str | None
    values: Mapping[str, Any]
    pixels: tuple[bytes | None, bytes | None]

    def touches(self, other: "_Row", *, backwards: bool) -> bool:
        """Whether it is the undo, or the redo, of another one."""
        pixels = other.pixels[::-1] if backwards else other.pixels
        ids, others = (set(one.values.get("objects") or ()) for one in (self, other))
        return self.pixels == pixels and ids == others


def find_undoable(
    connection: sqlite3.Connection,
    image: str,
    *,
    annotator: str | None,
    is_ours: Callable[[int], bool],
) -> int | None:
    """Return the number of the newest step of an image that can be taken back.

    Steps that were undone are passed over. Those of another annotator, or of another
    window that is at work just now, end the search: nobody takes back what somebody
    else did by a key pressed in passing.

    Parameters
    ----------
    connection : Connection
    image : str
        The image's name.
    annotator : str or None
        Whose steps.
    is_ours : callable
        Whether the event of a number may be taken back.

    Raises
    ------
    ProjectError
        If an event is damaged.
    """
    done: list[_Row] = []
    undone: list[_Row] = []
    for row in _read_rows(connection, image):
        if row.kind in _NEVER:
            continue
        is_known = row.annotator == annotator and is_ours(row.number)
        if (
            row.kind == EventKind.UNDO
            and done
            and row.touches(done[-1], backwards=True)
        ):
            undone.append(done.pop())
        elif (
            row.kind == EventKind.REDO
            and undone
            and row.touches(undone[-1], backwards=False)
        ):
            done.append(undone.pop())
        elif is_known and _is_step(row):
            done.append(row)
            undone.clear()
        else:
            done.clear()
            undone.clear()
    if not done or not _may_touch_classes(connection, image, done[-1]):
        return None
    return done[-1].number


def read_step(connection: sqlite3.Connection, image: str, number: int) -> StoredStep:
    """Return a stored step of an image, with what was there before it.

    Raises
    ------
    ProjectError
        If an event is damaged.
    """
    time_utc, kind, payload, before, after = connection.execute(
        "SELECT time_utc, kind, payload, before, after FROM events WHERE number = ?",
        (number,),
    ).fetchone()
    change, box = from_json(payload)
    classes = details = None
    if change.classes is not None:
        classes, details = _classes_before(connection, number)
    earlier = Change(
        objects=_objects_before(connection, image, number, change),
        tiles=_tiles_before(connection, image, number, change),
        places=_places_before(connection, image, number, change),
        classes=classes,
        details=details,
    )
    patch = unpack_pixels(box, before, after)
    return StoredStep(number, time_utc, EventKind(kind), change, earlier, patch)


def _read_rows(connection: sqlite3.Connection, image: str) -> list[_Row]:
    rows = connection.execute(
        "SELECT number, kind, annotator, payload, before, after FROM events"
        " WHERE image = ? ORDER BY number DESC LIMIT ?",
        (image, REACH),
    )
    found = [
        _Row(number, kind, annotator, _parse(payload), (before, after))
        for number, kind, annotator, payload, before, after in rows
    ]
    return found[::-1]


def _is_step(row: _Row) -> bool:
    is_first_word = row.kind not in (EventKind.UNDO, EventKind.REDO)
    return is_first_word and row.values.keys() <= _PARTS


def _may_touch_classes(connection: sqlite3.Connection, image: str, row: _Row) -> bool:
    """Whether the list of classes is still this image's to take back."""
    if row.values.get("classes") is None:
        return True
    found = connection.execute(
        "SELECT 1 FROM events WHERE number > ? AND image IS NOT ? AND kind IN"
        f" {_CLASS_KINDS} AND json_type(payload, '$.classes') = 'array' LIMIT 1",
        (row.number, image),
    ).fetchone()
    return found is None


def _classes_before(
    connection: sqlite3.Connection, number: int
) -> tuple[tuple[Any, ...], Mapping[str, Any] | None]:
    found = connection.execute(
        f"SELECT payload FROM events WHERE number < ? AND kind IN {_CLASS_KINDS}"
        " AND json_type(payload, '$.classes') = 'array' ORDER BY number DESC LIMIT 1",
        (number,),
    ).fetchone()
    if found is None:
        return (), None
    change, _ = from_json(found[0])
    return change.classes or (), change.details


def _objects_before(
    connection: sqlite3.Connection, image: str, number: int, change: Change
) -> dict[int, ObjectState | None] | None:
    """Return the last word of earlier events on each object that a change touches."""
    if change.objects is None:
        return None
    found: dict[int, ObjectState | None] = {}
    wanted = set(change.objects)
    for payload in _earlier(connection, image, number, '"objects"'):
        named = [one for one in wanted if f'"{one}":' in payload]
        states = (from_json(payload)[0].objects or {}) if named else {}
        found |= {one: states[one] for one in named if one in states}
        wanted -= found.keys()
        if not wanted:
            break
    return found | dict.fromkeys(wanted)


def _tiles_before(
    connection: sqlite3.Connection, image: str, number: int, change: Change
) -> tuple[TileState, ...]:
    wanted = {tile.box for tile in change.tiles}
    found: list[TileState] = []
    for payload in _earlier(connection, image, number, '"tiles"') if wanted else ():
        for tile in from_json(payload)[0].tiles:
            if tile.box in wanted:
                wanted.discard(tile.box)
                found.append(tile)
        if not wanted:
            break
    never = (TileState(box=box, is_finished=False) for box in sorted(wanted))
    return (*found, *never)


def _places_before(
    connection: sqlite3.Connection, image: str, number: int, change: Change
) -> tuple[JudgedPlace, ...]:
    wanted = {(one.box, one.source): one for one in change.places}
    found: list[JudgedPlace] = []
    for payload in _earlier(connection, image, number, '"places"') if wanted else ():
        for place in from_json(payload)[0].places:
            if wanted.pop((place.box, place.source), None) is not None:
                found.append(place)
        if not wanted:
            break
    proposed = {"verdict": PlaceVerdict.PROPOSED, "figures": {}}
    return (*found, *(one.model_copy(update=proposed) for one in wanted.values()))


def _earlier(
    connection: sqlite3.Connection, image: str, number: int, word: str
) -> Iterator[str]:
    rows = connection.execute(
        "SELECT payload FROM events WHERE image = ? AND number < ?"
        " ORDER BY number DESC",
        (image, number),
    )
    return (payload for (payload,) in rows if word in payload)


def _parse(payload: str) -> Mapping[str, Any]:
    try:
        return dict(json.loads(payload))
    except (ValueError, TypeError) as error:
        raise ProjectError(DAMAGED) from error
