"""Lanes, progress and cancelling of the window's job runner."""

import threading

import pytest

from napari_segmoe.session.jobs import REGIONS
from napari_segmoe.widgets.qt_runner import QtJobRunner


@pytest.fixture
def runner():
    runner = QtJobRunner()
    yield runner
    runner.close()


class Steps:
    """A job that yields numbers, each when the test lets it."""

    def __init__(self, count=3):
        self.count = count
        self.gate = threading.Semaphore(0)
        self.has_begun, self.was_closed = threading.Event(), threading.Event()

    def __call__(self):
        self.has_begun.set()
        try:
            for number in range(self.count):
                assert self.gate.acquire(timeout=10)
                yield number
        finally:
            self.was_closed.set()
        return "all"

    def let(self, steps=1):
        self.gate.release(steps)


def submit(runner, job, *, topic="long", lane=REGIONS):
    heard = []

    def hear(kind):
        return lambda value: heard.append((kind, value, threading.current_thread()))

    runner.submit(
        job,
        topic=topic,
        lane=lane,
        on_done=hear("done"),
        on_error=hear("error"),
        on_progress=hear("progress"),
    )
    return heard


def quick():
    yield
    return 7


def test_progress_arrives_on_the_windows_thread_before_the_result(qtbot, runner):
    job = Steps(2)
    job.let(2)
    heard = submit(runner, job)
    qtbot.waitUntil(lambda: len(heard) == 3)
    assert [one[:2] for one in heard] == [
        ("progress", 0),
        ("progress", 1),
        ("done", "all"),
    ]
    assert {one[2] for one in heard} == {threading.main_thread()}


def test_a_short_job_does_not_wait_for_a_long_one(qtbot, runner):
    job = Steps()
    slow = submit(runner, job)
    fast = submit(runner, quick, topic="click", lane="clicks")
    qtbot.waitUntil(lambda: bool(fast))
    assert fast[0][:2] == ("done", 7)
    assert slow == []
    job.let(3)
    qtbot.waitUntil(lambda: len(slow) == 4)


def test_a_cancelled_job_ends_at_its_next_step_and_says_nothing_more(qtbot, runner):
    job = Steps()
    heard = submit(runner, job)
    job.let()
    qtbot.waitUntil(lambda: len(heard) == 1)
    runner.cancel("long")
    job.let(2)
    assert job.was_closed.wait(10)
    next_one = submit(runner, quick)
    qtbot.waitUntil(lambda: bool(next_one))
    assert [one[:2] for one in heard] == [("progress", 0)]
    assert next_one[0][:2] == ("done", 7)


def test_an_answer_that_is_on_its_way_is_dropped_by_cancelling(qtbot, runner):
    job = Steps(1)
    job.let()
    heard = submit(runner, job)
    assert job.was_closed.wait(10)
    runner.cancel("long")
    qtbot.wait(50)
    assert heard == []


def test_a_waiting_job_that_is_cancelled_never_begins(qtbot, runner):
    first, second = Steps(1), Steps(1)
    heard = submit(runner, first, topic="a")
    submit(runner, second, topic="b")
    runner.cancel("b")
    first.let()
    second.let()
    qtbot.waitUntil(lambda: len(heard) == 2)
    last = submit(runner, quick, topic="c")
    qtbot.waitUntil(lambda: bool(last))
    assert not second.was_closed.is_set()


def test_closing_ends_a_running_job_at_its_next_step(qtbot):
    runner, job = QtJobRunner(), Steps(1000)
    submit(runner, job)
    assert job.has_begun.wait(10)  # what has not begun is dropped
    job.let(500)
    closer = threading.Timer(0.05, job.let, (500,))
    closer.start()
    runner.close()
    assert job.was_closed.is_set()
