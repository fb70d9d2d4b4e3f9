"""Where slow work runs: the protocol, and a runner that works at once."""

from collections.abc import Callable, Generator
from typing import Any, Protocol

Job = Callable[[], Generator[Any, None, Any]]
Progress = Callable[[Any], None]

CLICKS = "clicks"  # short jobs: a click waits for no other lane
REGIONS = "regions"  # long ones, a step at a time


class JobRunner(Protocol):
    """Runs jobs one after another on a worker a lane, answers on the caller's thread.

    A job is a generator function: it yields progress, returns its result and touches
    no session state. Of the jobs of one topic that wait, only the newest is run. A
    topic belongs to one lane.
    """

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
        """Queue ``job``; exactly one callback follows unless it is replaced or ended.

        Parameters
        ----------
        job : callable
            Returns the generator.
        topic : str
            What it is about.
        on_done, on_error : callable
            Take the result, or what went wrong.
        lane : str
            Worker to run it on.
        on_progress : callable, optional
            Takes what the job yields, save None; never after the other callbacks.
        """
        ...

    def cancel(self, topic: str) -> None:
        """Drop the waiting job of a topic; the running one ends at its next step.

        Neither calls back any more. A job's generator is closed, so that it can
        clean up.
        """
        ...

    def close(self) -> None:
        """Drop what waits and end the workers."""
        ...


def run_to_end(job: Job, on_progress: Progress | None = None) -> Any:
    """Run a job on this thread and return its result."""
    steps = job()
    while True:
        try:
            progress = next(steps)
        except StopIteration as stop:
            return stop.value
        if on_progress is not None and progress is not None:
            on_progress(progress)


class InlineRunner:
    """Runs each job at once, on the caller's thread: for tests and scripts.

    A callback of ``on_progress`` may cancel the job that calls it.
    """

    def __init__(self) -> None:
        self._running: list[str] = []
        self._cancelled: set[str] = set()

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
        """Run ``job`` now; see `JobRunner.submit`."""
        self._cancelled.discard(topic)
        self._running.append(topic)
        try:
            is_done, result = self._run(job, topic, on_progress)
        except Exception as error:  # noqa: BLE001
            on_error(error)
            return
        finally:
            self._running.pop()
        if is_done:
            on_done(result)

    def cancel(self, topic: str) -> None:
        """End the job of a topic, if it is one of those that are running."""
        if topic in self._running:
            self._cancelled.add(topic)

    def close(self) -> None:
        """End what runs."""
        self._cancelled.update(self._running)

    def _run(
        self, job: Job, topic: str, on_progress: Progress | None
    ) -> tuple[bool, Any]:
        steps = job()
        while topic not in self._cancelled:
            try:
                progress = next(steps)
            except StopIteration as stop:
                return topic not in self._cancelled, stop.value
            if on_progress is not None and progress is not None:
                on_progress(progress)
        steps.close()
        return False, None
