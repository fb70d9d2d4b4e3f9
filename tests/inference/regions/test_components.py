"""Components joined across parts are those of the whole mask."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from napari_segmoe.inference.regions.components import Stitcher

EIGHT = np.ones((3, 3), bool)
masks = st.tuples(st.integers(1, 24), st.integers(1, 24)).flatmap(
    lambda shape: arrays(bool, shape)
)


def stitch(mask, side, order=None):
    stitcher = Stitcher(mask.shape)
    height, width = mask.shape
    boxes = [
        (y, x, min(y + side, height), min(x + side, width))
        for y in range(0, height, side)
        for x in range(0, width, side)
    ]
    (order or random.Random(0)).shuffle(boxes)
    for y0, x0, y1, x1 in boxes:
        stitcher.add((y0, x0, y1, x1), mask[y0:y1, x0:x1])
    return stitcher


def same_partition(one, other):
    pairs = np.unique(np.stack((one.ravel(), other.ravel()), 1), axis=0)
    return len(pairs) == len(np.unique(one)) == len(np.unique(other))


@given(masks, st.integers(1, 9), st.randoms(use_true_random=False))
def test_the_objects_are_those_of_the_whole_mask(mask, side, order):
    stitcher = stitch(mask, side, order)
    whole = stitcher.roots()[stitcher.labels]
    expected, count = ndimage.label(mask, structure=EIGHT)
    np.testing.assert_array_equal(whole > 0, mask)
    assert same_partition(whole, expected)
    assert len(stitcher.components()) == count


@given(masks, st.integers(1, 9), st.randoms(use_true_random=False))
def test_boxes_areas_and_first_pixels_are_those_of_the_components(mask, side, order):
    stitcher = stitch(mask, side, order)
    expected, _ = ndimage.label(mask, structure=EIGHT)
    rows = []
    for number, place in enumerate(ndimage.find_objects(expected), 1):
        y, x = np.argwhere(expected == number)[0]
        box = (place[0].start, place[1].start, place[0].stop, place[1].stop)
        rows.append((-(expected == number).sum(), (y, x), box))
    found = [(-one.area_px, one.first, one.box) for one in stitcher.components()]
    assert found == sorted(rows)


def test_a_ring_across_four_parts_is_one_object():
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    mask[7:13, 7:13] = False
    (ring,) = stitch(mask, 10).components()
    assert (ring.box, ring.area_px) == ((5, 5, 15, 15), 64)


@pytest.mark.parametrize("other", [10, 9])
def test_objects_that_touch_at_a_corner_of_four_parts_are_one(other):
    mask = np.zeros((20, 20), bool)
    mask[9 if other == 10 else 10, 9] = True
    mask[10 if other == 10 else 9, 10] = True
    assert len(stitch(mask, 10).components()) == 1


@given(masks, st.integers(1, 9), st.randoms(use_true_random=False))
def test_a_component_is_complete_once_when_nothing_can_touch_it(mask, side, order):
    stitcher, done = Stitcher(mask.shape), np.zeros(mask.shape, bool)

    def is_done(box):
        y0, x0, y1, x1 = box
        return done[max(y0, 0) : y1, max(x0, 0) : x1].all()

    boxes = [
        (y, x, min(y + side, mask.shape[0]), min(x + side, mask.shape[1]))
        for y in range(0, mask.shape[0], side)
        for x in range(0, mask.shape[1], side)
    ]
    order.shuffle(boxes)
    complete = []
    for y0, x0, y1, x1 in boxes:
        done[y0:y1, x0:x1] = True
        stitcher.add((y0, x0, y1, x1), mask[y0:y1, x0:x1])
        complete += stitcher.take_complete(is_done)
    assert sorted(complete, key=str) == sorted(stitcher.components(), key=str)
    for one in complete:
        inside = np.isin(stitcher.labels, one.members)
        assert inside.sum() == one.area_px
