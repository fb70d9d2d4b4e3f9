"""Mask scores against numbers worked by hand."""

import numpy as np
import pytest

from napari_segmoe.training.metrics import (
    Overlap,
    measure_overlap,
    pool_overlaps,
)


def _box(y0, x0, y1, x1, size=32):
    mask = np.zeros((size, size), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_overlap_of_two_shifted_boxes():
    overlap = measure_overlap(_box(0, 0, 4, 4), _box(0, 2, 4, 6))
    assert overlap == Overlap(both=8, predicted=16, truth=16)
    assert overlap.dice == 0.5
    assert overlap.iou == pytest.approx(8 / 24)


def test_two_empty_masks_agree_and_one_empty_does_not():
    empty, full = _box(0, 0, 0, 0), _box(0, 0, 4, 4)
    assert (measure_overlap(empty, empty).dice, measure_overlap(empty, empty).iou) == (
        1,
        1,
    )
    assert (measure_overlap(full, empty).dice, measure_overlap(empty, full).iou) == (
        0,
        0,
    )


def test_overlap_refuses_other_shapes():
    with pytest.raises(ValueError, match="must be equal"):
        measure_overlap(_box(0, 0, 1, 1), _box(0, 0, 1, 1, size=16))


def test_pooling_adds_pixels_so_that_large_images_weigh_more():
    pooled = pool_overlaps([Overlap(1, 2, 2), Overlap(100, 100, 100)])
    assert pooled.dice == pytest.approx(202 / 204)
    assert pool_overlaps([]).dice == 1


def test_precision_and_recall():
    overlap = measure_overlap(_box(0, 0, 4, 4), _box(0, 0, 4, 8))
    assert (overlap.precision, overlap.recall) == (1.0, 0.5)
    assert (Overlap(0, 0, 0).precision, Overlap(0, 0, 0).recall) == (1, 1)
    assert (Overlap(0, 0, 5).precision, Overlap(0, 5, 0).recall) == (0, 0)
