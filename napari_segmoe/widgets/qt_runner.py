"""Jobs on threads beside the window; answers arrive on the window's thread."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined]

from napari_segmoe.session.jobs import CLICKS, Job, Progress

logger = logging.getLogger(__name__)
SECONDS_TO_END = 5.0


@dataclass(slots=True, eq=False, weakref_slot=True)
class _Task:
    job: Job
    topic: str
    on_done: Callable[[Any], None]
    on_error: Callable[[Exception], None]
    on_progress: Progress | None = None
    is_cancelled: threading.Event = field(default_factory=threading.Event)


class QtJobRunner(QObject):
    """A worker thread a lane, with one waiting job a topic: the newest wins.

    Plain threads of ours, not superqt's generator workers: those drop a RuntimeError
    without a signal, and torch reports "out of memory" as one. A lane's thread starts
    with its first job.

    Parameters
    ----------
    parent : QObject or None
        Owner.
    """

    _called = Signal(object, object, object)  # task, callback, what it takes

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lanes: dict[str, _Lane] = {}
        # tasks that wait, run, or whose answer is on its way
        self._open: WeakSet[_Task] = WeakSet()
        self._is_closed = False
        self._called.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def submit(
        self,
        job: Job,
        *,
        topic: str,
        on_done: Callable[[Any], None],
        on_error: Callable[[Exception], None],
        lane: str = CLICKS,
        on_progress: Progress | None = None,
    ) -> None:
        """Queue a job; see `JobRunner.submit`."""
        if self._is_closed:
            return
        if lane not in self._lanes:
            self._lanes[lane] = _Lane(lane, self._called.emit)
        task = _Task(job, topic, on_done, on_error, on_progress)
        self._open.add(task)
        self._lanes[lane].put(task)

    def cancel(self, topic: str) -> None:
        """Drop and end the jobs of a topic; see `JobRunner.cancel`."""
        for lane in self._lanes.values():
            lane.drop(topic)
        for task in tuple(self._open):
            if task.topic == topic:
                task.is_cancelled.set()

    def close(self) -> None:
        """Drop what waits, and wait a moment for the running jobs to end."""
        self._is_closed = True
        for lane in self._lanes.values():
            lane.end()
        for lane in self._lanes.values():
            lane.wait()

    def _deliver(
        self, task: _Task, callback: Callable[[Any], None], result: Any
    ) -> None:
        if not self._is_closed and not task.is_cancelled.is_set():
            callback(result)


class _Lane:
    """One worker thread and the jobs that wait for it."""

    def __init__(self, name: str, deliver: Callable[[_Task, Any, Any], None]) -> None:
        self._deliver = deliver
        self._waiting: OrderedDict[str, _Task] = OrderedDict()
        self._running: _Task | None = None
        self._condition = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(
            target=self._work, name=f"segmoe-{name}", daemon=True
        )
        self._thread.start()

    def put(self, task: _Task) -> None:
        """Queue a job in place of the one of its topic that waits."""
        with self._condition:
            self._waiting.pop(task.topic, None)
            self._waiting[task.topic] = task
            self._condition.notify()

    def drop(self, topic: str) -> None:
        """Drop the waiting job of a topic."""
        with self._condition:
            self._waiting.pop(topic, None)

    def end(self) -> None:
        """Drop what waits; the running job ends at its next step."""
        with self._condition:
            self._is_closed = True
            self._waiting.clear()
            if self._running is not None:
                self._running.is_cancelled.set()
            self._condition.notify()

    def wait(self) -> None:
        """Wait a moment for the thread to end."""
        self._thread.join(SECONDS_TO_END)
        if self._thread.is_alive():
            logger.warning("A job is still running; its answer will be dropped.")

    def _work(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting or self._is_closed)
                if self._is_closed:
                    return
                _, task = self._waiting.popitem(last=False)
                self._running = task
            self._run(task)
            with self._condition:
                self._running = None

    def _run(self, task: _Task) -> None:
        callback: Callable[[Any], None]
        result: Any
        try:
            callback, result = task.on_done, self._go_through(task)
        except Exception as error:  # noqa: BLE001
            callback, result = task.on_error, error
        if not task.is_cancelled.is_set():
            self._deliver(task, callback, result)

    def _go_through(self, task: _Task) -> Any:
        steps = task.job()
        try:
            while not task.is_cancelled.is_set():
                try:
                    progress = next(steps)
                except StopIteration as stop:
                    return stop.value
                if task.on_progress is not None and progress is not None:
                    self._deliver(task, task.on_progress, progress)
        finally:
            steps.close()
        return None
