"""The tables of a project's database, and how older ones are brought up to date."""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from napari_segmoe.errors import ProjectError

APPLICATION_ID = 0x53474D45  # "SGME"
VERSION = 1
BLOCK_PX = 256

Migration = Callable[[sqlite3.Connection], None]

# The events are the truth; every other table but `settings` follows from them.
TABLES = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE events (
    number INTEGER PRIMARY KEY,
    time_utc TEXT NOT NULL,
    kind TEXT NOT NULL,
    annotator TEXT,
    image TEXT,
    payload TEXT NOT NULL,
    before BLOB,
    after BLOB,
    digest BLOB NOT NULL
);
CREATE INDEX events_by_image ON events (image, number);
CREATE TRIGGER events_stay BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_remain BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TABLE annotators (pseudonym TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE images (name TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE classes (
    id INTEGER PRIMARY KEY, place INTEGER NOT NULL, name TEXT NOT NULL,
    colour TEXT NOT NULL
);
CREATE TABLE objects (
    image TEXT NOT NULL, id INTEGER NOT NULL,
    class_id INTEGER, state TEXT NOT NULL, provenance TEXT NOT NULL,
    source TEXT NOT NULL, probability REAL, model_class TEXT, model_version INTEGER,
    area_px REAL NOT NULL,
    y0 INTEGER NOT NULL, x0 INTEGER NOT NULL, y1 INTEGER NOT NULL, x1 INTEGER NOT NULL,
    PRIMARY KEY (image, id)
) WITHOUT ROWID;
CREATE TABLE tiles (
    image TEXT NOT NULL,
    y0 INTEGER NOT NULL, x0 INTEGER NOT NULL, y1 INTEGER NOT NULL, x1 INTEGER NOT NULL,
    PRIMARY KEY (image, y0, x0, y1, x1)
) WITHOUT ROWID;
CREATE TABLE label_blocks (
    image TEXT NOT NULL, block_row INTEGER NOT NULL, block_column INTEGER NOT NULL,
    runs BLOB NOT NULL,
    PRIMARY KEY (image, block_row, block_column)
) WITHOUT ROWID;
CREATE TABLE models (number INTEGER PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE runs (name TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
"""
FOLLOWING = (
    "annotators",
    "images",
    "classes",
    "objects",
    "tiles",
    "label_blocks",
    "models",
    "runs",
)

# From version n to n + 1, by n.
MIGRATIONS: dict[int, Migration] = {}


def create_tables(connection: sqlite3.Connection) -> None:
    """Make all tables in an empty database."""
    connection.executescript(
        f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};"
        f"BEGIN IMMEDIATE; {TABLES} COMMIT;"
    )


def check_version(
    path: Path,
    *,
    version: int = VERSION,
    migrations: Mapping[int, Migration] = MIGRATIONS,
) -> None:
    """Bring an older database up to date, on a copy that then takes its place.

    The old one stays beside it as ``project.vN.db``.

    Raises
    ------
    ProjectError
        If it is no project's database, or a newer version wrote it.
    """
    found = _stated_version(path)
    if found > version:
        raise ProjectError(
            f"The project was written by a newer version (schema {found}; this one"
            f" reads up to {version}). Update napari-segmoe."
        )
    if found == version:
        return
    copy = path.with_name("project.migrating.db")
    copy.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(copy)) as new:
        old.backup(new)
        for step in range(found, version):
            migrations[step](new)
            new.execute(f"PRAGMA user_version = {step + 1}")
            new.commit()
    kept = path.with_name(f"project.v{found}.db")
    with (
        closing(sqlite3.connect(path)) as old,
        closing(sqlite3.connect(kept)) as backup,
    ):
        old.backup(backup)
    copy.replace(path)


def _stated_version(path: Path) -> int:
    try:
        with closing(sqlite3.connect(path)) as connection:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError as error:
        raise ProjectError(
            f"{path.name} cannot be read as a database ({error}). Restore a backup."
        ) from error
    if application != APPLICATION_ID:
        raise ProjectError(
            f"{path.name} is not the database of a napari-segmoe project. Choose"
            " another folder."
        )
    return int(version)
