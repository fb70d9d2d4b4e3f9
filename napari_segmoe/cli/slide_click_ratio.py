"""A click on a slide against one on pixels in memory, in a process of its own.

``python -m napari_segmoe.cli.slide_click_ratio SLIDE --at Y X`` prints JSON.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_segmoe.cli.bench_subject import load_spaced
from napari_segmoe.data.slides.opening import open_slide
from napari_segmoe.data.slides.region import SlideRegion, read_area, region_at
from napari_segmoe.data.slides.source import SlideSource
from napari_segmoe.inference.devices import choose_device
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.inference.predictor import SegmentationPredictor
from napari_segmoe.types import Click, Modality

_SIDE_PX = 1024  # of the region around a first click in the window
_WARM_UPS = 3
_ROUNDS = 15


def main(arguments: list[str] | None = None) -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--at", type=float, nargs=2, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    wanted = parser.parse_args(arguments)
    if wanted.threads is not None:
        torch.set_num_threads(wanted.threads)
    found = compare_clicks(
        wanted.slide, at=tuple(wanted.at), device=wanted.device, rounds=wanted.rounds
    )
    sys.stdout.write(json.dumps(found) + "\n")


def compare_clicks(
    path: Path, *, at: tuple[float, float], device: str, rounds: int = _ROUNDS
) -> dict[str, object]:
    """Return the ratio of a click on a slide to a click in memory plus the bare read.

    Parameters
    ----------
    path : Path
        The slide.
    at : (y, x)
        Where there is tissue, in level-0 pixels; rounds go on around it.
    device : str
        auto, cpu, cuda:N or mps.
    rounds : int
        Each is a click in the middle of another region, so that its tiles were not
        decoded before; all three are timed in it, in turns.

    Returns
    -------
    dict
        ``value`` (the ratio of the medians) and ``note``.
    """
    model, card, name = load_spaced()
    on_slide, in_memory = (
        SegmentationPredictor(WindowNetwork(model, card, choose_device(device)))
        for _ in range(2)
    )
    spacing_um = card.spacing_um
    assert spacing_um is not None
    bare, crops = open_slide(path), open_slide(path)
    times: list[list[float]] = [[], [], []]
    for number in range(_WARM_UPS + rounds):
        region = _region(bare, at, spacing_um, number)
        height, width = region.shape
        click = (Click(height / 2, width / 2),)
        on_slide.set_image(
            region, (spacing_um, spacing_um), modality=Modality.HISTOLOGY
        )
        pixels = _read(crops, region, (0, 0, height, width))
        in_memory.set_image(
            pixels, (spacing_um, spacing_um), modality=Modality.HISTOLOGY
        )
        half = card.input_px // 2
        y0, x0 = max(height // 2 - half, 0), max(width // 2 - half, 0)
        box = (y0, x0, y0 + card.input_px, x0 + card.input_px)
        tasks: list[Callable[[], object]] = [
            partial(on_slide.predict, click),
            partial(in_memory.predict, click),
            partial(_read, bare, region, box),
        ]
        for place in np.roll(np.arange(len(tasks)), number):
            seconds = _time(tasks[place])
            if number >= _WARM_UPS:
                times[place].append(seconds)
    bare.close()
    crops.close()
    slide_s, crop_s, read_s = (statistics.median(kept) for kept in times)
    note = (
        f"{name}, {card.input_px} px at {spacing_um:g} um, {torch.get_num_threads()}"
        f" threads: on the slide {1e3 * slide_s:.1f} ms, in memory"
        f" {1e3 * crop_s:.1f} ms, bare read {1e3 * read_s:.1f} ms"
    )
    return {"value": slide_s / (crop_s + read_s), "note": note}


def _region(
    source: SlideSource, at: tuple[float, float], spacing_um: float, number: int
) -> SlideRegion:
    """Return the region of one round, beside those of the rounds before."""
    slide_um = source.spacing_um or (spacing_um, spacing_um)
    side = _SIDE_PX * spacing_um / slide_um[0]
    row, column = divmod(number, 5)
    height, width = source.levels[0].shape
    y = min(max(at[0] + (row - 2) * side - side / 2, 0.0), max(height - side, 0.0))
    x = min(max(at[1] + (column - 2) * side - side / 2, 0.0), max(width - side, 0.0))
    box = (y, x, y + side, x + side)
    return region_at(source, box, spacing_um=spacing_um, slide_spacing_um=slide_um)


def _read(
    source: SlideSource, region: SlideRegion, box: tuple[int, int, int, int]
) -> NDArray[np.uint8]:
    """Read a box of a region through a source of our own, not the shared one."""
    (top, left), (sy, sx) = region.origin_yx, region.step_yx
    return read_area(
        source,
        start_yx=(top + box[0] * sy, left + box[1] * sx),
        step_yx=region.step_yx,
        shape=(box[2] - box[0], box[3] - box[1]),
    )


def _time(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
