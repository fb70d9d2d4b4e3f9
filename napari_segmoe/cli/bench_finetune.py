"""Figures of a window beside a learning round, measured by a child process."""

import sys
from typing import Any

from napari_segmoe.cli.bench import Measurement
from napari_segmoe.cli.bench_child import ask_child
from napari_segmoe.cli.bench_window import virtual_display

_MODULE = "napari_segmoe.widgets.benchmark_finetune"
_SECONDS = 1500
_PROMISES = {
    "click_ratio": (
        "finetune: click to mask while a round trains / idle",
        2.0,
        "ratio",
    ),
    "over_idle_ms": (
        "finetune: event loop lateness while a round trains, p99 over idle",
        50.0,
        "ms",
    ),
}


def measure_finetune() -> list[Measurement]:
    """Open a window in a child process, start a round from it, and click.

    Returns
    -------
    list of Measurement
        One a promised figure; where no window can be opened or no round begins they
        have no value, and the note says why.
    """
    command = [*virtual_display(), sys.executable, "-m", _MODULE]
    figures = ask_child(command, seconds=_SECONDS)
    if "reason" in figures:
        return _nothing(figures["reason"])
    return [_measurement(key, figures) for key in _PROMISES]


def _measurement(key: str, figures: dict[str, Any]) -> Measurement:
    name, bound, unit = _PROMISES[key]
    told = {one: value for one, value in figures.items() if one not in _PROMISES}
    note = ", ".join(f"{one} {value:.3g}" for one, value in told.items())
    return Measurement(name, figures.get(key), bound, unit, note=note)


def _nothing(reason: str) -> list[Measurement]:
    return [
        Measurement(name, None, bound, unit, note=reason)
        for name, bound, unit in _PROMISES.values()
    ]
