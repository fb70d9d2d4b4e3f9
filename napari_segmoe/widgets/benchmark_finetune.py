"""Measure the window while a round trains: clicks, and lateness of its event loop.

``python -m napari_segmoe.widgets.benchmark_finetune`` prints JSON; a display is needed
(Xvfb will do). The round is started as the Train tab starts it, on a project of made-up
scans, and is killed at the end.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.widgets.benchmark_window import (
    IDLE_MS,
    TICK_MS,
    GapTicker,
    wait_until,
)

CLICKS = 10
QUIET_S = 2.6  # longer than a trainer waits after a click: each one finds it at work
SCANS = 8
START_S = 900.0
MANY_STEPS = 500  # the round must outlast the clicks


def measure_finetune(weights: str = "breast_ultrasound") -> dict[str, Any]:
    """Open a window, click without and with a round beside it.

    Parameters
    ----------
    weights : str
        Shipped weights or a file.

    Returns
    -------
    dict
        ``idle_click_s`` and ``training_click_s`` (medians), ``click_ratio``,
        ``idle_p99_ms``, ``training_p99_ms`` (of the event loop while the user rests),
        ``clicking_p99_ms`` (with clicks, ``clicking_alone_p99_ms`` without a round),
        ``over_idle_ms`` (the later of the two less idle) and
        ``steps``: those that the round took meanwhile.

    Raises
    ------
    RuntimeError
        If the model does not load, or no round begins.
    """
    import napari

    from napari_segmoe.data.phantom import make_breast_phantom
    from napari_segmoe.session.torch_backend import load_torch_predictor
    from napari_segmoe.widgets.main_widget import make_main_widget

    phantom = make_breast_phantom(1)
    with tempfile.TemporaryDirectory(prefix="segmoe-bench-") as made:
        project = make_project(Path(made))
        viewer = napari.Viewer(show=True)
        viewer.add_image(phantom.image, metadata={"modality": "ultrasound"})
        dock = make_main_widget(
            viewer, load_predictor=load_torch_predictor, weights=weights
        )
        viewer.window.add_dock_widget(dock, name="SegMoE", area="right")
        session = dock.session
        try:
            session.project.open(project)
            return _measure(session, phantom.mask, weights)
        finally:
            for run in session.training_runs.active:
                session.training_runs.kill(run)
            session.close()
            viewer.close()


def make_project(folder: Path) -> Path:
    """Make a project of breast phantoms whose lesions a user outlined.

    Returns
    -------
    Path
        ``folder/bench.segmoe``.
    """
    from PIL import Image

    from napari_segmoe.data.folder import read_data_folder
    from napari_segmoe.data.phantom import make_breast_phantom
    from napari_segmoe.project.importing import import_data_folder
    from napari_segmoe.project.store import ProjectStore

    data = folder / "data"
    for name in ("images", "masks"):
        (data / name).mkdir(parents=True)
    for number in range(SCANS):
        phantom = make_breast_phantom(100 + number)
        Image.fromarray(phantom.image).save(data / f"images/scan_{number}.png")
        mask = phantom.mask.astype(np.uint8) * 255
        Image.fromarray(mask).save(data / f"masks/scan_{number}.png")
    found = read_data_folder(data)
    path = folder / "bench.segmoe"
    with ProjectStore.create(path) as store:
        for _ in import_data_folder(store, found, found.items):
            pass
    return path


def _measure(session: Any, truth: NDArray[np.bool_], weights: str) -> dict[str, Any]:
    wait_until(lambda: session.model.is_loaded or session.model.has_failed)
    if not session.model.is_loaded:
        raise RuntimeError("The model was not loaded.")
    ticker = GapTicker()
    _click(session, truth, quiet_s=0.0)  # warm
    wait_until(lambda: False, IDLE_MS / 1000)
    ticker.take_gaps_ms()
    wait_until(lambda: False, IDLE_MS / 1000)
    idle_ms = _p99(ticker)
    before_s = _click(session, truth, quiet_s=QUIET_S)
    alone_ms = _p99(ticker)
    run = _start_round(session, weights)
    began = len(run().history.step_losses.losses)
    ticker.take_gaps_ms()
    wait_until(lambda: False, 3 * IDLE_MS / 1000)
    training_ms = _p99(ticker)
    during_s = _click(session, truth, quiet_s=QUIET_S)
    clicking_ms = _p99(ticker)
    if not run().state.is_active:
        raise RuntimeError("The round ended before the clicks did.")
    return {
        "idle_click_s": float(np.median(before_s)),
        "training_click_s": float(np.median(during_s)),
        "click_ratio": float(np.median(during_s) / np.median(before_s)),
        "idle_p99_ms": idle_ms,
        "training_p99_ms": training_ms,
        "clicking_p99_ms": clicking_ms,
        "clicking_alone_p99_ms": alone_ms,
        "over_idle_ms": max(training_ms, clicking_ms) - idle_ms,
        "clicks": len(during_s),
        "steps": len(run().history.step_losses.losses) - began,
    }


def _start_round(session: Any, weights: str) -> Any:
    """Start a round and wait until it trains; return a function that finds it."""
    from napari_segmoe.session.training_runs import RoundRequest

    runs = session.training_runs
    runs.start_round(
        RoundRequest(weights=weights, minutes=10, settings={"steps": MANY_STEPS})
    )

    def find() -> Any:
        runs.poll()
        return runs.active[0] if runs.active else runs.selected

    wait_until(lambda: _trains(find()), START_S)
    if not _trains(find()):
        raise RuntimeError("No round began to train.")
    return find


def _trains(run: Any) -> bool:
    return run is not None and bool(run.history.step_losses.losses)


def _click(session: Any, truth: NDArray[np.bool_], *, quiet_s: float) -> list[float]:
    generator = np.random.default_rng(0)
    seconds = []
    for y, x in generator.choice(np.argwhere(truth), CLICKS):
        wait_until(lambda: False, quiet_s)
        began = time.perf_counter()
        session.prompting.add_click(float(y), float(x))
        wait_until(lambda: not session.is_busy)
        seconds.append(time.perf_counter() - began)
    return seconds


def _p99(ticker: GapTicker) -> float:
    return float(np.percentile(ticker.take_gaps_ms() - TICK_MS, 99))


def main() -> None:
    """Print the measurements as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", nargs="?", default="breast_ultrasound")
    found = measure_finetune(parser.parse_args().weights)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
