"""Measure the window: cold start, gaps, and lateness while clicks are answered.

``python -m napari_segmoe.widgets.benchmark_window [WEIGHTS]`` prints JSON. Each
measurement runs in a fresh process; a display is needed (Xvfb will do).
"""

import argparse
import json
import subprocess
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.errors import WeightsError

MODULE = "napari_segmoe.widgets.benchmark_window"
TICK_MS = 10
IDLE_MS = 3000
CLICKS = 10
NOTHING_S = 3.0
PATIENCE_S = 120.0
BARE = (
    "import sys, time; start = time.perf_counter();"
    "import torch; from safetensors.torch import load_file; load_file(sys.argv[1]);"
    "print(time.perf_counter() - start)"
)


def measure_window(weights: str = "breast_ultrasound") -> dict[str, Any]:
    """Measure in fresh processes.

    Parameters
    ----------
    weights : str
        Shipped weights or a file.

    Returns
    -------
    dict
        ``dock_opens_s``, ``cold_start_s`` (dock opened to model ready), ``bare_s``
        (import torch and read the weights), ``cold_start_ratio``, ``largest_gap_ms``
        (of the window during the cold start), ``largest_gap_without_model_ms`` (the
        same when no model loads), ``idle_p99_ms``, ``clicks_p99_ms``,
        ``over_idle_ms``, ``click_median_s``.
    """
    from napari_segmoe.models.card import find_weights

    path = str(find_weights(weights))
    _run_bare(path)  # once to warm the disk's cache, for both alike
    bare_s = min(_run_bare(path) for _ in range(2))
    found = {**_run_child(path, "full"), **_run_child(path, "bare")}
    found["bare_s"] = bare_s
    found["cold_start_ratio"] = found["cold_start_s"] / bare_s
    found["over_idle_ms"] = found["clicks_p99_ms"] - found["idle_p99_ms"]
    return found


def main() -> None:
    """Print the measurements as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", nargs="?", default="breast_ultrasound")
    parser.add_argument("--child", choices=["full", "bare"], help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.child:
        bare = wanted.child == "bare"
        found = _measure_here(wanted.weights, without_model=bare)
    else:
        found = measure_window(wanted.weights)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


class GapTicker:
    """Notes when a timer of the window's thread fired."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self._times = [time.perf_counter()]
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._note)
        self._timer.start(TICK_MS)

    def take_gaps_ms(self) -> NDArray[np.float64]:
        """Return the gaps between ticks since the last call."""
        gaps = np.diff(self._times) * 1000
        self._times = self._times[-1:]
        return gaps

    def _note(self) -> None:
        self._times.append(time.perf_counter())


def _run_bare(path: str) -> float:
    command = [sys.executable, "-c", BARE, path]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(answer.stdout.strip().splitlines()[-1])


def _run_child(weights: str, kind: str) -> dict[str, Any]:
    command = [sys.executable, "-m", MODULE, weights, "--child", kind]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise RuntimeError(f"The window did not start: {answer.stderr.strip()[-500:]}")
    return dict(json.loads(answer.stdout[answer.stdout.index("{") :]))


def _measure_here(weights: str, *, without_model: bool) -> dict[str, Any]:
    import napari

    from napari_segmoe.data.phantom import make_breast_phantom
    from napari_segmoe.session.torch_backend import load_torch_predictor
    from napari_segmoe.widgets.main_widget import make_main_widget

    phantom = make_breast_phantom(1)
    viewer = napari.Viewer(show=True)
    viewer.add_image(phantom.image, metadata={"modality": "ultrasound"})
    wait_until(lambda: False, IDLE_MS / 1000)  # first paint of window and image
    load = _load_nothing if without_model else load_torch_predictor
    start = time.perf_counter()
    dock = make_main_widget(viewer, load_predictor=load, weights=weights)
    viewer.window.add_dock_widget(dock, name="SegMoE", area="right")
    dock_opens_s = time.perf_counter() - start
    session = dock.session
    ticker = GapTicker()
    wait_until(lambda: session.model.is_loaded or session.model.has_failed)
    cold_s = time.perf_counter() - start
    gaps = ticker.take_gaps_ms()
    if without_model:
        return {"largest_gap_without_model_ms": float(gaps.max(initial=0))}
    wait_until(lambda: False, IDLE_MS / 1000)
    idle = ticker.take_gaps_ms() - TICK_MS
    clicks_s = _click(session, phantom.mask)
    late = ticker.take_gaps_ms() - TICK_MS
    found = {
        "dock_opens_s": dock_opens_s,
        "cold_start_s": cold_s,
        "largest_gap_ms": float(gaps.max(initial=0)),
        "idle_p99_ms": float(np.percentile(idle, 99)),
        "clicks_p99_ms": float(np.percentile(late, 99)),
        "click_median_s": float(np.median(clicks_s)),
        "clicks": len(clicks_s),
    }
    session.close()
    viewer.close()
    return found


def _load_nothing(weights: str, *, device: str) -> Any:
    time.sleep(NOTHING_S)
    raise WeightsError(f"Nothing is loaded of {weights} on {device}.")


def _click(session: Any, truth: NDArray[np.bool_]) -> list[float]:
    inside = np.argwhere(truth)
    generator = np.random.default_rng(0)
    seconds = []
    for y, x in generator.choice(inside, CLICKS):
        start = time.perf_counter()
        session.prompting.add_click(float(y), float(x))
        wait_until(lambda: not session.is_busy)
        seconds.append(time.perf_counter() - start)
    return seconds


def wait_until(is_met: Any, seconds: float = PATIENCE_S) -> None:
    """Run the event loop until ``is_met``, at most ``seconds``."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop, end = QEventLoop(), time.perf_counter() + seconds
    timer = QTimer()

    def check() -> None:
        if is_met() or time.perf_counter() > end:
            loop.quit()

    timer.timeout.connect(check)
    timer.start(5)
    loop.exec()


if __name__ == "__main__":
    main()
