"""Where slow work runs: the protocol, and a runner that works at once."""

from collections.abc import Callable, Generator
from typing import Any, Protocol

Job = Callable[[], Generator[Any, None, Any]]


class JobRunner(Protocol):
    """Runs jobs one after another on one worker, and answers on the caller's thread.

    A job is a generator function: it yields progress, returns its result and touches
    no session state. Of the jobs of one topic that wait, only the newest is run.
    """

    def submit(
        self,
        job: Job,
        *,
        topic: str,
        on_done: Callable[[Any], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        """Queue ``job``; exactly one of the callbacks follows unless it is replaced."""
        ...

    def close(self) -> None:
        """Drop what waits and end the worker."""
        ...


def run_to_end(job: Job) -> Any:
    """Run a job on this thread and return its result."""
    steps = job()
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


class InlineRunner:
    """Runs each job at once, on the caller's thread: for tests and scripts."""

    def submit(
        self,
        job: Job,
        *,
        topic: str,
        on_done: Callable[[Any], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        """Run ``job`` now; see `JobRunner.submit`."""
        try:
            result = run_to_end(job)
        except Exception as error:  # noqa: BLE001
            on_error(error)
            return
        on_done(result)

    def close(self) -> None:
        """Do nothing: no job ever waits."""
