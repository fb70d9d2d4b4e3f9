"""Figures of the window, measured by a child process that opens one."""

import os
import shutil
import sys
from typing import Any

from napari_segmoe.cli.bench import Measurement
from napari_segmoe.cli.bench_child import ask_child

_MODULE = "napari_segmoe.widgets.benchmark_window"
_SECONDS = 600
_PROMISES = {
    "cold_start_ratio": (
        "cold start: dock to model ready / bare torch and weights",
        4.0,
        "ratio",
    ),
    "largest_gap_ms": ("largest window gap during the cold start", 250.0, "ms"),
    "over_idle_ms": ("event loop lateness while clicking, p99 over idle", 50.0, "ms"),
}


def measure_window() -> list[Measurement]:
    """Open a window in a child process and take its figures.

    Returns
    -------
    list of Measurement
        One a promised figure; where no window can be opened they have no value,
        and the note says why.
    """
    command = [*virtual_display(), sys.executable, "-m", _MODULE]
    figures = ask_child(command, seconds=_SECONDS)
    if "reason" in figures:
        return _nothing(figures["reason"])
    return [_measurement(key, figures) for key in _PROMISES]


def _measurement(key: str, figures: dict[str, Any]) -> Measurement:
    name, bound, unit = _PROMISES[key]
    others = (
        f"{other} {value:.3g}"
        for other, value in figures.items()
        if other not in _PROMISES and isinstance(value, int | float)
    )
    note = ", ".join(others) if key == "cold_start_ratio" else ""
    return Measurement(name, figures.get(key), bound, unit, note=note)


def _nothing(reason: str) -> list[Measurement]:
    return [
        Measurement(name, None, bound, unit, note=reason)
        for name, bound, unit in _PROMISES.values()
    ]


def virtual_display() -> list[str]:
    """Return the words that give a child a display where there is none."""
    if sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY"):
        return []
    xvfb = shutil.which("xvfb-run")
    return [xvfb, "-a", "-s", "-screen 0 1280x1024x24"] if xvfb else []
