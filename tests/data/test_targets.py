"""Distance and boundary targets: worked cases, and properties of random masks."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.morphology import dilation, disk
from skimage.segmentation import find_boundaries

from napari_segmoe.data.targets import (
    boundary_ring,
    clipped_distance_px,
    signed_distance,
)

EMPTY, FULL = np.zeros((6, 9), bool), np.ones((6, 9), bool)


def _pixel():
    mask = np.zeros((5, 7), bool)
    mask[2, 3] = True
    return mask


def _blobs(seed, *, shape=(40, 52)):
    """Return the ids of some smooth random objects, some of them touching."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), 3)
    parts, _ = ndimage.label(smooth > np.quantile(smooth, 0.6))
    return parts * 2 - (parts > 0) * (np.arange(shape[1]) > shape[1] // 2)


def _touching():
    """Return two glands of 5 x 5 px side by side."""
    ids = np.zeros((9, 14), np.uint16)
    ids[2:7, 2:7] = 5
    ids[2:7, 7:12] = 9
    return ids


many = pytest.mark.parametrize("seed", range(12))


def test_a_row_worked_by_hand():
    # p = 0 0 1 2 1 0 0 0, largest 2; q = 2 1 0 0 0 1 2 3, largest 3.
    row = np.array([[0, 0, 1, 1, 1, 0, 0, 0]])
    expected = [[-2 / 3, -1 / 3, 0, 1, 0, -1 / 3, -2 / 3, -1]]
    np.testing.assert_allclose(signed_distance(row), expected, rtol=1e-6)


def test_a_square_worked_by_hand():
    mask = np.zeros((7, 7), bool)
    mask[1:6, 1:6] = True
    found = signed_distance(mask)
    # Depths 1, 2, 3 of the square: edge, ring, centre.
    assert found[3, 3] == 1
    assert found[2, 2] == pytest.approx(2 / 3)
    assert found[1, 1] == 0
    # Only the image's border is outside; its corners are the farthest.
    assert found[0, 0] == -1
    assert found[0, 3] == pytest.approx(-1 / np.sqrt(2))


@many
def test_the_distance_has_the_mask_s_sign_and_its_boundary_as_zero_set(seed):
    mask = _blobs(seed) > 0
    found = signed_distance(mask)
    inner = find_boundaries(mask, mode="inner")
    assert found.dtype == np.float32
    assert (found == 0).tolist() == inner.tolist()
    assert (found[mask & ~inner] > 0).all()
    assert (found[~mask] < 0).all()


@many
def test_the_distance_ends_at_one_and_minus_one(seed):
    found = signed_distance(_blobs(seed))
    assert found.max() == 1
    assert found.min() == -1


@many
def test_the_distance_is_the_reference_s_formula(seed):
    mask = _blobs(seed) > 0
    inside = ndimage.distance_transform_edt(mask)
    outside = ndimage.distance_transform_edt(~mask)
    expected = inside / inside.max() - outside / outside.max()
    expected[find_boundaries(mask, mode="inner")] = 0
    np.testing.assert_allclose(signed_distance(mask), expected, atol=1e-6)


def test_an_empty_mask_is_all_outside():
    assert (signed_distance(EMPTY) == -1).all()
    assert (clipped_distance_px(EMPTY, limit_px=4) == -4).all()
    assert not boundary_ring(EMPTY).any()


@pytest.mark.parametrize("per_instance", [False, True])
def test_a_full_mask_is_all_inside(per_instance):
    assert (signed_distance(FULL, per_instance=per_instance) == 1).all()
    clipped = clipped_distance_px(FULL, limit_px=4, per_instance=per_instance)
    assert (clipped == 4).all()
    assert not boundary_ring(FULL, per_instance=per_instance).any()


def test_a_single_pixel_is_its_own_boundary():
    found = signed_distance(_pixel())
    assert found[2, 3] == 0
    assert (found[~_pixel()] < 0).all()
    assert found.min() == -1
    assert clipped_distance_px(_pixel())[2, 3] == 0
    assert boundary_ring(_pixel()).sum() == 12


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (5, 1)])
@pytest.mark.parametrize("value", [0, 1])
def test_tiny_images_are_finite(shape, value):
    ids = np.full(shape, value)
    for made in (signed_distance(ids), clipped_distance_px(ids), boundary_ring(ids)):
        assert made.shape == shape
        assert np.isfinite(made).all()


def test_two_covering_instances_leave_no_outside():
    ids = np.ones((4, 6), int)
    ids[:, 3:] = 2
    # Depths 3 2 1 | 1 2 3 of each half; the touching columns are boundary.
    expected = [[1, 2 / 3, 0, 0, 2 / 3, 1]] * 4
    np.testing.assert_allclose(signed_distance(ids, per_instance=True), expected)


def test_the_distance_falls_to_zero_between_touching_glands():
    merged = signed_distance(_touching())
    apart = signed_distance(_touching(), per_instance=True)
    assert (merged[3:6, 6:8] > 0).all()
    assert (apart[2:7, 6:8] == 0).all()
    assert apart[4, 4] == apart[4, 9] == 1


@many
def test_instances_are_measured_as_if_alone(seed):
    ids = _blobs(seed)
    found = clipped_distance_px(ids, limit_px=50, per_instance=True)
    for number in np.unique(ids[ids > 0]):
        alone = clipped_distance_px(ids == number, limit_px=50)
        np.testing.assert_allclose(found[ids == number], alone[ids == number])


def test_a_clipped_row_worked_by_hand():
    row = np.array([[0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]])
    expected = [[-3, -3, -2, -1, 0, 1, 2, 3, 3, 3, 3]]
    assert clipped_distance_px(row, limit_px=3).tolist() == expected


@many
def test_the_clipped_distance_stays_in_its_range_and_has_the_same_signs(seed):
    ids = _blobs(seed)
    found = clipped_distance_px(ids, limit_px=5)
    assert np.abs(found).max() <= 5
    assert np.array_equal(np.sign(found), np.sign(signed_distance(ids)))


def test_the_clipped_distance_does_not_depend_on_what_is_far():
    ids = np.zeros((20, 60), int)
    ids[5:9, 5:9] = 1
    before = clipped_distance_px(ids, limit_px=4)
    ids[:, 40:] = 2
    after = clipped_distance_px(ids, limit_px=4)
    assert np.array_equal(before[:, :30], after[:, :30])


def test_the_ring_of_a_pixel_is_a_disk_without_its_centre():
    ring = boundary_ring(_pixel()).astype(int)
    assert ring.tolist() == [
        [0, 0, 0, 1, 0, 0, 0],
        [0, 0, 1, 1, 1, 0, 0],
        [0, 1, 1, 0, 1, 1, 0],
        [0, 0, 1, 1, 1, 0, 0],
        [0, 0, 0, 1, 0, 0, 0],
    ]


@many
@pytest.mark.parametrize("radius_px", [1, 2, 4])
def test_the_ring_is_what_dilation_adds(seed, radius_px):
    mask = _blobs(seed) > 0
    ring = boundary_ring(mask, radius_px=radius_px)
    assert not (ring & mask).any()
    assert np.array_equal(ring, dilation(mask, disk(radius_px)) & ~mask)


@many
def test_the_ring_per_instance_is_the_union_of_each_object_s_ring(seed):
    ids = _blobs(seed)
    expected = np.zeros(ids.shape, bool)
    for number in np.unique(ids[ids > 0]):
        expected |= boundary_ring(ids == number)
    assert np.array_equal(boundary_ring(ids, per_instance=True), expected)


def test_only_the_ring_per_instance_separates_touching_glands():
    merged = boundary_ring(_touching())
    apart = boundary_ring(_touching(), per_instance=True)
    assert not merged[2:7, 2:12].any()
    assert apart[2:7, 5:9].all()
    assert not apart[3:6, 2:5].any()
    _, count = ndimage.label((_touching() > 0) & ~apart)
    assert count == 2


def test_ids_may_be_large_and_have_gaps():
    small, large = _touching().astype(np.uint32), _touching().astype(np.uint32)
    large[large == 9] = 4_000_000_000
    for make in (signed_distance, clipped_distance_px, boundary_ring):
        one, other = make(small, per_instance=True), make(large, per_instance=True)
        assert np.array_equal(one, other)


@pytest.mark.parametrize("make", [signed_distance, clipped_distance_px, boundary_ring])
@pytest.mark.parametrize(
    "labels", [np.zeros((3, 3)), np.zeros((1, 3, 3), bool), np.zeros((0, 4), int)]
)
def test_anything_but_a_map_of_ids_is_refused(make, labels):
    with pytest.raises(ValueError, match=r"integer ids of shape \(H, W\)"):
        make(labels)


@pytest.mark.parametrize("limit_px", [0, -3, np.nan])
def test_a_limit_must_be_positive(limit_px):
    with pytest.raises(ValueError, match="must be positive"):
        clipped_distance_px(FULL, limit_px=limit_px)


def test_a_ring_has_a_width():
    with pytest.raises(ValueError, match="at least 1"):
        boundary_ring(FULL, radius_px=0)
