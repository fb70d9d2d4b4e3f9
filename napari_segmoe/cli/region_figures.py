"""What a region costs beside bare reading and bare networks, in a process of its own.

``python -m napari_segmoe.cli.region_figures SLIDE`` prints JSON.
"""

import argparse
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from napari_segmoe.cli.bench_subject import load_spaced
from napari_segmoe.data.slides.opening import open_slide
from napari_segmoe.data.slides.region import SlideRegion, read_area, region_at
from napari_segmoe.inference.devices import beside_count, choose_device, thread_count
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.inference.regions.engine import (
    RegionAnswer,
    is_uniform,
    segment_tiles,
)
from napari_segmoe.inference.regions.estimating import memory_needed
from napari_segmoe.inference.regions.forwarding import TileForward
from napari_segmoe.inference.regions.options import TileOptions
from napari_segmoe.inference.regions.reading import BlockReader

_ROUNDS = 5
_SAMPLE_S = 0.02
_MIB = 2**20


def main(arguments: list[str] | None = None) -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    wanted = parser.parse_args(arguments)
    if wanted.threads is not None:
        torch.set_num_threads(wanted.threads)
    found = measure_parts(wanted.slide, device=wanted.device, rounds=wanted.rounds)
    sys.stdout.write(json.dumps(found) + "\n")


def measure_parts(path: Path, *, device: str, rounds: int) -> dict[str, object]:
    """Time reading, the network and a whole region, in turns.

    Parameters
    ----------
    path : Path
        A slide; all of it is the region.
    device : str
        auto, cpu, cuda:N or mps.
    rounds : int
        The slide is opened anew in each, so that its tiles were not decoded before.

    Returns
    -------
    dict
        Medians in seconds (``read_s``, ``forward_s``, ``total_s``) and of processor
        time, which other load hardly changes (``read_cpu_s`` ...), the median of each
        round's ratio (``ratio``), the memory that the last run took over what the
        loaded network holds (``memory_mib``) and was estimated (``estimate_mib``),
        ``windows``, ``empty_windows``, ``objects`` and ``name``.
    """
    model, card, name = load_spaced()
    network = WindowNetwork(model, card, choose_device(device))
    source = open_slide(path)
    height, width = source.levels[0].shape
    region = region_at(
        source,
        (0.0, 0.0, float(height), float(width)),
        spacing_um=card.spacing_um,
        slide_spacing_um=source.spacing_um,
    )
    source.close()
    tiles = _seen(network, region)
    _forward(network, tiles[:2])
    times: list[list[float]] = [[], [], []]
    cpu_times: list[list[float]] = [[], [], []]
    kept: list[RegionAnswer] = []
    tasks: list[Callable[[], object]] = [
        lambda: _tiles(network, region),
        lambda: _forward(network, tiles),
        lambda: kept.append(_segment(network, region)),
    ]
    memory = 0.0
    for number in range(rounds):
        for place in np.roll(np.arange(len(tasks)), number):
            seconds, cpu_seconds, grown = _measure(tasks[place])
            times[place].append(seconds)
            cpu_times[place].append(cpu_seconds)
            memory = grown if place == len(tasks) - 1 and not number else memory
        del kept[:-1]
    needed = memory_needed(region.shape, TileOptions(), card.input_px)
    return {
        "name": name,
        "threads": torch.get_num_threads(),
        "precision": str(network.precision),
        "ratio": statistics.median(
            total / max(read, forward)
            for read, forward, total in zip(*times, strict=True)
        ),
        "read_s": statistics.median(times[0]),
        "forward_s": statistics.median(times[1]),
        "total_s": statistics.median(times[2]),
        "read_cpu_s": statistics.median(cpu_times[0]),
        "forward_cpu_s": statistics.median(cpu_times[1]),
        "total_cpu_s": statistics.median(cpu_times[2]),
        "memory_mib": memory / _MIB,
        "estimate_mib": needed / _MIB,
        "windows": kept[0].windows,
        "empty_windows": kept[0].empty_windows,
        "objects": int(kept[0].labels.max()),
    }


class _FreshSlide:
    """A region of a slide that was opened for one round: no tile is decoded yet."""

    def __init__(self, region: SlideRegion) -> None:
        self.region = region
        self.source = open_slide(region.path)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.region.shape

    def read(
        self, box: tuple[int, int, int, int], shape: tuple[int, int] | None = None
    ) -> NDArray[np.uint8]:
        """See `SlideRegion.read`."""
        (top, left), (sy, sx) = self.region.origin_yx, self.region.step_yx
        y0, x0, y1, x1 = box
        return read_area(
            self.source,
            start_yx=(top + y0 * sy, left + x0 * sx),
            step_yx=(sy, sx),
            shape=(y1 - y0, x1 - x0) if shape is None else shape,
        )


def _tiles(network: WindowNetwork, region: SlideRegion) -> list[NDArray[np.uint8]]:
    """Read a region as the engine does, and return its windows."""
    options, pixels = TileOptions(), _FreshSlide(region)
    lattice = options.lattice(region.shape, network.card)
    reader = BlockReader(pixels, lattice, options.block_px, options.reader_count)
    found = [window[1] for window in reader.windows() if window is not None]
    pixels.source.close()
    return found


def _seen(network: WindowNetwork, region: SlideRegion) -> list[NDArray[np.uint8]]:
    """Return the windows that the engine shows to the network."""
    return [tile for tile in _tiles(network, region) if not is_uniform(tile)]


def _forward(network: WindowNetwork, tiles: list[NDArray[np.uint8]]) -> None:
    size = TileForward(network).batch_size
    with thread_count(beside_count()):  # as in the engine
        for start in range(0, len(tiles), size):
            network.answer_tiles(np.stack(tiles[start : start + size]))


def _segment(network: WindowNetwork, region: SlideRegion) -> RegionAnswer:
    pixels = _FreshSlide(region)
    steps = segment_tiles(network, pixels)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            pixels.source.close()
            answer: RegionAnswer = stop.value
            return answer


def _measure(task: Callable[[], object]) -> tuple[float, float, int]:
    """Return seconds and processor seconds of a task, and the bytes it grew by."""
    process, over = psutil.Process(), threading.Event()
    before = most = process.memory_info().rss

    def watch() -> None:
        nonlocal most
        while not over.wait(_SAMPLE_S):
            most = max(most, process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    began, cpu_began = time.perf_counter(), time.process_time()
    task()
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    over.set()
    watcher.join()
    return seconds, cpu_seconds, most - before


if __name__ == "__main__":
    main()
