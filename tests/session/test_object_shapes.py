"""Worked examples of the tools on pixels."""

import numpy as np
import pytest

from napari_segmoe.inference.objects import describe_object, measure_object
from napari_segmoe.session import object_shapes


def disc(shape, y, x, radius):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


@pytest.fixture
def two_discs():
    """Two discs that touch, as one object, and a second object beside them."""
    labels = np.zeros((60, 80), np.uint32)
    labels[disc(labels.shape, 30, 22, 14) | disc(labels.shape, 30, 46, 14)] = 3
    labels[25:35, 64:74] = 5
    return labels


def test_holes_are_filled_but_not_with_other_objects():
    labels = np.zeros((20, 20), np.uint32)
    labels[2:18, 2:18] = 1
    labels[5:8, 5:8] = 0
    labels[10:14, 10:14] = 0
    labels[11:13, 11:13] = 2
    filled = object_shapes.fill_holes(labels, [1])
    assert (filled == 1).sum() == 256 - 4
    assert (filled == 2).sum() == 4


def test_growing_stops_at_other_objects_and_halfway_between_two():
    labels = np.zeros((5, 20), np.uint32)
    labels[:, 2:4], labels[:, 10:12], labels[:, 16:18] = 1, 2, 9
    grown = object_shapes.grow(labels, [1, 2], px=10)
    assert (grown[2] == 1).sum() == 7
    assert (grown[2] == 2).sum() == 9
    assert grown[2, 7] in {1, 2}
    assert (grown == 9).sum() == 10
    assert grown[2, 18] == 0 or grown[2, 18] == 2


def test_shrinking_takes_a_rim_and_never_the_last_pixel():
    labels = np.zeros((20, 20), np.uint32)
    labels[5:15, 5:15] = 1
    labels[0:2, 0:2] = 2
    shrunk = object_shapes.shrink(labels, [1, 2], px=2)
    assert (shrunk == 1).sum() == 36
    assert (shrunk == 2).sum() == 4


def test_smoothing_removes_a_spike_and_keeps_the_area():
    labels = np.zeros((60, 60), np.uint32)
    labels[disc(labels.shape, 30, 30, 15)] = 4
    area = (labels == 4).sum()
    labels[30, 45:58] = 4
    smooth = object_shapes.smooth(labels, [4], radius_px=2)
    assert not smooth[30, 49:].any()
    assert (smooth == 4).sum() == pytest.approx(area, rel=0.03)


def test_smoothing_leaves_neighbours_alone(two_discs):
    two_discs[29:31, 58:64] = 3
    smooth = object_shapes.smooth(two_discs, [3], radius_px=2)
    np.testing.assert_array_equal(smooth == 5, two_discs == 5)


def test_touching_discs_are_parted_at_their_neck(two_discs):
    parts = object_shapes.split_by_distance(two_discs == 3, None)
    assert parts.max() == 2
    assert ((parts > 0) == (two_discs == 3)).all()
    assert parts[30, 22] != parts[30, 46]
    neck = [int(np.flatnonzero(parts[30] == parts[30, 46]).min())]
    assert 31 <= neck[0] <= 37


def test_the_models_distance_is_followed_where_there_is_one(two_discs):
    mask = two_discs == 3
    distance = np.where(mask, 0.1, -1.0).astype(np.float32)
    distance[disc(mask.shape, 22, 22, 6)] = 0.9
    distance[disc(mask.shape, 38, 22, 6)] = 0.9
    parts = object_shapes.split_by_distance(mask, distance)
    assert parts[20, 22] != parts[40, 22]


def test_a_round_object_stays_whole():
    mask = disc((40, 40), 20, 20, 12)
    assert object_shapes.split_by_distance(mask, None).max() == 1


def test_separate_pieces_are_parts(two_discs):
    assert object_shapes.split_by_distance(two_discs > 0, None).max() == 2


def test_a_line_parts_an_object_and_gives_every_pixel_to_a_side():
    mask = disc((40, 40), 20, 20, 12)
    parts = object_shapes.split_by_line(mask, [(2, 2), (20, 20), (38, 38)])
    assert parts.max() == 2
    assert ((parts > 0) == mask).all()
    assert parts[12, 26] != parts[26, 12]
    sizes = np.bincount(parts.ravel())[1:]
    assert sizes.min() > 0.4 * mask.sum()


def test_a_line_that_ends_inside_or_leaves_the_image_is_taken_as_it_is():
    mask = disc((40, 40), 20, 20, 12)
    assert object_shapes.split_by_line(mask, [(0, 20), (20, 20)]).max() == 1
    assert object_shapes.split_by_line(mask, [(-30, 20), (70, 20)]).max() == 2


def test_fast_measures_equal_those_of_a_single_object():
    rng = np.random.default_rng(0)
    for _ in range(4):
        mask = rng.random((9, 13)) > 0.5
        told = {"origin_yx": (3, 4), "object_id": 2, "probabilities": {"a": 0.7}}
        slow = describe_object(mask, (0.5, 0.3), **told)
        fast = measure_object(mask, (0.5, 0.3), **told)
        assert fast.box == slow.box
        assert fast.class_name == slow.class_name
        for name in ("area_px", "area_um2", "width_height_ratio"):
            assert getattr(fast, name) == pytest.approx(getattr(slow, name))
        for name in ("long_axis_px", "short_axis_px"):
            assert getattr(fast, name) == pytest.approx(getattr(slow, name))
