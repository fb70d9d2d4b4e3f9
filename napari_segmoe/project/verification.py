"""Whether a project is whole: pages, chain of hashes, and what follows from events."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.database import clear_errors, connect, journal_mode
from napari_segmoe.project.journal_mode import JournalMode
from napari_segmoe.project.payload import FIRST_DIGEST, chain, from_json, unpack_pixels
from napari_segmoe.project.projection import apply_change
from napari_segmoe.project.schema import FOLLOWING, create_tables
from napari_segmoe.project.store import DATABASE


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found.

    Attributes
    ----------
    events : int
        Events that were read.
    faults : tuple of str
        What is wrong, in sentences; empty: the project is whole.
    """

    events: int
    faults: tuple[str, ...]


def verify_project(path: Path) -> Verification:
    """Read all of a project and say what is wrong with it; changes nothing.

    The database's own structure is checked, then the hash of every event over all
    before it, and last every table that follows from the events, which are played
    again from the first.

    Raises
    ------
    ProjectError
        If it cannot be opened at all.
    """
    database = path / DATABASE
    if not database.is_file():
        raise ProjectError(f"{path.name} is no project: it has no {DATABASE}.")
    faults: list[str] = []
    count = 0
    with closing(connect(database, read_only=True)) as connection:
        try:
            if journal_mode(connection) is JournalMode.WAL:
                connection.execute("BEGIN")  # one state, while others go on writing
            faults += _check_pages(connection)
            count, broken = _check_chain(connection)
            faults += broken
            if not faults:
                faults += _check_tables(connection)
        except ProjectError as error:
            faults.append(f"It cannot be read to its end. {error}")
    return Verification(count, tuple(faults))


def _check_pages(connection: sqlite3.Connection) -> Iterator[str]:
    for (line,) in connection.execute("PRAGMA integrity_check(20)"):
        if line != "ok":
            yield f"The database is damaged: {line}."


def _check_chain(connection: sqlite3.Connection) -> tuple[int, list[str]]:
    previous, expected = FIRST_DIGEST, 1
    rows = connection.execute(
        "SELECT number, time_utc, kind, annotator, image, payload, before, after,"
        " digest FROM events ORDER BY number"
    )
    for *parts, digest in rows:
        number = parts[0]
        if number != expected:
            return expected - 1, [f"Event {expected} is missing."]
        if chain(previous, *parts) != digest:
            return expected - 1, [
                f"Event {number} was changed after it was stored, or is damaged: its"
                " hash does not fit."
            ]
        previous, expected = digest, number + 1
    return expected - 1, []


def _check_tables(connection: sqlite3.Connection) -> Iterator[str]:
    """Play all events again and compare what comes of them."""
    with tempfile.TemporaryDirectory(prefix="segmoe-verify-") as folder:
        played = Path(folder) / DATABASE
        with (
            clear_errors(played),
            closing(sqlite3.connect(played, isolation_level=None)) as other,
        ):
            create_tables(other)
            other.execute("PRAGMA synchronous = OFF")
            rows = connection.execute(
                "SELECT image, payload, before, after FROM events ORDER BY number"
            )
            other.execute("BEGIN")
            for image, payload, before, after in rows:
                change, box = from_json(payload)
                apply_change(other, image, change, unpack_pixels(box, before, after))
            other.execute("COMMIT")
            for table in FOLLOWING:
                order = f"SELECT * FROM {table}"
                if sorted(map(repr, connection.execute(order))) != sorted(
                    map(repr, other.execute(order))
                ):
                    yield (
                        f"The table {table} is not what the events say: it was changed"
                        " or is damaged."
                    )
