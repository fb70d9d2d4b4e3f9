"""Follow a file of JSON lines that another process writes."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

Event = dict[str, Any]
_MOST_BYTES = 1 << 20  # at a time: reading happens on the window's thread
_MEMORY_BYTES = 256


class Told(NamedTuple):
    """What a file holds that was not read before."""

    events: tuple[Event, ...]
    is_rewritten: bool  # forget what was read before: these are the first lines
    is_all: bool  # nothing more waits just now


class EventTail:
    """Reads the lines that were added since the last time, however they come.

    A half written line is read when it is whole. A file that was shortened or replaced
    (a resumed run drops what it will tell again) is read from its start. Whatever is no
    JSON object is passed over.

    Parameters
    ----------
    path : Path
        The file; need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._before = b""  # the bytes before the offset, to know the file again
        self._file: tuple[int, int] | None = None

    def read(self) -> Told:
        """Return what is new."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                is_rewritten = self._is_another(file, status)
                if is_rewritten:
                    self._offset, self._before = 0, b""
                self._file = (status.st_dev, status.st_ino)
                file.seek(self._offset)
                block = file.read(_MOST_BYTES)
        except OSError:
            return Told((), False, True)
        whole = block[: block.rfind(b"\n") + 1]
        if not whole and len(block) == _MOST_BYTES:
            whole = block  # no line of ours is that long: pass it over
        self._offset += len(whole)
        self._before = (self._before + whole)[-_MEMORY_BYTES:]
        events = tuple(_parse(whole))
        return Told(events, is_rewritten, len(block) < _MOST_BYTES)

    def _is_another(self, file: Any, status: os.stat_result) -> bool:
        if self._offset == 0:
            return False
        if self._file != (status.st_dev, status.st_ino):
            return True
        if status.st_size < self._offset:
            return True
        file.seek(self._offset - len(self._before))
        return bool(file.read(len(self._before)) != self._before)


def _parse(lines: bytes) -> list[Event]:
    events = []
    for line in lines.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            events.append(event)
    return events
