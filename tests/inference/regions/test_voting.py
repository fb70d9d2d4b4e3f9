"""Votes point at objects, and objects without a vote get a window of their own."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_segmoe.inference.regions.forwarding import TileForward
from napari_segmoe.inference.regions.objects_in_parts import (
    innermost,
    may_be_several,
    parts_of,
    rough_parts,
)
from napari_segmoe.inference.regions.scoring import score_voteless
from napari_segmoe.inference.regions.voting import Vote, tally
from napari_segmoe.inference.splitting import part_touching
from tests.inference.regions.fakes import DarkNetwork, Pixels, paint

EIGHT = np.ones((3, 3), bool)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.6, 3), st.sampled_from([0.5, 0.75, 0.9]))
def test_what_is_called_whole_is_never_parted(seed, blur, neck):
    rng = np.random.default_rng(seed)
    rough = ndimage.gaussian_filter(rng.normal(size=(30, 30)), blur)
    mask = rough > np.quantile(rough, 0.4)
    distance = np.tanh(ndimage.distance_transform_edt(mask) / 4)
    distance = (distance + 0.1 * rough / np.abs(rough).max()).astype(np.float32)
    labels, count = ndimage.label(mask, EIGHT)
    for number in range(1, count + 1):
        own = labels == number
        if not may_be_several(own, distance, neck=neck):
            parts = part_touching(
                own.astype(np.int32), distance, smallest_px=1, neck=neck
            )
            assert parts.max() == 1


def test_parts_are_those_of_the_whole_mask_at_once():
    mask = np.zeros((60, 100), bool)
    y, x = np.ogrid[:60, :100]
    for row, column in ((20, 20), (20, 43), (45, 80), (18, 87)):
        mask |= (y - row) ** 2 + (x - column) ** 2 <= 12**2
    depth = np.tanh(ndimage.distance_transform_edt(mask) / 8).astype(np.float32)
    found = parts_of(mask, depth, smallest_px=20)
    expected = part_touching(ndimage.label(mask, EIGHT)[0], depth, smallest_px=20)
    pairs = np.unique(np.stack((found.ravel(), expected.ravel()), 1), axis=0)
    assert found.max() == expected.max() == len(pairs) - 1 == 4


@settings(max_examples=60, deadline=None)
@given(
    st.integers(16, 40), st.integers(16, 40), st.integers(5, 9), st.sampled_from([1, 9])
)
def test_rough_parts_are_about_those_of_the_watershed(row, column, radius, grain):
    mask = np.zeros((56, 56), bool)
    y, x = np.ogrid[:56, :56]
    for at_y, at_x in ((28, 28), (row, column)):
        mask |= (y - at_y) ** 2 + (x - at_x) ** 2 <= radius**2
    mask = ndimage.label(mask, EIGHT)[0] == 1
    depth = np.tanh(ndimage.distance_transform_edt(mask) / grain).astype(np.float32)
    rough = rough_parts(mask, depth)
    exact = part_touching(mask.astype(np.int32), depth, smallest_px=10)
    assert ((rough > 0) == mask).all()
    if rough.max() != exact.max():
        away = np.hypot(row - 28, column - 28)
        assert away < 2.5 * radius  # where a neck is about 0.75
        assert rough.max() > exact.max()
    else:
        same = max((rough == exact).mean(), (3 - rough == exact)[mask].mean())
        assert same > 0.97


def test_the_innermost_pixel_is_far_from_outline_and_border():
    mask = np.zeros((9, 15), bool)
    mask[:, 4:15] = True
    assert innermost(mask)[0] == 4
    assert 8 <= innermost(mask)[1] <= 10
    assert innermost(np.ones((1, 1), bool)) == (0, 0)


def test_scores_are_means_by_area_and_votes_beside_objects_are_void():
    labels = np.zeros((4, 4), np.uint32)
    labels[0], labels[2] = 1, 2
    votes = [
        Vote(0, 0, 30.0, np.array([1.0, 0.0], np.float32)),
        Vote(0, 3, 10.0, np.array([0.0, 1.0], np.float32)),
        Vote(1, 1, 99.0, np.array([9.0, 9.0], np.float32)),
    ]
    scores = tally(votes, labels)
    assert set(scores) == {1}
    np.testing.assert_allclose(scores[1], [0.75, 0.25])


def test_objects_without_a_vote_are_scored_in_a_window_around_them():
    discs = [(10, 10, 8, (150, 20, 60)), (70, 90, 9, (60, 20, 150))]
    tissue = paint((100, 120), discs)
    labels = np.zeros((100, 120), np.uint32)
    y, x = np.ogrid[:100, :120]
    for number, (row, column, radius, _) in enumerate(discs, 1):
        labels[(y - row) ** 2 + (x - column) ** 2 <= radius**2] = number
    kept = np.zeros(2, np.float32)
    scores, network = {1: kept}, DarkNetwork()
    forward = TileForward(network)
    steps = list(score_voteless(forward, Pixels(tissue), labels, scores))
    assert len(steps) == 1
    assert scores[1] is kept
    expected = tissue[labels == 2].mean(axis=0)[[0, 2]] / 255
    np.testing.assert_allclose(scores[2], expected, atol=1e-4)
