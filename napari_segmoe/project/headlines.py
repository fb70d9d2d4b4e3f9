"""What was done, a page at a time and without pixels: for tables of a history."""

import json
import sqlite3
from dataclasses import dataclass

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.payload import from_json, to_json
from napari_segmoe.project.records import EventKind, ProjectEvent


@dataclass(frozen=True, slots=True)
class Headline:
    """One event in a line.

    Attributes
    ----------
    number : int
        From 1, without gaps.
    time_utc : str
        ISO 8601.
    kind : EventKind
    annotator, image : str or None
    object_ids : tuple of int
        Objects that it touched.
    has_pixels : bool
        Whether it changed pixels.
    text : str
        What else it says: the event undone, a file's name, a version.
    """

    number: int
    time_utc: str
    kind: EventKind
    annotator: str | None
    image: str | None
    object_ids: tuple[int, ...]
    has_pixels: bool
    text: str


def read_headlines(
    connection: sqlite3.Connection, *, below: int | None, limit: int
) -> tuple[Headline, ...]:
    """Return the newest events below a number, newest first; see `ProjectStore`.

    Raises
    ------
    ProjectError
        If one is damaged.
    """
    rows = connection.execute(
        "SELECT number, time_utc, kind, annotator, image, payload, before IS NOT NULL"
        " FROM events WHERE ? IS NULL OR number < ? ORDER BY number DESC LIMIT ?",
        (below, below, limit),
    )
    return tuple(_headline(*row) for row in rows)


def _headline(
    number: int,
    time_utc: str,
    kind: str,
    annotator: str | None,
    image: str | None,
    payload: str,
    has_pixels: int,
) -> Headline:
    try:
        values = dict(json.loads(payload))
        ids = tuple(sorted(int(key) for key in values.get("objects") or ()))
        found = EventKind(kind)
    except (ValueError, TypeError) as error:
        raise ProjectError(
            f"Event {number} of the project cannot be read: it is damaged, or was"
            " written by a newer version. Verify the project."
        ) from error
    return Headline(
        number, time_utc, found, annotator, image, ids, bool(has_pixels), _say(values)
    )


def _say(values: dict[str, object]) -> str:
    """Return what an event says beside its objects, in a few words."""
    annotator, tiles, classes = (
        values.get(key) for key in ("annotator", "tiles", "classes")
    )
    parts: list[str] = []
    if isinstance(annotator, str):
        parts.append(annotator)
    if isinstance(tiles, list):
        parts.append("1 tile" if len(tiles) == 1 else f"{len(tiles)} tiles")
    if isinstance(classes, list):
        parts.append(f"{len(classes)} classes")
    model, run = values.get("model"), values.get("run")
    if isinstance(model, dict):
        parts.append(f"version {model.get('number')}")
    if isinstance(run, dict):
        parts.append(f"{run.get('name')}: {run.get('state')}")
    details = values.get("details")
    if isinstance(details, dict):
        plain = (str, int, float)
        parts += [
            f"{key.replace('_', ' ')} {_short(one)}"
            for key, one in details.items()
            if isinstance(one, plain) and not isinstance(one, bool)
        ]
    return " · ".join(parts)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def describe_event(event: ProjectEvent) -> dict[str, object]:
    """Return an event as one line of a history, without its pixels."""
    _, box = from_json(to_json(event.change, event.patch))
    return {
        "number": event.number,
        "time_utc": event.time_utc,
        "kind": event.kind.value,
        "annotator": event.annotator,
        "image": event.image,
        "objects": sorted(event.change.objects or ()),
        "box": None if box is None else list(box),
        "details": json.loads(json.dumps(dict(event.change.details or {}))),
    }
