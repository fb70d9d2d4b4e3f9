"""Who has a project open: a small file a window, left behind where one was killed."""

import json
import os
import platform
import secrets
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import psutil

_FOLDER = "open"


@dataclass(frozen=True, slots=True)
class OpenMark:
    """One program that opened the project and has not closed it.

    Attributes
    ----------
    path : Path
        Its file.
    events : int
        Number of the project's newest event when it opened it.
    is_alive : bool
        Whether it still runs; one on another computer counts as running.
    """

    path: Path
    events: int
    is_alive: bool


def leave_mark(project: Path, *, events: int) -> Path | None:
    """Note that this program has the project open; None where that cannot be kept."""
    folder = project / _FOLDER
    path = folder / f"{secrets.token_hex(8)}.json"
    values = {
        "process": os.getpid(),
        "started": psutil.Process().create_time(),
        "computer": _computer(),
        "events": events,
    }
    try:
        folder.mkdir(exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")
    except OSError:
        return None
    return path


def read_marks(project: Path) -> tuple[OpenMark, ...]:
    """Return who has the project open, or had it when killed."""
    return tuple(map(_read, sorted((project / _FOLDER).glob("*.json"))))


def remove_mark(path: Path | None) -> None:
    """Note that a program has closed the project."""
    if path is not None:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            return  # read-only by now: it counts as left behind


def _read(path: Path) -> OpenMark:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        events, computer = int(values["events"]), values["computer"]
        process, started = int(values["process"]), float(values["started"])
    except (OSError, ValueError, KeyError, TypeError):
        return OpenMark(path, 0, is_alive=False)  # killed while it was written
    is_alive = computer != _computer() or _runs(process, started)
    return OpenMark(path, events, is_alive=is_alive)


def _runs(process: int, started: float) -> bool:
    try:
        return abs(psutil.Process(process).create_time() - started) < 1.0
    except psutil.Error:
        return False


def _computer() -> str:
    """Return a name of this computer that tells nothing elsewhere."""
    return sha256(platform.node().encode()).hexdigest()[:16]
