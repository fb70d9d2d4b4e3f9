"""The tables that follow from the events, changed by one event at a time."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import ValidationError

from napari_segmoe.errors import ProjectConflictError, ProjectError
from napari_segmoe.project.label_runs import Labels, decode_runs, encode_runs
from napari_segmoe.project.payload import DAMAGED, parse_record
from napari_segmoe.project.records import (
    Change,
    ImageRecord,
    ObjectState,
    PixelBox,
    PixelPatch,
)
from napari_segmoe.project.schema import BLOCK_PX
from napari_segmoe.types import Modality

# what may be said anew of an image that the project has already
_MUTABLE: Mapping[str, Any] = {
    "spacing_um": None,
    "modality": Modality.UNKNOWN,
    "group": None,
}
_OBJECT_COLUMNS = (
    "image, id, class_id, state, provenance, source, probability, model_class,"
    " model_version, area_px, y0, x0, y1, x1"
)


def apply_change(
    connection: sqlite3.Connection,
    image: str | None,
    change: Change,
    patch: PixelPatch | None,
) -> None:
    """Bring the tables from before an event to after it.

    Raises
    ------
    ProjectError
        If it is about an image that the project does not have, or leaves it.
    ProjectConflictError
        If the pixels are not those that the event says it found.
    """
    if change.annotator is not None:
        connection.execute(
            "INSERT OR IGNORE INTO annotators VALUES (?)", (change.annotator,)
        )
    if change.image is not None:
        _check_name(connection, change.image)
        connection.execute(
            "INSERT OR REPLACE INTO images VALUES (?, ?)",
            (change.image.name, change.image.model_dump_json()),
        )
    if change.classes is not None:
        connection.execute("DELETE FROM classes")
        connection.executemany(
            "INSERT INTO classes VALUES (?, ?, ?, ?)",
            [
                (one.id, place, one.name, one.colour)
                for place, one in enumerate(change.classes)
            ],
        )
    _apply_models(connection, change)
    if image is not None:
        record = read_image(connection, image)
        _apply_objects(connection, image, change)
        _apply_tiles(connection, image, change)
        if patch is not None:
            _apply_pixels(connection, record, patch)


def last_number(connection: sqlite3.Connection, image: str) -> int:
    """Return the number of an image's newest event; 0 where there is none."""
    (number,) = connection.execute(
        "SELECT max(number) FROM events WHERE image = ?", (image,)
    ).fetchone()
    return int(number or 0)


def check_seen(
    connection: sqlite3.Connection, image: str | None, seen: int | None
) -> None:
    """Refuse a change of an image that somebody else has changed since ``seen``.

    Raises
    ------
    ProjectConflictError
        If its newest event has a larger number.
    """
    if image is None or seen is None or last_number(connection, image) <= seen:
        return
    raise ProjectConflictError(
        f"Another window or program has changed {image} since it was opened here. Take"
        " its changes in, then repeat."
    )


def read_class_details(connection: sqlite3.Connection) -> Mapping[str, Any]:
    """Return the details of the newest event that states the list of classes."""
    found = connection.execute(
        "SELECT json_extract(payload, '$.details') FROM events WHERE kind IN"
        " ('classes', 'undo', 'redo') AND json_type(payload, '$.classes') = 'array'"
        " ORDER BY number DESC LIMIT 1"
    ).fetchone()
    try:
        return {} if found is None or found[0] is None else dict(json.loads(found[0]))
    except (ValueError, TypeError) as error:
        raise ProjectError(DAMAGED) from error


def _check_name(connection: sqlite3.Connection, image: ImageRecord) -> None:
    found = connection.execute(
        "SELECT record FROM images WHERE name = ?", (image.name,)
    ).fetchone()
    if found is None:
        return
    there = parse_record(ImageRecord, found[0])
    if there.model_copy(update=_MUTABLE) != image.model_copy(update=_MUTABLE):
        raise ProjectConflictError(
            f"Another program has given the name {image.name} to an image meanwhile."
            " Take the next name."
        )


def _apply_models(connection: sqlite3.Connection, change: Change) -> None:
    if change.model is not None:
        if change.model.is_current:
            connection.execute(
                "UPDATE models SET"
                " record = json_set(record, '$.is_current', json('false'))"
            )
        connection.execute(
            "INSERT OR REPLACE INTO models VALUES (?, ?)",
            (change.model.number, change.model.model_dump_json()),
        )
    if change.run is not None:
        connection.execute(
            "INSERT OR REPLACE INTO runs VALUES (?, ?)",
            (change.run.name, change.run.model_dump_json()),
        )


def _apply_objects(connection: sqlite3.Connection, image: str, change: Change) -> None:
    for number, state in (change.objects or {}).items():
        if state is None:
            connection.execute(
                "DELETE FROM objects WHERE image = ? AND id = ?", (image, number)
            )
        else:
            connection.execute(
                f"INSERT OR REPLACE INTO objects ({_OBJECT_COLUMNS})"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (image, number, *_values(state)),
            )


def _values(state: ObjectState) -> tuple[object, ...]:
    return (
        state.class_id,
        state.state.value,
        state.provenance.value,
        state.source,
        state.probability,
        state.model_class,
        state.model_version,
        state.area_px,
        *state.box,
    )


def _apply_tiles(connection: sqlite3.Connection, image: str, change: Change) -> None:
    for tile in change.tiles:
        if tile.is_finished:
            order = "INSERT OR REPLACE INTO tiles VALUES (?, ?, ?, ?, ?)"
        else:
            order = (
                "DELETE FROM tiles WHERE image = ? AND y0 = ? AND x0 = ? AND y1 = ?"
                " AND x1 = ?"
            )
        connection.execute(order, (image, *tile.box))


def _apply_pixels(
    connection: sqlite3.Connection, record: ImageRecord, patch: PixelPatch
) -> None:
    y0, x0, y1, x1 = patch.box
    height, width = record.shape
    if not (0 <= y0 < y1 <= height and 0 <= x0 < x1 <= width):
        raise ProjectError(
            f"A change of {list(patch.box)} leaves {record.name}, which is {height} x"
            f" {width} px."
        )
    for row, column, inner, outer in _blocks(patch.box):
        block = _read_block(connection, record.name, row, column)
        if not np.array_equal(block[inner], patch.before[outer]):
            raise ProjectConflictError(
                f"The objects of {record.name} were changed by somebody else in"
                " between. Open the image again; the last change was not stored."
            )
        block[inner] = patch.after[outer]
        key = (record.name, row, column)
        if block.any():
            connection.execute(
                "INSERT OR REPLACE INTO label_blocks VALUES (?, ?, ?, ?)",
                (*key, encode_runs(block)),
            )
        else:
            connection.execute(
                "DELETE FROM label_blocks WHERE image = ? AND block_row = ?"
                " AND block_column = ?",
                key,
            )


def read_image(connection: sqlite3.Connection, name: str) -> ImageRecord:
    """Return an image's record.

    Raises
    ------
    ProjectError
        If the project has no such image.
    """
    found = connection.execute(
        "SELECT record FROM images WHERE name = ?", (name,)
    ).fetchone()
    if found is None:
        raise ProjectError(f"The project has no image {name!r}. Add it first.")
    return parse_record(ImageRecord, found[0])


def read_objects(connection: sqlite3.Connection, image: str) -> dict[int, ObjectState]:
    """Return an image's objects by id; fast, since a project may have 50 000."""
    rows = connection.execute(
        "SELECT id, class_id, state, provenance, source, probability, model_class,"
        " model_version, area_px, y0, x0, y1, x1 FROM objects WHERE image = ?"
        " ORDER BY id",
        (image,),
    )
    read = ObjectState.model_validate  # of a mapping: half the time of keywords
    try:
        return _states(rows, read)
    except ValidationError as error:
        raise ProjectError(DAMAGED) from error


def _states(
    rows: Iterator[Any], read: Callable[[Any], ObjectState]
) -> dict[int, ObjectState]:
    return {
        row[0]: read(
            {
                "class_id": row[1],
                "state": row[2],
                "provenance": row[3],
                "source": row[4],
                "probability": row[5],
                "model_class": row[6],
                "model_version": row[7],
                "area_px": row[8],
                "box": row[9:],
            }
        )
        for row in rows
    }


def read_labels(connection: sqlite3.Connection, image: str, box: PixelBox) -> Labels:
    """Return an image's label pixels in a box, (h, w) uint32."""
    y0, x0, y1, x1 = box
    labels = np.zeros((y1 - y0, x1 - x0), np.uint32)
    rows = connection.execute(
        "SELECT block_row, block_column, runs FROM label_blocks WHERE image = ?"
        " AND block_row BETWEEN ? AND ? AND block_column BETWEEN ? AND ?",
        (
            image,
            y0 // BLOCK_PX,
            (y1 - 1) // BLOCK_PX,
            x0 // BLOCK_PX,
            (x1 - 1) // BLOCK_PX,
        ),
    )
    found = {(row, column): runs for row, column, runs in rows}
    for row, column, inner, outer in _blocks(box):
        if (row, column) in found:
            labels[outer] = decode_runs(found[row, column])[inner]
    return labels


def _read_block(
    connection: sqlite3.Connection, image: str, row: int, column: int
) -> Labels:
    found = connection.execute(
        "SELECT runs FROM label_blocks WHERE image = ? AND block_row = ?"
        " AND block_column = ?",
        (image, row, column),
    ).fetchone()
    if found is None:
        return np.zeros((BLOCK_PX, BLOCK_PX), np.uint32)
    return decode_runs(found[0])


def _blocks(
    box: PixelBox,
) -> Iterator[tuple[int, int, tuple[slice, slice], tuple[slice, slice]]]:
    """Give the blocks that a box meets: which, where in it, where in the box."""
    y0, x0, y1, x1 = box
    for row in range(y0 // BLOCK_PX, (y1 - 1) // BLOCK_PX + 1):
        inner_y, outer_y = _overlap(row, y0, y1)
        for column in range(x0 // BLOCK_PX, (x1 - 1) // BLOCK_PX + 1):
            inner_x, outer_x = _overlap(column, x0, x1)
            yield row, column, (inner_y, inner_x), (outer_y, outer_x)


def _overlap(number: int, low: int, high: int) -> tuple[slice, slice]:
    start = number * BLOCK_PX
    first, last = max(low, start), min(high, start + BLOCK_PX)
    return slice(first - start, last - start), slice(first - low, last - low)
