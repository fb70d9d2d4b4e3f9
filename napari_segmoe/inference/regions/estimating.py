"""What a region will cost: windows, time and memory."""

import time
from weakref import WeakKeyDictionary

import numpy as np
import psutil

from napari_segmoe.errors import RegionTooLargeError
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.inference.regions.options import TileOptions
from napari_segmoe.types import RegionEstimate

# Bytes a pixel of the answer: probability 1, distance 2, ids 4; then the probability
# as float32 and the mask of a `Prediction` 5.
_ANSWER_BYTES = 12
_SUM_BYTES = 16  # a pixel of a pending chunk
_WORK_BYTES = 64 * 2**20  # batches that wait to be joined, and what threads keep
_SHARE = 0.8  # of what is free
_GIGABYTE = 2**30

_rates: WeakKeyDictionary[WindowNetwork, float] = WeakKeyDictionary()


def estimate(
    shape: tuple[int, int],
    network: WindowNetwork,
    options: TileOptions | None = None,
) -> RegionEstimate:
    """Return what `segment_tiles` will cost on an image of (H, W) pixels.

    The first time a window is computed to see how long it takes; later the rate of
    the last region counts.
    """
    options = options or TileOptions()
    windows = len(options.lattice(shape, network.card))
    return RegionEstimate(
        windows=windows,
        seconds=windows * seconds_per_window(network),
        memory_bytes=memory_needed(shape, options, network.card.input_px),
    )


def seconds_per_window(network: WindowNetwork) -> float:
    """Return the seconds that a window takes, as measured last."""
    if network not in _rates:
        side = network.card.input_px
        noise = np.random.default_rng(0)
        tile = noise.integers(0, 255, (1, side, side, 3), dtype=np.uint8)
        network.answer_tiles(tile)  # the first is slower
        began = time.perf_counter()
        network.answer_tiles(tile)
        _rates[network] = time.perf_counter() - began
    return _rates[network]


def remember_rate(network: WindowNetwork, seconds: float) -> None:
    """Keep the seconds that a window took in a region."""
    _rates[network] = seconds


def memory_needed(shape: tuple[int, int], options: TileOptions, input_px: int) -> int:
    """Return the bytes of a region's answer and of the work on it."""
    height, width = shape
    blocks = 3 * (options.block_px + input_px) * (width + input_px)
    blocks += 3 * (options.reader_count + 1) * options.block_px**2
    sums = _SUM_BYTES * (options.chunk_px + input_px) * (width + options.chunk_px)
    return _ANSWER_BYTES * height * width + blocks + sums + _WORK_BYTES


def check_memory(shape: tuple[int, int], options: TileOptions, input_px: int) -> None:
    """Refuse a region whose answer does not fit into memory.

    Raises
    ------
    RegionTooLargeError
        If it does not.
    """
    needed = memory_needed(shape, options, input_px)
    free = psutil.virtual_memory().available
    if needed > _SHARE * free:
        raise RegionTooLargeError(
            f"The region of {shape[0]} x {shape[1]} px needs"
            f" {needed / _GIGABYTE:.1f} GB of memory, and {free / _GIGABYTE:.1f} GB are"
            " free. Choose a smaller region."
        )
