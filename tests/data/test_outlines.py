import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_segmoe.data.outlines import fill_shape, mend_shape, trace_mask


@given(st.integers(0, 10**6), st.floats(0.3, 3))
@settings(max_examples=40, deadline=None)
def test_outlines_give_back_the_same_pixels(seed, smoothness):
    noise = np.random.default_rng(seed).random((30, 41))
    mask = ndimage.gaussian_filter(noise, smoothness) > 0.5
    shape = trace_mask(mask, origin_yx=(3, 5))
    expected = np.zeros((50, 60), bool)
    expected[3:33, 5:46] = mask
    assert shape.is_valid
    assert shape.area == mask.sum()
    np.testing.assert_array_equal(fill_shape(shape, (50, 60)), expected)


def test_an_island_in_a_lake_stays():
    mask = np.ones((9, 9), bool)
    mask[2:7, 2:7] = False
    mask[4, 4] = True
    shape = trace_mask(mask)
    assert len(shape.geoms) == 2
    np.testing.assert_array_equal(fill_shape(shape, (9, 9)), mask)


def test_a_square_has_four_corners():
    mask = np.zeros((20, 20), bool)
    mask[5:15, 4:18] = True
    corners = set(trace_mask(mask).exterior.coords)
    assert corners == {(4, 5), (18, 5), (18, 15), (4, 15)}


def test_what_lies_outside_is_left_out():
    filled = fill_shape(shapely.box(-5, -5, 3, 2), (10, 10))
    assert filled.sum() == 6
    assert filled[:2, :3].all()
    assert not fill_shape(shapely.box(50, 50, 60, 60), (10, 10)).any()


def test_a_shape_that_crosses_itself_is_mended():
    bow = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
    mended = mend_shape(bow)
    assert mended.is_valid
    assert mended.area == pytest.approx(50)
    assert mend_shape(shapely.Polygon([(0, 0), (5, 5), (9, 9)])) is None
