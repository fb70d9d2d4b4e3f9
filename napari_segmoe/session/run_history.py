"""What a run's events say: how far it is, its curves, how it ended."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]
ENDINGS = ("done", "stopped", "failed")
_MOST_POINTS = 2000  # of the loss of single steps; then two become one


@dataclass(slots=True)
class StepLosses:
    """Losses of single steps, thinned out where there are many.

    Attributes
    ----------
    epochs, losses : list of float
        Position in epochs, and the mean loss of the steps that a point stands for.
    """

    epochs: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    _stride: int = 1
    _sums: tuple[float, float, int] = (0.0, 0.0, 0)

    def add(self, epoch: float, loss: float) -> None:
        """Take the next step."""
        at, total, count = self._sums
        self._sums = (at + epoch, total + loss, count + 1)
        if self._sums[2] < self._stride:
            return
        at, total, count = self._sums
        self.epochs.append(at / count)
        self.losses.append(total / count)
        self._sums = (0.0, 0.0, 0)
        if len(self.losses) >= _MOST_POINTS:
            self._halve()

    def _halve(self) -> None:
        self.epochs = _pair_means(self.epochs)
        self.losses = _pair_means(self.losses)
        self._stride *= 2


@dataclass(slots=True)
class RunHistory:
    """All that is kept of a run's events.

    Attributes
    ----------
    epochs : int
        How many are planned; 0 before it is known.
    epoch, step, steps : int
        Finished epochs; step of the present one, of so many.
    notes : tuple of str
        What the run says of its data.
    steps_losses : StepLosses
    train_loss : list of (epoch, loss)
        Mean loss of each epoch, at its end.
    scores : mapping of str to list of (epoch, value)
        Each figure of the validations.
    best : (epoch, score) or None
        Best validation.
    ending : Event or None
        The event that ended it.
    guard : Event or None
        What the guard of a learning round decided.
    """

    epochs: int = 0
    epoch: int = 0
    step: int = 0
    steps: int = 0
    device: str = ""
    notes: tuple[str, ...] = ()
    step_losses: StepLosses = field(default_factory=StepLosses)
    train_loss: list[tuple[float, float]] = field(default_factory=list)
    scores: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    best: tuple[float, float] | None = None
    ending: Event | None = None
    guard: Event | None = None
    count: int = 0
    _pace: tuple[float, float] | None = None

    def take(self, event: Event) -> None:
        """Take the next event."""
        self.count += 1
        reader = _READERS.get(event["event"])
        if reader is not None:
            reader(self, event)

    @property
    def position(self) -> float:
        """How many epochs are done, with the share of the present one."""
        share = self.step / self.steps if self.steps else 0.0
        return self.epoch + min(share, 1.0)

    @property
    def seconds_a_step(self) -> float | None:
        """What a step took in all, where the run is done and says so."""
        seconds = _number((self.ending or {}).get("seconds"))
        steps = self.steps * max(self.epoch, 1)
        return seconds / steps if seconds and steps else None

    def seconds_left(self, clock: Callable[[], float] = time.monotonic) -> float | None:
        """Return how long it goes on at the pace seen here; None: not known yet."""
        now, at = clock(), self.position
        if self._pace is None or self.ending is not None or at < self._pace[1]:
            self._pace = (now, at)
            return None
        began, first = self._pace
        if at - first <= 0 or now - began < 1 or not self.epochs:
            return None
        return (now - began) / (at - first) * max(self.epochs - at, 0.0)

    def _start(self, event: Event) -> None:
        self.epochs = _whole(event.get("epochs"))
        self.epoch = _whole(event.get("epoch"))
        self.device = str(event.get("device", ""))
        self.notes = tuple(str(note) for note in event.get("notes") or ())
        self.step, self.ending, self.guard = 0, None, None

    def _progress(self, event: Event) -> None:
        self.epoch = _whole(event.get("epoch"))
        self.step, self.steps = _whole(event.get("step")), _whole(event.get("steps"))
        loss = _number(event.get("loss"))
        if loss is not None:
            self.step_losses.add(self.position, loss)

    def _epoch(self, event: Event) -> None:
        self.epoch, self.step = _whole(event.get("epoch")) + 1, 0
        loss = _number((event.get("train") or {}).get("loss"))
        if loss is not None:
            self.train_loss.append((self.epoch, loss))
        self._validated(event)

    def _validated(self, event: Event) -> None:
        figures = event.get("validation")
        if not isinstance(figures, Mapping):
            return
        at = self.position
        for name, value in figures.items():
            number = _number(value)
            if number is not None:
                self.scores.setdefault(name, []).append((at, number))
        score = _number(figures.get("score", figures.get("dice")))
        if score is not None and (self.best is None or score > self.best[1]):
            self.best = (at, score)

    def _guarded(self, event: Event) -> None:
        self.guard = event

    def _end(self, event: Event) -> None:
        self.ending = event


_READERS: dict[str, Callable[[RunHistory, Event], None]] = {
    "start": RunHistory._start,
    "progress": RunHistory._progress,
    "epoch": RunHistory._epoch,
    "validation": RunHistory._validated,
    "guard": RunHistory._guarded,
    **dict.fromkeys(ENDINGS, RunHistory._end),
}


def _number(value: Any) -> float | None:
    """Return a finite number, or None of whatever else a file may hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _whole(value: Any) -> int:
    number = _number(value)
    return 0 if number is None else int(number)


def _pair_means(values: list[float]) -> list[float]:
    return [
        (one + other) / 2 for one, other in zip(values[::2], values[1::2], strict=False)
    ]
