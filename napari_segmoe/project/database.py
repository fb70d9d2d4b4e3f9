"""Opening a project's database, and SQLite's errors in words."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.journal_mode import JournalMode, probe_journal_mode

_WAIT_S = 5.0
_PORTION = 200  # rows read at once
_SENTENCES = {
    "SQLITE_FULL": "The disk is full: free space, then repeat the last action.",
    "SQLITE_READONLY": "The folder is read-only: allow writing, or copy the project.",
    "SQLITE_BUSY": "Another program holds the project: close it there, then repeat.",
    "SQLITE_CORRUPT": "The database is damaged: verify it, then restore a backup.",
    "SQLITE_NOTADB": "The file is not a database: restore a backup.",
    "SQLITE_CANTOPEN": "The database cannot be opened: look at the folder's rights.",
    "SQLITE_IOERR": "The disk answers with errors: copy the project elsewhere.",
}


class ProjectCursor(sqlite3.Cursor):
    """Rows of a project; an error of SQLite while they are read is a `ProjectError`."""

    connection: "ProjectConnection"

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Yield all rows that are left; in portions, since 50 000 take their time."""
        while rows := self.fetchmany(_PORTION):
            yield from rows

    def __next__(self) -> Any:
        """Return the next row."""
        try:
            return super().__next__()
        except sqlite3.Error as error:
            raise say_error(error, self.connection.project) from error

    def fetchmany(self, size: int | None = 1) -> list[Any]:
        """Return the next rows, so many at most."""
        try:
            return super().fetchmany(size)
        except sqlite3.Error as error:
            raise say_error(error, self.connection.project) from error

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        try:
            return super().fetchone()
        except sqlite3.Error as error:
            raise say_error(error, self.connection.project) from error

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""
        try:
            return super().fetchall()
        except sqlite3.Error as error:
            raise say_error(error, self.connection.project) from error


class ProjectConnection(sqlite3.Connection):
    """A connection whose errors are a `ProjectError`, whoever reads or writes."""

    project = "The project"  # its folder's name

    def cursor(self, factory: Any = ProjectCursor) -> Any:
        """Return a cursor."""
        return super().cursor(factory)

    def execute(self, sql: str, parameters: Any = ()) -> Any:
        """Carry out one statement."""
        try:
            return self.cursor().execute(sql, parameters)
        except sqlite3.Error as error:
            raise say_error(error, self.project) from error

    def executemany(self, sql: str, parameters: Any) -> Any:
        """Carry out one statement for many values."""
        try:
            return self.cursor().executemany(sql, parameters)
        except sqlite3.Error as error:
            raise say_error(error, self.project) from error


def connect(path: Path, *, read_only: bool = False) -> ProjectConnection:
    """Return a connection; every commit is on the disk when it returns.

    Raises
    ------
    ProjectError
        If the database cannot be opened.
    """
    with clear_errors(path):
        if read_only:
            return _connect_reader(path)
        connection = sqlite3.connect(
            path, timeout=_WAIT_S, isolation_level=None, factory=ProjectConnection
        )
        connection.project = path.parent.name
        try:
            mode = probe_journal_mode(path.parent)
            connection.execute(f"PRAGMA journal_mode = {mode.value}")
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
        return connection


def connect_still(path: Path) -> ProjectConnection:
    """Return a connection to a copy that nobody writes; it leaves nothing beside it.

    Raises
    ------
    ProjectError
        If it cannot be opened.
    """
    with clear_errors(path):
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?immutable=1",
            uri=True,
            isolation_level=None,
            factory=ProjectConnection,
        )
    connection.project = path.name
    return connection


def journal_mode(connection: sqlite3.Connection) -> JournalMode:
    """Return the journal that a connection uses."""
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    return JournalMode(mode)


def _connect_reader(path: Path) -> ProjectConnection:
    """Open for reading; in a folder that cannot be written to, as it lies there."""
    error: ProjectError | None = None
    for option in ("mode=ro", "immutable=1"):
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?{option}",
            uri=True,
            timeout=_WAIT_S,
            isolation_level=None,
            factory=ProjectConnection,
        )
        connection.project = path.parent.name
        try:
            connection.execute("SELECT count(*) FROM settings").fetchone()
        except ProjectError as failed:
            connection.close()
            error = error or failed  # of the usual way
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
        connection.execute("COMMIT")  # refused while another program reads: no WAL
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


class Whereabouts:
    """Where a database lay when it was opened, and whether it still does.

    SQLite goes on reading and writing a file that was deleted, or moved, under it: what
    it then stores is lost without a word.

    Parameters
    ----------
    database : Path
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._found = database.stat()

    def check(self) -> None:
        """Raise `ProjectError` where it is gone, or another file lies there."""
        name = self._database.parent.name
        try:
            now = self._database.stat()
        except OSError as error:
            raise ProjectError(
                f"{name} is no longer where it was opened ({error.strerror}): it was"
                " moved, deleted, or its drive is gone. Bring it back to its place."
            ) from error
        if not os.path.samestat(now, self._found):
            raise ProjectError(
                f"Another project lies where {name} was opened: it was moved or"
                " replaced. Close it here and open the one that you mean."
            )


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
        raise say_error(error, name) from error
    except OSError as error:
        raise ProjectError(
            f"{name} cannot be used: {error.strerror or error}. Look at the folder's"
            " rights and free space."
        ) from error


def say_error(error: sqlite3.Error, name: str) -> ProjectError:
    """Return an error of SQLite in the project ``name`` as one sentence for people."""
    code = getattr(error, "sqlite_errorname", "") or ""
    known = next((_SENTENCES[one] for one in _SENTENCES if code.startswith(one)), None)
    said = known or f"SQLite says: {error}. Run `segmoe project verify`."
    return ProjectError(f"{name} cannot be used. {said}")
