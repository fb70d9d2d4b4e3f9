"""What is found at the weights' pixel size, on the image's own pixels."""

import numpy as np
import pytest

from napari_segmoe.data.frames import Found, OwnFrame, ScaledFrame, fold_at
from napari_segmoe.data.patches import Patch
from napari_segmoe.data.scaled_image import ScaledImage
from napari_segmoe.types import RegionProgress


def _frame(shape, step):
    return ScaledFrame(ScaledImage(np.zeros((*shape, 3), np.uint8), step))


def _disk(shape, centre, radius):
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(y - centre[0], x - centre[1]) <= radius


@pytest.mark.parametrize("step", [(0.5, 0.5), (1.6, 1.6), (4.0, 4.0), (2.0, 3.0)])
def test_an_object_keeps_place_and_area(step):
    shape = (240, 300)
    frame = _frame(shape, step)
    y, x = np.ogrid[: frame.shape[0], : frame.shape[1]]
    own_y, own_x = (y + 0.5) * step[0] - 0.5, (x + 0.5) * step[1] - 0.5
    away = np.hypot(own_y - 100, own_x - 150)
    probability = (1 / (1 + np.exp((away - 60) / 8))).astype(np.float32)
    found = Found(Patch(probability), Patch(probability > 0.5))
    own = frame.give(found, 0.5)
    mask = own.mask.on(shape)
    truth = _disk(shape, (100, 150), 60)
    assert mask.sum() == pytest.approx(truth.sum(), rel=0.02)
    assert (mask & truth).sum() / (mask | truth).sum() > 0.96
    assert ((own.probability.values > 0.5) == own.mask.values).all()


def test_an_outline_that_was_cut_stays_in_its_place():
    frame = _frame((200, 200), (4.0, 4.0))
    probability = np.full((50, 50), 0.9, np.float32)
    mask = np.zeros((50, 50), bool)
    mask[:, :25] = True  # the other half is locked, or another object
    own = frame.give(Found(Patch(probability), Patch(mask)), 0.5)
    columns = np.flatnonzero(own.mask.on((200, 200))[100])
    assert columns[-1] == pytest.approx(99, abs=1)


def test_folding_gives_back_the_mask_at_the_threshold(rng):
    probability = rng.random((40, 40)).astype(np.float32)
    mask = rng.random((40, 40)) > 0.5
    folded = fold_at(probability, mask, 0.5)
    assert ((folded > 0.5) == mask).all()
    agreeing = (probability > 0.5) == mask
    assert (folded[agreeing] == probability[agreeing]).all()


def test_taking_from_own_pixels_is_a_mean_over_area():
    frame = _frame((80, 80), (4.0, 4.0))
    own = np.zeros((80, 80), np.float32)
    own[8:12, 8:10] = 1
    taken = frame.take(own, (1, 1, 5, 5))
    assert taken[1, 1] == pytest.approx(0.5)
    assert taken.sum() == pytest.approx(0.5)
    assert (frame.take(own, (-3, -3, 0, 0)) == 0).all()


def test_boxes_hold_what_they_held():
    frame = _frame((100, 100), (1.6, 2.5))
    y0, x0, y1, x1 = frame.box((10, 10, 20, 20))
    assert y0 * 1.6 <= 10 <= 20 <= y1 * 1.6
    assert x0 * 2.5 <= 10 <= 20 <= x1 * 2.5


@pytest.mark.parametrize("step", [(0.5, 0.5), (1.6, 1.6), (4.0, 3.0)])
def test_ids_go_to_the_pixels_of_their_object(step):
    shape = (96, 120)
    frame = _frame(shape, step)
    own = np.zeros(shape, np.uint32)
    own[10:40, 10:50], own[50:90, 60:110] = 1, 2
    small = np.rint(frame.take((own == 1).astype(np.float32), (0, 0, *frame.shape)))
    small = small + 2 * np.rint(
        frame.take((own == 2).astype(np.float32), (0, 0, *frame.shape))
    )
    mask = own > 0
    found = frame.labels_to_own(small.astype(np.uint32), mask)
    assert ((found > 0) == mask).all()
    assert (found == own).mean() > 0.999


def test_progress_is_told_in_own_pixels():
    frame = _frame((64, 64), (2.0, 2.0))
    mask = np.zeros((8, 8), bool)
    mask[2, 3] = True
    told = frame.progress(RegionProgress(1, 4, None, (8, 16, 16, 24), mask))
    assert told.box == (16, 32, 32, 48)
    assert np.argwhere(told.mask).tolist() == [[4, 6], [4, 7], [5, 6], [5, 7]]
    without_part = RegionProgress(1, 4)
    assert frame.progress(without_part) is without_part


def test_the_own_frame_changes_nothing(rng):
    frame = OwnFrame((20, 20))
    own = rng.random((20, 20)).astype(np.float32)
    assert (frame.take(own, (3, 4, 8, 9)) == own[3:8, 4:9]).all()
    found = Found(Patch(own), Patch(own > 0.5))
    assert frame.give(found, 0.5) is found
    assert frame.box((1, 2, 3, 4)) == (1, 2, 3, 4)
