"""Jobs on one thread beside the window; answers arrive on the window's thread."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined]

from napari_segmoe.session.jobs import Job, run_to_end

logger = logging.getLogger(__name__)
SECONDS_TO_END = 5.0


@dataclass(frozen=True, slots=True)
class _Task:
    job: Job
    on_done: Callable[[Any], None]
    on_error: Callable[[Exception], None]


class QtJobRunner(QObject):
    """One worker thread with one waiting job a topic: the newest wins.

    A plain thread of ours, not superqt's generator workers: those drop a RuntimeError
    without a signal, and torch reports "out of memory" as one. The same thread serves
    all jobs, so that a predictor is never used from two.

    Parameters
    ----------
    parent : QObject or None
        Owner.
    """

    _finished = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: OrderedDict[str, _Task] = OrderedDict()
        self._condition = threading.Condition()
        self._is_closed = False
        self._finished.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._thread = threading.Thread(
            target=self._work, name="segmoe-worker", daemon=True
        )
        self._thread.start()

    def submit(
        self,
        job: Job,
        *,
        topic: str,
        on_done: Callable[[Any], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        """Queue a job; see `JobRunner.submit`."""
        with self._condition:
            self._waiting.pop(topic, None)
            self._waiting[topic] = _Task(job, on_done, on_error)
            self._condition.notify()

    def close(self) -> None:
        """Drop what waits, and wait a moment for the running job to end."""
        with self._condition:
            self._is_closed = True
            self._waiting.clear()
            self._condition.notify()
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
            self._run(task)

    def _run(self, task: _Task) -> None:
        callback: Callable[[Any], None]
        result: Any
        try:
            callback, result = task.on_done, run_to_end(task.job)
        except Exception as error:  # noqa: BLE001
            callback, result = task.on_error, error
        if not self._is_closed:
            self._finished.emit(callback, result)

    def _deliver(self, callback: Callable[[Any], None], result: Any) -> None:
        if not self._is_closed:
            callback(result)
