"""One run as the window sees it: read from its folder, whoever started it."""

import re
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from napari_segmoe.session.event_tail import EventTail
from napari_segmoe.session.run_history import RunHistory
from napari_segmoe.training.run_control import STOP, RunControl
from napari_segmoe.training.run_process import (
    MARK,
    ProcessMark,
    end_process,
    find_process,
    read_mark,
    write_mark,
)

ERRORS = "stderr.log"
EVENTS = "events.jsonl"
_LOG_BYTES = 8192
_SOONEST_END_S = 2.0  # after its start; the system's clock of starts is 1 s coarse
_ROUND = re.compile(r"round-\d+$")


class RunState(StrEnum):
    """What a run is doing, or how it ended."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"
    STOPPED = "stopped"
    KILLED = "killed"
    FAILED = "failed"
    DIED = "died"
    ELSEWHERE = "on another computer"

    @property
    def is_active(self) -> bool:
        """Whether a process of this computer is at it."""
        return self in (RunState.STARTING, RunState.RUNNING, RunState.STOPPING)

    @property
    def can_resume(self) -> bool:
        """Whether it ended before it was done."""
        return self in _RESUMABLE


_RESUMABLE = (RunState.STOPPED, RunState.KILLED, RunState.FAILED, RunState.DIED)
_OF_ENDINGS = {
    "done": RunState.DONE,
    "stopped": RunState.STOPPED,
    "failed": RunState.FAILED,
}


class TrainingRun:
    """A run folder that is followed.

    Parameters
    ----------
    folder : Path
        The run folder; need not hold anything yet.
    log : Path or None
        Where what the trainer says last is written; by default in the folder.
    """

    def __init__(self, folder: Path, *, log: Path | None = None) -> None:
        self.folder = folder
        self.log = log or folder / ERRORS
        self.history = RunHistory()
        self.state = RunState.STARTING
        self.reason = ""  # why it failed or died
        self.mark: ProcessMark | None = None
        self._tail = EventTail(folder / EVENTS)
        self._is_all_read = False
        self._seen: ProcessMark | None = None
        self._is_fresh = False  # another process took it up and has told nothing yet
        self._marked_at: float | None = None

    @property
    def name(self) -> str:
        """Its folder's name."""
        return self.folder.name

    @property
    def is_round(self) -> bool:
        """Whether it is a learning round of a project."""
        return bool(_ROUND.search(self.name)) and self.folder.parent.name == "runs"

    @property
    def can_resume(self) -> bool:
        """Whether it can go on."""
        if not self.state.can_resume or not (self.folder / "config.yaml").is_file():
            return False
        return not self.is_round or self._is_newest()

    @property
    def weights(self) -> Path | None:
        """The weights of its best validation so far, or None."""
        best = self.folder / "best.safetensors"
        return best if best.is_file() else None

    @property
    def report(self) -> Path | None:
        """Its page of curves, figures and answers, or None before it is written."""
        page = self.folder / "report.md"
        return page if page.is_file() else None

    @property
    def needs_looking(self) -> bool:
        """Whether something may have changed since the last `look`."""
        is_taken_up = _changed_at(self.folder / MARK) != self._marked_at
        return self.state.is_active or not self._is_all_read or is_taken_up

    def look(self) -> bool:
        """Read what is new; return whether anything changed."""
        self._marked_at = _changed_at(self.folder / MARK)
        mark = read_mark(self.folder) or self.mark
        if mark is not None and not mark.is_killed and mark != self._seen:
            self._is_fresh = self._seen is not None
            self._seen = mark
        is_alive = mark is not None and find_process(mark) is not None
        told = self._tail.read()  # after asking for the process: its last words count
        self._is_all_read = told.is_all
        if told.is_rewritten:
            self.history = RunHistory()
        for event in told.events:
            self.history.take(event)
        if told.events or told.is_rewritten:
            self._is_fresh = False
        before = (self.state, self.reason, self.mark)
        self.mark = mark
        self.state = self._judge(is_alive=is_alive)
        self.reason = self._explain()
        changed = before != (self.state, self.reason, self.mark)
        return bool(told.events) or told.is_rewritten or changed

    def stop(self) -> None:
        """Ask it to end after its epoch; raises `OSError` on a read-only folder."""
        RunControl(self.folder).ask_to_stop()

    def pause(self) -> None:
        """Ask it to wait a moment."""
        RunControl(self.folder).ask_to_pause()

    def kill(self) -> bool:
        """End its process; return whether it was there."""
        if self.mark is None or not end_process(self.mark):
            return False
        self.mark = replace(self.mark, is_killed=True)
        if self.folder.is_dir():
            write_mark(self.folder, self.mark)
        return True

    def _is_newest(self) -> bool:
        """Whether no later round was begun: only the newest can go on."""
        others = self.folder.parent.glob("round-*")
        return all(one.name <= self.name for one in others)

    def _judge(self, *, is_alive: bool) -> RunState:
        ending = self.history.ending
        has_ended = ending is not None and self._told_since_start()
        if is_alive and (self._is_fresh or not has_ended):
            if (self.folder / STOP).exists():
                return RunState.STOPPING
            is_told = self.history.count and ending is None and not self._is_fresh
            return RunState.RUNNING if is_told else RunState.STARTING
        if ending is not None:
            return _OF_ENDINGS[ending["event"]]
        if self.mark is not None and not self.mark.is_here:
            return RunState.ELSEWHERE
        killed = self.mark is not None and self.mark.is_killed
        return RunState.KILLED if killed else RunState.DIED

    def _told_since_start(self) -> bool:
        """Whether the events are of the process that is at it, not of one before."""
        written = _changed_at(self.folder / EVENTS)
        if self.mark is None or written is None:
            return False
        return written >= self.mark.started + _SOONEST_END_S

    def _explain(self) -> str:
        if self.state is RunState.FAILED and self.history.ending is not None:
            return str(self.history.ending.get("reason", "")) or last_words(self.log)
        if self.state is RunState.DIED:
            return last_words(self.log)
        return ""


def _changed_at(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def last_words(log: Path) -> str:
    """Return the last sentence that a trainer wrote before it ended."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - _LOG_BYTES, 0))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        text = ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    ours = [line for line in lines if line.startswith("segmoe: ")]
    if ours and lines[-1] == ours[-1]:
        return ours[-1].removeprefix("segmoe: ")
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Killed)\b", line)]
    if errors:
        return errors[-1]
    return (
        "The trainer ended without a word: it was ended from outside, or the system"
        " ran short of memory."
    )
