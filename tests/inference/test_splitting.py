"""Touching objects come apart where the distance narrows, and only there."""

import numpy as np
import pytest
from scipy import ndimage

from napari_segmoe.data.targets import signed_distance
from napari_segmoe.inference.regions.objects_in_parts import may_be_several, parts_of
from napari_segmoe.inference.selection import label_objects
from napari_segmoe.inference.splitting import part_touching


def _disks(*centres, radius=10, shape=(40, 80)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    near = [(y - cy) ** 2 + (x - cx) ** 2 <= radius**2 for cy, cx in centres]
    return np.any(near, axis=0)


def _part(mask, distance=None, *, smallest_px=0.0):
    components, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    distance = signed_distance(mask) if distance is None else distance
    return part_touching(components, distance, smallest_px=smallest_px)


def test_two_touching_disks_are_two_objects():
    mask = _disks((20, 20), (20, 38))
    labels = _part(mask)
    assert labels.max() == 2
    assert labels[20, 14] != labels[20, 44]
    assert np.array_equal(labels > 0, mask)
    # The border runs through the neck, half way between the centres.
    assert np.unique(labels[:, :29][mask[:, :29]]).size == 1
    assert np.unique(labels[:, 30:][mask[:, 30:]]).size == 1


def test_overlapping_disks_without_a_neck_stay_one():
    assert _part(_disks((20, 20), (20, 26))).max() == 1


def test_a_small_object_beside_a_large_one_still_parts():
    y, x = np.mgrid[:60, :90]
    large = (y - 30) ** 2 + (x - 30) ** 2 <= 25**2
    small = (y - 30) ** 2 + (x - 62) ** 2 <= 8**2
    assert _part(large | small).max() == 2


def test_the_network_s_distance_decides_not_the_mask_s():
    mask = np.zeros((20, 40), bool)
    mask[4:16, 4:36] = True
    distance = signed_distance(mask)
    assert _part(mask).max() == 1
    distance[:, 18:22] = -0.3
    labels = _part(mask, distance)
    assert labels.max() == 2
    assert np.array_equal(labels > 0, mask)


@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("mask", [np.ones((12, 9), bool), _disks((9, 9), (20, 60))])
def test_a_flat_distance_parts_nothing(mask, value):
    labels = _part(mask, np.full(mask.shape, value, np.float32))
    _, count = ndimage.label(mask)
    assert labels.max() == count
    assert np.array_equal(labels > 0, mask)


def test_an_empty_mask_has_no_objects():
    empty = np.zeros((6, 8), bool)
    assert not _part(empty, np.zeros(empty.shape, np.float32)).any()


def test_parts_that_are_too_small_stay_with_their_neighbour():
    y, x = np.mgrid[:40, :60]
    small = (y - 20) ** 2 + (x - 36) ** 2 <= 4**2
    mask = ((y - 20) ** 2 + (x - 20) ** 2 <= 13**2) | small
    assert _part(mask).max() == 2
    labels = _part(mask, smallest_px=100)
    assert labels.max() == 1
    assert np.array_equal(labels > 0, mask)


def test_a_component_of_small_parts_only_stays_whole():
    mask = _disks((20, 20), (20, 38))
    fraction = 0.6 * mask.sum() / mask.size
    labels = label_objects(mask, fraction, distance=signed_distance(mask))
    assert labels.max() == 1
    assert np.array_equal(labels > 0, mask)


@pytest.mark.parametrize("seed", range(6))
def test_any_distance_leaves_the_foreground_and_its_components_alone(seed):
    rng = np.random.default_rng(seed)
    mask = ndimage.gaussian_filter(rng.normal(size=(50, 60)), 2) > 0
    distance = ndimage.gaussian_filter(rng.normal(size=(50, 60)), 2) * 3
    labels = _part(mask, np.tanh(distance).astype(np.float32), smallest_px=20)
    assert np.array_equal(labels > 0, mask)
    components, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    for number in range(1, labels.max() + 1):
        own = labels == number
        assert np.unique(components[own]).size == 1
        assert ndimage.label(own, structure=np.ones((3, 3)))[1] == 1


def test_objects_are_numbered_by_size_and_specks_dropped():
    mask = _disks((20, 20), (20, 38)) | _disks((20, 70), radius=2)
    mask[:, :12] = False
    labels = label_objects(mask, 0.01, distance=signed_distance(mask))
    sizes = np.bincount(labels.ravel())[1:]
    assert len(sizes) == 2
    assert sizes[0] > sizes[1]
    assert labels[20, 70] == 0


@pytest.mark.parametrize(("neck", "count"), [(0.75, 2), (0.6, 1), (0.3, 1)])
def test_weights_say_how_narrow_a_neck_parts(neck, count):
    """Peaks of 1 with 0.7 between them."""
    mask = np.zeros((20, 60), bool)
    mask[4:16, 4:56] = True
    distance = np.where(mask, 1, -1).astype(np.float32)
    distance[:, 28:32] = np.where(mask[:, 28:32], 0.7, -1)
    assert may_be_several(mask, distance, neck=neck) >= (count > 1)
    parts = parts_of(mask, distance, smallest_px=4, neck=neck)
    assert parts.max() == count
    labels = label_objects(mask, 0.01, distance=distance, neck=neck)
    assert labels.max() == count


@pytest.mark.parametrize("seed", range(20))
def test_the_quick_look_never_overlooks_what_would_part(seed):
    rng = np.random.default_rng(seed)
    distance = ndimage.gaussian_filter(rng.normal(0, 1, (40, 40)), 3)
    distance = (distance / np.abs(distance).max()).astype(np.float32)
    components, _ = ndimage.label(distance > -0.1, structure=np.ones((3, 3)))
    mask = components == 1
    for neck in (0.4, 0.6, 0.75, 0.9):
        parts = part_touching(mask.astype(np.int32), distance, smallest_px=0, neck=neck)
        if parts.max() > 1:
            assert may_be_several(mask, distance, neck=neck)


def test_doubtful_objects_are_dropped_by_their_mean_probability():
    mask = _disks((20, 20)) | _disks((20, 70))
    probability = mask * np.float32(0.9)
    probability[:, 45:] *= np.float32(2 / 3)
    kept = label_objects(mask, 0.01, probability=probability, least_mean=0.7)
    assert label_objects(mask, 0.01, probability=probability).max() == 2
    assert kept.max() == 1
    assert (kept[20, 20], kept[20, 70]) == (1, 0)
