"""Which journal SQLite can keep in a folder: network drives cannot do WAL."""

import sqlite3
import tempfile
from contextlib import closing
from enum import StrEnum
from pathlib import Path


class JournalMode(StrEnum):
    """How SQLite keeps what a broken-off write would lose."""

    WAL = "wal"
    ROLLBACK = "delete"


def probe_journal_mode(folder: Path) -> JournalMode:
    """Return WAL where a database of two connections works with it, else ROLLBACK.

    Raises
    ------
    OSError
        If nothing can be written to the folder.
    """
    with tempfile.TemporaryDirectory(prefix=".probe-", dir=folder) as made:
        try:
            works = _try_wal(Path(made) / "probe.db")
        except sqlite3.Error:
            works = False
    return JournalMode.WAL if works else JournalMode.ROLLBACK


def _try_wal(path: Path) -> bool:
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as writer,
        closing(sqlite3.connect(path, isolation_level=None)) as reader,
    ):
        (mode,) = writer.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            return False
        writer.execute("CREATE TABLE probe (value INTEGER)")
        writer.execute("INSERT INTO probe VALUES (1)")
        seen = reader.execute("SELECT value FROM probe").fetchall()
        return bool(seen == [(1,)])
