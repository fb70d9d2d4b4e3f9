"""What `segmoe train` shows of a run: a live table on a terminal, else lines."""

import json
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from napari_segmoe.cli import console

_ROWS = 12
_FIRST = ("score", "dice", "iou", "object_f1", "click_iou", "accuracy", "auc")
_MOST_FIGURES = 6

Event = dict[str, Any]


def print_lines(events: Iterable[Event]) -> None:
    """Print each event as one line of JSON."""
    for event in events:
        console.show_text(json.dumps(event))


def show_run(events: Iterator[Event]) -> None:
    """Follow a run on stderr."""
    screen = Console(stderr=True)
    table = RunTable()
    if not screen.is_terminal:
        for event in events:
            table.take(event)
            if event["event"] != "progress":
                left = table.time_left()
                told = tell(event) + (f"; {left} left" if left else "")
                screen.print(told, markup=False, highlight=False, soft_wrap=True)
        return
    with Live(table, console=screen, refresh_per_second=4) as live:
        for event in events:
            table.take(event)
            if event["event"] not in ("progress", "epoch"):
                live.console.print(tell(event), markup=False, highlight=False)


class RunTable:
    """The newest epochs of a run with their figures, its progress, and time left."""

    def __init__(self) -> None:
        self.rows: deque[Event] = deque(maxlen=_ROWS)
        self._epochs, self._steps, self._done = 0, 0, 0
        self._began: float | None = None
        self._first = 0
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        )
        self._task = self._bar.add_task("Starting", total=None)

    def take(self, event: Event) -> None:
        """Take the next event of the run."""
        kind = event["event"]
        if kind == "start":
            self._epochs, self._began = event["epochs"], None
            self.rows.clear()
        elif kind == "epoch":
            self.rows.append(event)
        elif kind == "progress":
            self._steps = event["steps"]
            self._done = event["epoch"] * self._steps + event["step"]
            if self._began is None:  # what came before was another session's
                self._began, self._first = time.perf_counter(), self._done
            left = self.time_left()
            words = f"Epoch {event['epoch'] + 1} of {self._epochs}"
            words += f", loss {event['loss']:.4g}" + (f", {left} left" if left else "")
            self._bar.update(
                self._task, description=words, completed=event["step"],
                total=event["steps"],
            )  # fmt: skip

    def time_left(self) -> str:
        """Return how long the run will go on if no early stop ends it; or nothing."""
        taken = self._done - self._first
        remaining = self._epochs * self._steps - self._done
        if self._began is None or not taken or remaining <= 0:
            return ""
        seconds = (time.perf_counter() - self._began) / taken * remaining
        return _duration(seconds)

    def __rich__(self) -> RenderableType:
        """Return the table above the bar."""
        return Group(self.table(), self._bar)

    def table(self) -> Table:
        """Return the newest epochs as rows, the best one marked."""
        names = self._figures()
        table = Table(box=None, pad_edge=False)
        for name in ("epoch", "loss", *names, "s"):
            table.add_column(name.replace("_", " "), justify="right")
        for event in self.rows:
            figures = event.get("validation", {})
            cells = [str(event["epoch"] + 1), f"{event['train']['loss']:.4f}"]
            cells += [_number(figures.get(name)) for name in names]
            cells.append(f"{event['seconds']:.0f}" if "seconds" in event else "")
            style = "bold" if event.get("is_best") else ""
            table.add_row(*(Text(cell) for cell in cells), style=style)
        return table

    def _figures(self) -> list[str]:
        known = {name for event in self.rows for name in event.get("validation", {})}
        ordered = [name for name in _FIRST if name in known]
        ordered += sorted(known - set(_FIRST))
        return ordered[:_MOST_FIGURES]


def tell(event: Event) -> str:
    """Return an event in one line."""
    name = f"{event['run']}: " if "run" in event else ""
    return name + _TELLERS.get(event["event"], _tell_other)(event)


def _tell_start(event: Event) -> str:
    bare = event.get("unlabelled_images")
    more = f"{bare} more without masks, " if bare else ""
    return (
        f"{event['parameters']:,} parameters on {event['device']}; "
        f"{event['train_images']} images to train on, {more}"
        f"{event['validation_images']} to validate."
    )


def _tell_epoch(event: Event) -> str:
    figures = {**event["train"], **event.get("validation", {})}
    told = ", ".join(
        f"{name} {value:.4g}"
        for name, value in figures.items()
        if isinstance(value, int | float)
    )
    best = " (best so far)" if event.get("is_best") else ""
    return f"Epoch {event['epoch'] + 1}: {told}{best}"


def _tell_memory(event: Event) -> str:
    return str(event["note"])


def _tell_joined(event: Event) -> str:
    figures = {"best_score": event.get("best_score"), **event.get("validation", {})}
    told = [
        f"{name} {_interval(figure)}"
        for name, figure in figures.items()
        if isinstance(figure, dict) and figure.get("mean") is not None
    ]
    return f"{event['runs']} runs: {', '.join(told)}"


def _tell_other(event: Event) -> str:
    shown = (
        f"{key} {value}"
        for key, value in event.items()
        if key not in ("event", "run") and not isinstance(value, dict)
    )
    return f"{event['event'].capitalize()}: {', '.join(shown)}"


_TELLERS = {
    "start": _tell_start,
    "epoch": _tell_epoch,
    "memory": _tell_memory,
    "joined": _tell_joined,
}


def _interval(figure: Event) -> str:
    if figure.get("low") is None:
        return f"{figure['mean']:.4g}"
    return f"{figure['mean']:.4g} ({figure['low']:.4g} to {figure['high']:.4g})"


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else ""


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
