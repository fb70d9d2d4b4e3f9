"""Windows cover an image, and each pixel is seen best by one of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_segmoe.inference.regions.lattice import make_lattice, window_weights

sides = st.integers(1, 200)


@given(sides, sides, st.integers(4, 48), st.data())
def test_windows_cover_every_pixel_and_stay_inside(height, width, window, data):
    overlap = data.draw(st.integers(0, window - 1))
    lattice = make_lattice((height, width), window_px=window, overlap_px=overlap)
    seen = np.zeros((height, width), int)
    for place in lattice:
        y, x = lattice.corner(*place)
        for at, length in ((y, height), (x, width)):
            if length >= window:
                assert 0 <= at <= length - window
            else:
                assert at == -((window - length) // 2)
        seen[max(y, 0) : y + window, max(x, 0) : x + window] += 1
    assert seen.min() >= 1
    assert len(lattice) == len(list(lattice))


def test_starts_are_strides_and_the_last_one_ends_at_the_border():
    lattice = make_lattice((700, 256), window_px=256, overlap_px=64)
    assert lattice.rows.starts == (0, 192, 384, 444)
    assert lattice.columns.starts == (0,)
    assert lattice.extent == (0, 0, 700, 256)


def test_an_image_smaller_than_a_window_lies_in_its_middle():
    lattice = make_lattice((100, 300), window_px=256, overlap_px=64)
    assert lattice.rows.starts == (-78,)
    assert lattice.extent == (-78, 0, 178, 300)


@given(st.integers(1, 150), st.integers(0, 149))
def test_the_owner_of_a_pixel_has_the_largest_weight(length, pixel):
    pixel = min(pixel, length - 1)
    axis = make_lattice((length, 1), window_px=32, overlap_px=8).rows
    weights = window_weights(32)
    there = [
        weights[pixel - at] if 0 <= pixel - at < 32 else -1.0 for at in axis.starts
    ]
    assert there[axis.owner(pixel)] == max(there)


@given(st.integers(33, 300), st.data())
def test_weights_of_all_windows_are_summed(length, data):
    start = data.draw(st.integers(0, length - 1))
    stop = data.draw(st.integers(start + 1, length))
    axis = make_lattice((length, 1), window_px=32, overlap_px=8).rows
    total = np.zeros(length)
    for at in axis.starts:
        total[at : at + 32] += window_weights(32)
    np.testing.assert_array_equal(axis.weight_sum(start, stop), total[start:stop])
    touching = [i for i, at in enumerate(axis.starts) if at < stop and at + 32 > start]
    assert list(axis.touching(start, stop)) == touching


def test_weights_fall_as_a_gaussian_to_a_floor():
    weights = window_weights(256) / window_weights(256).max()
    np.testing.assert_allclose(weights[128 + 32], np.exp(-0.5), atol=0.01)
    assert weights[0] ** 2 == pytest.approx(1e-3, rel=0.02)


@pytest.mark.parametrize(("shape", "overlap"), [((0, 5), 2), ((5, 5), 16)])
def test_what_cannot_be_covered_is_refused(shape, overlap):
    with pytest.raises(ValueError, match="cannot be covered"):
        make_lattice(shape, window_px=16, overlap_px=overlap)
