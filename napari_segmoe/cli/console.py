"""What commands show: answers on stdout, progress and remarks on stderr."""

import json
import sys
from collections.abc import Generator, Iterable
from typing import Any, Protocol, TypeVar

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

Result = TypeVar("Result")


class Step(Protocol):
    """Progress of a job."""

    @property
    def done(self) -> int:
        """Steps done."""
        ...

    @property
    def total(self) -> int:
        """Steps in all."""
        ...


def show_json(answer: Any) -> None:
    """Write an answer to stdout as JSON."""
    sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")


def show_text(text: str) -> None:
    """Write one line to stdout."""
    sys.stdout.write(text + "\n")


def show_wrapped(text: str, *, indent: int) -> None:
    """Write a paragraph to stdout, wrapped to the terminal."""
    Console(markup=False, highlight=False).print(Padding(Text(text), (0, 0, 0, indent)))


def show_note(text: str) -> None:
    """Write one remark to stderr."""
    sys.stderr.write(f"segmoe: {text}\n")


def show_table(
    title: str,
    columns: Iterable[str],
    rows: Iterable[Iterable[str]],
    *,
    is_compact: bool = False,
) -> None:
    """Write a table to stdout; a compact one has no lines between its columns."""
    table = Table(title=title, title_justify="left")
    if is_compact:
        table.box, table.show_edge, table.padding = box.SIMPLE_HEAD, False, (0, 1, 0, 0)
    for column in columns:
        table.add_column(column, no_wrap=is_compact)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # no markup: "[dicom]" stays
    Console(markup=False).print(table)


def follow_in_lines(job: Generator[Step, None, Result]) -> Result:
    """Run a job to its end; say each step on stderr as ``progress DONE TOTAL``."""
    while True:
        try:
            step = next(job)
        except StopIteration as stop:
            result: Result = stop.value
            return result
        sys.stderr.write(f"progress {step.done} {step.total}\n")
        sys.stderr.flush()


def follow(
    job: Generator[Step, None, Result], title: str, *, progress: Progress | None = None
) -> Result:
    """Run a job to its end with a progress bar on stderr.

    Parameters
    ----------
    job : generator
        Yields steps, returns the result.
    title : str
        Shown before the bar.
    progress : Progress, optional
        A display that is on already; there can be one only.

    Returns
    -------
    Result
        What the job returned.
    """
    if progress is None:
        with make_progress() as own:
            return follow(job, title, progress=own)
    task = progress.add_task(title, total=None)
    while True:
        try:
            step = next(job)
        except StopIteration as stop:
            progress.remove_task(task)
            result: Result = stop.value
            return result
        progress.update(task, completed=step.done, total=step.total)


def make_progress() -> Progress:
    """Make a progress display on stderr; it is silent where stderr is no terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
