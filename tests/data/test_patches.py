import numpy as np
import pytest

from napari_segmoe.data.patches import Patch, clip_box, cut, mask_box


@pytest.fixture
def full(rng):
    return rng.random((9, 7)).astype(np.float32)


@pytest.mark.parametrize(
    "box",
    [(0, 0, 9, 7), (2, 3, 5, 6), (-2, -3, 4, 9), (8, 6, 12, 11), (20, 20, 22, 21)],
)
def test_a_cut_holds_the_array_where_it_is_and_zero_elsewhere(full, box):
    y0, x0, y1, x1 = box
    padded = np.pad(full, 30)
    expected = padded[y0 + 30 : y1 + 30, x0 + 30 : x1 + 30]
    assert (cut(full, box) == expected).all()


def test_a_patch_is_cut_in_the_images_own_coordinates(full):
    patch = Patch(full[2:6, 1:5], 2, 1)
    assert patch.box == (2, 1, 6, 5)
    assert (patch.cut((3, 2, 5, 4)) == full[3:5, 2:4]).all()
    whole = patch.on(full.shape)
    assert (whole[2:6, 1:5] == full[2:6, 1:5]).all()
    assert np.count_nonzero(whole) == 16


def test_what_reaches_beyond_the_image_is_left_out(full):
    whole = Patch(np.ones((4, 4)), -2, 5).on(full.shape)
    assert np.argwhere(whole).tolist() == [[0, 5], [0, 6], [1, 5], [1, 6]]


def test_a_part_written_onto_a_patch_enlarges_it():
    patch = Patch(np.ones((2, 2)), 4, 4)
    joined = patch.with_part(Patch(np.full((1, 2), 5.0), 5, 5))
    assert joined.box == (4, 4, 6, 7)
    assert joined.values.tolist() == [[1, 1, 0], [1, 5, 5]]
    assert (patch.values == 1).all()


def test_a_part_inside_is_written_in_place():
    patch = Patch(np.ones((4, 4)), 10, 10)
    joined = patch.with_part(Patch(np.zeros((2, 2)), 11, 11))
    assert joined.box == patch.box
    assert patch.values.sum() == 12


def test_a_clipped_box_never_turns_inside_out():
    assert clip_box((-5, 2, 3, 50), (10, 10)) == (0, 2, 3, 10)
    y0, x0, y1, x1 = clip_box((20, 20, 30, 30), (10, 10))
    assert y0 == y1
    assert x0 == x1


def test_the_box_of_a_mask(full):
    mask = np.zeros((9, 7), bool)
    assert mask_box(mask) is None
    mask[2, 5] = mask[6, 1] = True
    assert mask_box(mask) == (2, 1, 7, 6)
