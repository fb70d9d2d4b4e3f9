"""Boxes put together from tiles, and how many decoded tiles are kept."""

import numpy as np
import pytest

from napari_segmoe.data.slides.tiles import TileCache, clip_box, read_box


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 255, (50, 70, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "box", [(0, 0, 50, 70), (7, 9, 8, 10), (16, 32, 32, 48), (-5, 60, 60, 90)]
)
def test_a_box_is_put_together_from_its_tiles(pixels, box):
    def tile(row, column):
        return pixels[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16]

    padded = np.pad(pixels, ((10, 20), (10, 30), (0, 0)), constant_values=255)
    y0, x0, y1, x1 = (edge + 10 for edge in box)
    np.testing.assert_array_equal(
        read_box((50, 70), (16, 16), box, tile), padded[y0:y1, x0:x1]
    )


def test_outside_no_tile_is_asked_for():
    def refuse(row, column):
        raise AssertionError((row, column))

    assert (read_box((50, 70), (16, 16), (60, 0, 70, 9), refuse) == 255).all()
    assert read_box((50, 70), (16, 16), (9, 9, 9, 20), refuse).shape == (0, 11, 3)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((-3, -4, 8, 9), (0, 0, 8, 9)),
        ((40, 60, 90, 90), (40, 60, 50, 70)),
        ((60, 80, 90, 90), (50, 70, 50, 70)),
        ((-9, -9, -3, -3), (0, 0, 0, 0)),
    ],
)
def test_a_box_is_cut_to_its_level(box, expected):
    assert clip_box(box, (50, 70)) == expected


def _tile(value, side=10):
    return lambda: np.full((side, side, 3), value, np.uint8)


def test_the_tiles_unused_for_longest_leave_first():
    cache = TileCache(byte_limit=700)  # two tiles of 300 bytes
    for key in "ab":
        cache.get(key, _tile(1))
    cache.get("a", _tile(1))
    cache.get("c", _tile(1))
    assert cache.nbytes == 600
    assert [key in cache for key in "abc"] == [True, False, True]


def test_a_kept_tile_is_not_made_again_and_a_large_one_not_kept():
    cache = TileCache(byte_limit=700)
    cache.get("a", _tile(1))
    assert cache.get("a", _tile(2)).max() == 1
    cache.get("large", _tile(3, side=20))
    assert "large" not in cache
    cache.clear()
    assert cache.nbytes == 0
    assert cache.get("a", _tile(2)).max() == 2
