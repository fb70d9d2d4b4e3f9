"""Figures of slides: memory, clicks, panning; each measured by a child process."""

import math
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from napari_segmoe.cli.bench import Measurement, SlideBenchOptions
from napari_segmoe.cli.bench_child import ask_child
from napari_segmoe.cli.bench_window import virtual_display
from napari_segmoe.data.slides.opening import open_slide
from napari_segmoe.data.synthetic_slide import write_synthetic_slide

SHAPE, QUICK_SHAPE = (80_000, 100_000), (3072, 4096)
_REGION_PX, _QUICK_REGION_PX = 6144.0, 1536.0  # level-0 pixels
_WINDOW = "napari_segmoe.widgets.benchmark_slide"
_CLICKS = "napari_segmoe.cli.slide_click_ratio"
_SECONDS = 900
_COARSE_PX = 2_000_000
_TISSUE = 25  # what dyed pixels differ by between their colours
_NAMES = (
    ("over_empty_gb", "slide: memory over an empty viewer, to the first click", 1.0),
    ("click", "click on a slide / (click in memory + bare tile read)", 1.5),
    ("over_idle_ms", "panning while a region runs: lateness p99 over idle", 50.0),
)
_UNITS = {"over_empty_gb": "GB", "click": "ratio", "over_idle_ms": "ms"}


def measure_slide_view(
    device: str,
    threads: int | None,
    options: SlideBenchOptions,
) -> list[Measurement]:
    """Open a slide in a window, click it, pan it; each in a fresh process.

    Parameters
    ----------
    device : str
        auto, cpu, cuda:N or mps.
    threads : int, optional
        CPU threads.
    options : SlideBenchOptions

    Returns
    -------
    list of Measurement
        One a promised figure; what could not be measured has no value, and the note
        says why.

    Raises
    ------
    SlideError
        If ``options.slide`` is no slide.
    """
    path = options.slide or _made_slide(is_quick=options.is_quick)
    at, shape = find_tissue(path)
    place = [str(path), "--at", f"{at[0]:.0f}", f"{at[1]:.0f}"]
    words = [*place, "--device", device]
    words += [] if threads is None else ["--threads", str(threads)]
    words += ["--rounds", "2"] if options.is_quick else []
    clicks = ask_child([sys.executable, "-m", _CLICKS, *words], seconds=_SECONDS)
    side = _QUICK_REGION_PX if options.is_quick else _REGION_PX
    with tempfile.TemporaryDirectory() as folder:
        words = [*place, "--side", f"{side:.0f}", "--weights", _weights(Path(folder))]
        window = ask_child(
            [*virtual_display(), sys.executable, "-m", _WINDOW, *words],
            seconds=_SECONDS,
        )
    return _rows(path, shape, window=window, clicks=clicks)


def find_tissue(path: Path) -> tuple[tuple[float, float], tuple[int, int]]:
    """Return where the dyed tissue nearest to the middle lies, and the slide's shape.

    Parameters
    ----------
    path : Path
        A slide.

    Returns
    -------
    (y, x), (H, W)
        In level-0 pixels; the middle where nothing is dyed.

    Raises
    ------
    SlideError
        If it cannot be read.
    """
    source = open_slide(path)
    try:
        fits = [n for n, one in enumerate(source.levels) if _size(one) <= _COARSE_PX]
        number = fits[0] if fits else len(source.levels) - 1
        level = source.levels[number]
        pixels = source.read(number, (0, 0, *level.shape)).astype(np.int16)
    finally:
        source.close()
    dyed = np.argwhere(pixels.max(axis=-1) - pixels.min(axis=-1) > _TISSUE)
    middle = np.asarray(level.shape) / 2
    nearest = middle
    if len(dyed):
        nearest = dyed[np.argmin(((dyed - middle) ** 2).sum(axis=1))]
    down = np.asarray(level.downsample_yx)
    y, x = (nearest + 0.5) * down
    return (float(y), float(x)), source.levels[0].shape


def _size(level: Any) -> int:
    return math.prod(level.shape)


def _made_slide(*, is_quick: bool) -> Path:
    """Return the made-up slide; it is written once, in a stream."""
    from platformdirs import user_cache_dir

    place = os.environ.get("SEGMOE_CACHE") or user_cache_dir("napari-segmoe", False)
    height, width = QUICK_SHAPE if is_quick else SHAPE
    path = Path(place) / "bench" / f"slide-{width}x{height}.ome.tif"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_synthetic_slide(path, (height, width), tissue_share=0.3)
    return path


def _weights(folder: Path) -> str:
    """Return weights with a pixel size: shipped ones, else a network as it is born."""
    from napari_segmoe.cli.bench_subject import load_spaced
    from napari_segmoe.models.card import list_weights
    from napari_segmoe.models.weights import save_weights

    model, card, name = load_spaced()
    if name in dict(list_weights()):
        return name
    path = folder / "untrained.safetensors"
    save_weights(path, model, card)
    return str(path)


def _rows(
    path: Path,
    shape: tuple[int, int],
    *,
    window: dict[str, Any],
    clicks: dict[str, Any],
) -> list[Measurement]:
    mib = window.get("over_empty_mib")
    values = {
        "over_empty_gb": None if mib is None else mib * 2**20 / 1e9,
        "click": clicks.get("value"),
        "over_idle_ms": window.get("over_idle_ms"),
    }
    notes = {
        "over_empty_gb": _say_memory(path, shape, window),
        "click": clicks.get("note") or clicks.get("reason", ""),
        "over_idle_ms": _say_lateness(window),
    }
    return [
        Measurement(name, values[key], bound, _UNITS[key], note=notes[key])
        for key, name, bound in _NAMES
    ]


def _say_memory(path: Path, shape: tuple[int, int], window: dict[str, Any]) -> str:
    if "reason" in window:
        return str(window["reason"])
    return (
        f"{shape[1]} x {shape[0]} px, {path.stat().st_size / 1e9:.1f} GB on disk;"
        " largest resident memory of window and predictor process together:"
        f" window {window['window_mib']:.0f} MiB over the empty viewer's"
        f" {window['empty_mib']:.0f}, predictor {window['predictor_mib']:.0f};"
        f" first paint after {window['first_paint_s']:.2f} s, model ready after"
        f" {window['model_ready_s']:.1f} s, first click {window['first_click_s']:.2f} s"
    )


def _say_lateness(window: dict[str, Any]) -> str:
    if "reason" in window:
        return str(window["reason"])
    return (
        f"p99 idle {window['idle_p99_ms']:.1f} ms, panning alone"
        f" {window['pan_p99_ms']:.1f} ms, panning with a region"
        f" {window['pan_region_p99_ms']:.1f} ms (largest"
        f" {window['pan_region_max_ms']:.0f} ms), {window['windows_done']} of"
        f" {window['windows']} windows meanwhile"
    )
