"""Opening a project's database, and SQLite's errors in words."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.journal_mode import JournalMode, probe_journal_mode

_WAIT_S = 5.0
_SENTENCES = {
    "SQLITE_FULL": "The disk is full: free space, then repeat the last action.",
    "SQLITE_READONLY": "The folder is read-only: allow writing, or copy the project.",
    "SQLITE_BUSY": "Another program holds the project: close it there, then repeat.",
    "SQLITE_CORRUPT": "The database is damaged: restore a backup.",
    "SQLITE_NOTADB": "The file is not a database: restore a backup.",
    "SQLITE_CANTOPEN": "The database cannot be opened: look at the folder's rights.",
    "SQLITE_IOERR": "The disk answers with errors: copy the project elsewhere.",
}


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Return a connection; every commit is on the disk when it returns.

    Raises
    ------
    ProjectError
        If the database cannot be opened.
    """
    with clear_errors(path):
        if read_only:
            return _connect_reader(path)
        connection = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)
        try:
            mode = probe_journal_mode(path.parent)
            connection.execute(f"PRAGMA journal_mode = {mode.value}")
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
        return connection


def journal_mode(connection: sqlite3.Connection) -> JournalMode:
    """Return the journal that a connection uses."""
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    return JournalMode(mode)


def _connect_reader(path: Path) -> sqlite3.Connection:
    """Open for reading; in a folder that cannot be written to, as it lies there."""
    error: sqlite3.Error | None = None
    for option in ("mode=ro", "immutable=1"):
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?{option}",
            uri=True,
            timeout=_WAIT_S,
            isolation_level=None,
        )
        try:
            connection.execute("SELECT count(*) FROM settings").fetchone()
        except sqlite3.OperationalError as failed:
            connection.close()
            error = failed
        else:
            return connection
    assert error is not None
    raise error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do all of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of files into one sentence.

    Raises
    ------
    ProjectError
        For every error of SQLite, and where a file cannot be made or written.
    """
    name = path.parent.name
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", "") or ""
        known = next(
            (_SENTENCES[one] for one in _SENTENCES if code.startswith(one)), None
        )
        said = known or f"SQLite says: {error}. Run `segmoe project verify`."
        raise ProjectError(f"{name} cannot be used. {said}") from error
    except OSError as error:
        raise ProjectError(
            f"{name} cannot be used: {error.strerror or error}. Look at the folder's"
            " rights and free space."
        ) from error
