"""Mask scores against numbers worked by hand."""

import numpy as np
import pytest

from napari_segmoe.training.metrics import (
    Overlap,
    hausdorff95,
    label_components,
    measure_overlap,
    pool_overlaps,
    score_objects,
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


def test_hausdorff_of_boxes_shifted_by_five():
    assert hausdorff95(_box(5, 5, 15, 15), _box(5, 10, 15, 20)) == 5


def test_hausdorff_forgives_five_percent_of_the_outline():
    truth = _box(4, 4, 28, 28)
    spur = truth.copy()
    spur[0, 0] = True  # 1 of 93 border points, far away
    assert hausdorff95(spur, truth) == 0


def test_hausdorff_of_empty_masks():
    empty, full = _box(0, 0, 0, 0), _box(0, 0, 4, 4)
    assert hausdorff95(empty, empty) == 0
    assert hausdorff95(empty, full) is None
    assert hausdorff95(full, empty) is None


@pytest.fixture
def two_objects():
    """Truth: A (16 px), B (16 px). Prediction: A exact, B half, C (4 px) false."""
    truth = np.zeros((16, 16), int)
    truth[0:4, 0:4], truth[8:12, 0:4] = 3, 7
    predicted = np.zeros((16, 16), int)
    predicted[0:4, 0:4], predicted[8:12, 0:2], predicted[14:16, 14:16] = 1, 2, 9
    return predicted, truth


def test_object_scores_worked_by_hand(two_objects):
    scores = score_objects(*two_objects)
    # IoU: A 1, B 8/16 = 0.5, which is not above 0.5: TP 1, FP 2, FN 1.
    assert scores.f1 == pytest.approx(2 * 1 / (2 * 1 + 2 + 1))
    assert scores.pq == pytest.approx(1 / (1 + 2 / 2 + 1 / 2))
    # AJI: shared 16 and 8; unions 16 and 16, and 4 of the false object.
    assert scores.aji == pytest.approx(24 / 36)
    # Truth side: (1 + 2/3) / 2; predicted side: (16 * 1 + 8 * 2/3 + 4 * 0) / 28.
    truth_side, predicted_side = (1 + 2 / 3) / 2, (16 + 16 / 3) / 28
    assert scores.dice == pytest.approx((truth_side + predicted_side) / 2)


def test_missed_objects_enlarge_the_union_of_aji():
    truth = np.zeros((8, 8), int)
    truth[0:2, 0:2], truth[4:8, 4:8] = 1, 2
    predicted = (truth == 1).astype(int)
    assert score_objects(predicted, truth).aji == pytest.approx(4 / (4 + 16))


def test_object_scores_do_not_depend_on_the_ids(two_objects):
    predicted, truth = two_objects
    assert score_objects(predicted * 5, truth * 11) == score_objects(predicted, truth)


def test_object_scores_of_empty_images(two_objects):
    predicted, truth = two_objects
    empty = np.zeros_like(truth)
    assert score_objects(empty, empty).aji == 1
    assert score_objects(predicted, empty).f1 == 0
    assert score_objects(empty, truth).pq == 0


def test_components_touch_at_corners_and_small_ones_go():
    mask = np.zeros((8, 8), bool)
    mask[0, 0] = mask[1, 1] = True
    mask[5:8, 5:8] = True
    assert label_components(mask).max() == 2
    labels = label_components(mask, min_area_px=3)
    assert labels.max() == 1
    assert np.count_nonzero(labels) == 9
