"""Which process trains in a run folder: noted there, and told from strangers.

Process numbers are used again, so a number alone would let a window end somebody
else's program: the note holds the time at which the process began as well, and which
computer it is on. Loads no torch.
"""

import hashlib
import json
import os
import platform
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

MARK = "process.json"
_SAME_START_S = 0.5


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """One process, on one computer.

    Attributes
    ----------
    pid : int
        Its number.
    started : float
        When it began, seconds since 1970.
    machine : str
        Digest that tells computers apart without naming them.
    is_killed : bool
        Whether a user ended it.
    """

    pid: int
    started: float
    machine: str
    is_killed: bool = False

    @property
    def is_here(self) -> bool:
        """Whether it is, or was, on this computer."""
        return self.machine == this_machine()


def this_machine() -> str:
    """Return a digest of this computer's name and address."""
    words = f"{platform.node()}/{uuid.getnode()}"
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def mark_of(pid: int) -> ProcessMark | None:
    """Return the mark of a process that is running here, or None."""
    try:
        return ProcessMark(pid, psutil.Process(pid).create_time(), this_machine())
    except psutil.Error:
        return None


def claim(folder: Path) -> None:
    """Note that this process trains in ``folder``; a full disk is told of later."""
    mark = mark_of(os.getpid())
    if mark is not None:
        with suppress(OSError):
            write_mark(folder, mark)


def write_mark(folder: Path, mark: ProcessMark) -> None:
    """Write a mark, atomically.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    partial = folder / f".process.{os.getpid()}.partial"
    partial.write_text(json.dumps(asdict(mark)), encoding="utf-8")
    partial.replace(folder / MARK)


def read_mark(folder: Path) -> ProcessMark | None:
    """Return who trains, or trained, in ``folder``; None where nobody noted it."""
    try:
        values = json.loads((folder / MARK).read_text(encoding="utf-8"))
        return ProcessMark(
            int(values["pid"]),
            float(values["started"]),
            str(values["machine"]),
            bool(values["is_killed"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def find_process(mark: ProcessMark) -> psutil.Process | None:
    """Return the very process of a mark; None if it ended or is another by now."""
    if not mark.is_here:
        return None
    try:
        process = psutil.Process(mark.pid)
        is_same = abs(process.create_time() - mark.started) < _SAME_START_S
        is_alive = is_same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return None
    return process if is_alive else None


def end_process(mark: ProcessMark) -> bool:
    """End the process of a mark and those it started; return whether it was there."""
    process = find_process(mark)
    if process is None:
        return False
    with suppress(psutil.Error):
        for child in process.children(recursive=True):
            with suppress(psutil.Error):
                child.kill()
    with suppress(psutil.Error):
        process.kill()
    return True
