"""Measure a window with a slide: memory to the first click, lateness while panning.

``python -m napari_segmoe.widgets.benchmark_slide SLIDE --at Y X [--weights W]`` prints
JSON; run it in a fresh process, with a display (Xvfb will do).
"""

import argparse
import json
import math
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from napari_segmoe.widgets.benchmark_window import (
    TICK_MS,
    GapTicker,
    wait_until,
)

SETTLE_S = 2.0
IDLE_S = 3.0
PAN_S = 4.0
LONGEST_RUN_S = 25.0
PAN_EVERY_MS = 40
PAN_TURN_S = 4.0  # the camera goes around in a circle
SAMPLE_S = 0.02
PATIENCE_S = 120.0
MIB = 2**20


@dataclass
class Memory:
    """Largest resident memory seen, in bytes: this process, and its children."""

    window: int = 0
    children: int = 0
    both: int = 0
    _end: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Begin to look, on a thread."""
        threading.Thread(target=self._look, daemon=True).start()

    def stop(self) -> None:
        """Look once more and end."""
        self._end.set()
        self._take()

    def _look(self) -> None:
        while not self._end.wait(SAMPLE_S):
            self._take()

    def _take(self) -> None:
        window = psutil.Process().memory_info().rss
        children = 0
        for child in psutil.Process().children(recursive=True):
            try:
                children += child.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        self.window = max(self.window, window)
        self.children = max(self.children, children)
        self.both = max(self.both, window + children)


def main() -> None:
    """Print the measurements as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--weights", default="breast_ultrasound")
    parser.add_argument("--at", type=float, nargs=2, required=True)
    parser.add_argument("--side", type=float, default=2048.0, help="level-0 pixels")
    wanted = parser.parse_args()
    found = measure_slide(
        wanted.slide, weights=wanted.weights, at=tuple(wanted.at), side=wanted.side
    )
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


def measure_slide(
    path: Path, *, weights: str, at: tuple[float, float], side: float
) -> dict[str, Any]:
    """Open a slide in a window, click it, pan it, and pan while a region runs.

    Parameters
    ----------
    path : Path
        The slide.
    weights : str
        Shipped weights or a file.
    at : (y, x)
        Where there is tissue, in level-0 pixels.
    side : float
        Of the region to segment, in level-0 pixels.

    Returns
    -------
    dict
        ``over_empty_mib``, ``window_mib`` and ``predictor_mib`` (largest, to the
        first click), ``empty_mib``, ``first_paint_s`` (from the wish to open),
        ``model_ready_s`` and ``first_click_s`` (of the click alone),
        ``idle_p99_ms``, ``pan_p99_ms`` (panning alone), ``pan_region_p99_ms``,
        ``over_idle_ms``, ``windows_done``, ``windows``.
    """
    import napari

    from napari_segmoe.viewer.launch import PLUGIN
    from napari_segmoe.widgets.main_widget import make_main_widget

    viewer = napari.Viewer(show=True)
    wait_until(lambda: False, SETTLE_S)
    empty = psutil.Process().memory_info().rss
    memory = Memory()
    memory.watch()
    dock = make_main_widget(viewer, weights=weights)
    viewer.window.add_dock_widget(dock, name="SegMoE", area="right")
    paints = _Paints(viewer)
    start = time.perf_counter()
    viewer.open(str(path), plugin=PLUGIN)
    first_paint = paints.wait_for_first()
    session = dock.session
    wait_until(lambda: session.model.is_loaded or session.model.has_failed, PATIENCE_S)
    ready = time.perf_counter()
    first_click_s = _click(session, at)
    memory.stop()
    found = {
        "empty_mib": empty / MIB,
        "over_empty_mib": (memory.both - empty) / MIB,
        "window_mib": (memory.window - empty) / MIB,
        "predictor_mib": memory.children / MIB,
        "first_paint_s": first_paint - start,
        "model_ready_s": ready - start,
        "first_click_s": first_click_s,
        **_pan(viewer, dock, at, side=side),
    }
    session.close()
    viewer.close()
    return found


class _Paints:
    """Notes when layers were added, and when the canvas was drawn.

    napari handles events while it opens a file: the first drawing may be over then.
    """

    def __init__(self, viewer: Any) -> None:
        self._added: list[float] = []
        self._drawn: list[float] = []
        self._canvas = viewer.window._qt_viewer.canvas
        viewer.layers.events.inserted.connect(lambda _: self._note(self._added))
        scene = self._canvas._scene_canvas
        scene.events.draw.connect(lambda _: self._note(self._drawn))

    def wait_for_first(self) -> float:
        """Return when the canvas was first drawn with the layers that were added."""
        wait_until(lambda: bool(self._after()), PATIENCE_S)
        if not self._after():
            raise RuntimeError("The canvas was not drawn after the slide was opened.")
        return self._after()[0]

    def _after(self) -> list[float]:
        return [when for when in self._drawn if self._added and when > self._added[0]]

    @staticmethod
    def _note(times: list[float]) -> None:
        times.append(time.perf_counter())


def _click(session: Any, at: tuple[float, float]) -> float:
    """Click the slide as the canvas does; return the seconds to the answer."""
    start = time.perf_counter()
    record = session.regions.show_at(*at)
    session.prompting.add_click(*record.region.from_slide(*at))
    wait_until(lambda: not session.is_busy, PATIENCE_S)
    if session.prediction is None:
        raise RuntimeError("The click on the slide got no answer.")
    return time.perf_counter() - start


def _pan(
    viewer: Any, dock: Any, at: tuple[float, float], *, side: float
) -> dict[str, float]:
    """Return the lateness of the event loop: idle, panning, and with a region."""
    session, (y, x) = dock.session, at
    dock.layers.zoom_to_image()
    wait_until(lambda: False, SETTLE_S)
    ticker = GapTicker()
    wait_until(lambda: False, IDLE_S)
    idle = ticker.take_gaps_ms() - TICK_MS
    panning = _Panning(viewer)
    wait_until(lambda: False, PAN_S)
    pan = ticker.take_gaps_ms() - TICK_MS
    half, seen = side / 2, []
    session.regions.progress_changed.connect(
        lambda: seen.append(session.regions.progress)
    )
    session.regions.segment((y - half, x - half, y + half, x + half))
    wait_until(lambda: not session.regions.is_segmenting, LONGEST_RUN_S)
    late = ticker.take_gaps_ms() - TICK_MS
    session.regions.cancel()
    panning.stop()
    steps = [step for step in seen if step is not None]
    if not steps:
        raise RuntimeError("The region made no step while the window was panned.")
    p99 = [float(np.percentile(gaps, 99)) for gaps in (idle, pan, late)]
    return {
        "idle_p99_ms": p99[0],
        "pan_p99_ms": p99[1],
        "pan_region_p99_ms": p99[2],
        "pan_region_max_ms": float(late.max()),
        "over_idle_ms": p99[2] - p99[0],
        "windows_done": steps[-1].done,
        "windows": steps[-1].total,
    }


class _Panning:
    """Moves the camera around in a circle, as a hand does."""

    def __init__(self, viewer: Any) -> None:
        from qtpy.QtCore import QTimer

        from napari_segmoe.viewer.camera import camera_of

        self._camera = camera_of(viewer)
        self._middle = self._camera.center
        self._start = time.perf_counter()
        self._radius = 150.0 / self._camera.zoom  # canvas pixels, in the world
        self._timer = QTimer()
        self._timer.timeout.connect(self._move)
        self._timer.start(PAN_EVERY_MS)

    def stop(self) -> None:
        """Stay where it is."""
        self._timer.stop()

    def _move(self) -> None:
        turn = 2 * math.pi * (time.perf_counter() - self._start) / PAN_TURN_S
        *rest, y, x = self._middle
        shift = self._radius * np.asarray((math.sin(turn), math.cos(turn) - 1.0))
        self._camera.center = (*rest, y + float(shift[0]), x + float(shift[1]))


if __name__ == "__main__":
    main()
