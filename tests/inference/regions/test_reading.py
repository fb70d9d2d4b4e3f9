"""Blocks are read once and ahead, and windows cut from them."""

import time

import numpy as np
import pytest

from napari_segmoe.errors import SlideError
from napari_segmoe.inference.regions.lattice import make_lattice
from napari_segmoe.inference.regions.reading import BlockReader, plan_blocks
from tests.inference.regions.fakes import Pixels, reading_threads

WINDOW = 32


def noise(shape):
    return np.random.default_rng(1).integers(0, 255, (*shape, 3), dtype=np.uint8)


@pytest.mark.parametrize("block_px", [20, 32, 50, 500])
@pytest.mark.parametrize("shape", [(100, 133), (20, 100), (32, 32)])
@pytest.mark.parametrize("threads", [1, 3])
def test_windows_are_what_the_image_holds_there(shape, block_px, threads):
    pixels = Pixels(noise(shape))
    lattice = make_lattice(shape, window_px=WINDOW, overlap_px=8)
    reader = BlockReader(pixels, lattice, block_px, threads)
    found = dict(window for window in reader.windows() if window is not None)
    assert set(found) == set(lattice)
    for place, tile in found.items():
        y, x = lattice.corner(*place)
        expected = Pixels(pixels.pixels).read((y, x, y + WINDOW, x + WINDOW))
        np.testing.assert_array_equal(tile, expected)


@pytest.mark.parametrize("block_px", [20, 50, 500])
def test_each_pixel_is_read_once(block_px):
    lattice = make_lattice((100, 133), window_px=WINDOW, overlap_px=8)
    read = np.zeros((100, 133), int)
    ending = []
    for block in plan_blocks(lattice, block_px):
        y0, x0, y1, x1 = block.box
        read[y0:y1, x0:x1] += 1
        ending += block.windows
    assert (read == 1).all()
    assert sorted(ending) == sorted(lattice)


def test_blocks_are_forgotten_when_no_window_needs_them():
    lattice = make_lattice((2000, 64), window_px=WINDOW, overlap_px=8)
    reader, most = BlockReader(Pixels(noise((2000, 64))), lattice, 64, 1), 0
    for _ in reader.windows():
        most = max(most, len(reader._kept))
    assert most <= 3  # of 32
    assert not reader._kept


def test_it_says_that_it_waits_for_a_slow_slide():
    pixels = Pixels(noise((32, 32)), delay_s=0.5)
    lattice = make_lattice((32, 32), window_px=WINDOW, overlap_px=8)
    steps = BlockReader(pixels, lattice, 64, 1).windows()
    began = time.perf_counter()
    assert next(steps) is None
    assert time.perf_counter() - began < 0.45
    assert [step is None for step in steps][-1] is False


def test_blocks_are_read_by_threads_of_its_own_but_not_all_at_once():
    pixels = Pixels(noise((400, 40)))
    lattice = make_lattice((400, 40), window_px=WINDOW, overlap_px=8)
    steps = BlockReader(pixels, lattice, 40, 2).windows()
    while next(steps) is None:
        pass
    time.sleep(0.05)
    assert len(pixels.boxes) <= 4  # of 10
    assert all("segmoe-read" in name for name in pixels.threads)
    steps.close()
    assert not reading_threads()


def test_an_error_of_the_slide_comes_through_and_ends_the_threads():
    pixels = Pixels(noise((200, 40)), broken=2)
    lattice = make_lattice((200, 40), window_px=WINDOW, overlap_px=8)
    with pytest.raises(SlideError, match="cannot be read there"):
        list(BlockReader(pixels, lattice, 40, 1).windows())
    assert not reading_threads()
