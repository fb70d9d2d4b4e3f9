"""Where a person accepted or rejected a model's answers: read from the events."""

import json
import sqlite3

from pydantic import ValidationError

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.payload import DAMAGED
from napari_segmoe.project.records import JudgedPlace, PixelBox, PlaceVerdict

_KINDS = ("accept", "reject", "undo", "redo")


def read_places(
    connection: sqlite3.Connection, image: str | None
) -> dict[str, tuple[JudgedPlace, ...]]:
    """Return the last word on each place that is not proposed any more, by image.

    Parameters
    ----------
    connection : Connection
    image : str or None
        None: of all images.

    Raises
    ------
    ProjectError
        If an event is damaged.
    """
    rows = connection.execute(
        "SELECT image, json_extract(payload, '$.places') FROM events"
        f" WHERE kind IN ({', '.join('?' * len(_KINDS))})"
        " AND (? IS NULL OR image = ?)"
        " AND json_type(payload, '$.places') = 'array' ORDER BY number",
        (*_KINDS, image, image),
    )
    found: dict[str, dict[tuple[PixelBox, str], JudgedPlace]] = {}
    for name, text in rows:
        known = found.setdefault(name, {})
        for place in _parse(text):
            known.pop((place.box, place.source), None)
            if place.verdict is not PlaceVerdict.PROPOSED:
                known[place.box, place.source] = place
    return {name: tuple(places.values()) for name, places in found.items() if places}


def _parse(text: str) -> list[JudgedPlace]:
    try:
        return [JudgedPlace.model_validate(values) for values in json.loads(text)]
    except (ValueError, TypeError, ValidationError) as error:
        raise ProjectError(DAMAGED) from error


def rejected_boxes(places: tuple[JudgedPlace, ...]) -> tuple[PixelBox, ...]:
    """Return the boxes of an image in which a model's answers were rejected."""
    return tuple(one.box for one in places if one.verdict is PlaceVerdict.REJECTED)


def covers(outer: PixelBox, inner: PixelBox) -> bool:
    """Whether a box holds all of another."""
    return (
        outer[0] <= inner[0]
        and outer[1] <= inner[1]
        and outer[2] >= inner[2]
        and outer[3] >= inner[3]
    )
