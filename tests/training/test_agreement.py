"""Objects against a truth that is a label image."""

import numpy as np
import pytest

from napari_segmoe.data.masks import MaskKind
from napari_segmoe.training.agreement import (
    BOTH,
    ONLY_FOUND,
    ONLY_TRUE,
    Truth,
    kind_of_labels,
    measure_agreement,
    report_class_pairs,
)


@pytest.fixture
def truth():
    labels = np.zeros((40, 40), np.uint32)
    labels[2:12, 2:12] = 1
    labels[20:30, 20:30] = 2
    return labels


def compare(found, truth, *, kind=None, true_classes=None, **options):
    options = {"class_of": {}, **options}
    held = Truth(truth, kind, true_classes)
    return measure_agreement("scan", found, held, **options)


def test_the_truth_itself_agrees_in_everything(truth):
    scores = compare(truth, truth).scores.figures()
    for name in ("dice", "iou", "pq", "sq", "rq", "aji", "object_f1"):
        assert scores[name] == pytest.approx(1), name
    assert scores["hd95"] == 0


def test_worked_by_hand_half_an_object(truth):
    found = np.zeros_like(truth)
    found[2:12, 2:12] = 7  # one of two objects, and nothing else
    scores = compare(found, truth).scores.figures()
    assert scores["dice"] == pytest.approx(2 * 100 / 300)
    assert scores["iou"] == pytest.approx(0.5)
    assert scores["rq"] == pytest.approx(1 / 1.5)
    assert scores["sq"] == pytest.approx(1)
    assert scores["aji"] == pytest.approx(100 / 200)


def test_a_shift_is_told_in_pixels_and_in_micrometres(truth):
    found = np.roll(truth, 2, axis=1)
    scores = compare(found, truth, spacing_um=(0.5, 0.5)).scores.figures()
    assert scores["hd95"] == pytest.approx(2)
    assert scores["hd95_um"] == pytest.approx(1)


def test_the_overlay_tells_hits_false_alarms_and_misses(truth):
    found = np.roll(truth, 3, axis=0)
    overlay = compare(found, truth).overlay
    assert overlay.dtype == np.uint8
    assert overlay[8, 5] == BOTH
    assert overlay[13, 5] == ONLY_FOUND
    assert overlay[3, 5] == ONLY_TRUE
    assert overlay[0, 0] == 0


def test_classes_of_objects_are_compared_where_both_tell_them(truth):
    agreement = compare(
        truth,
        truth,
        kind=MaskKind.INSTANCES,
        true_classes={1: "benign", 2: "malignant"},
        class_of={1: "benign", 2: "benign"},
    )
    assert sorted(agreement.pairs) == [("benign", "benign"), ("benign", "malignant")]
    assert agreement.classes["benign"].dice == pytest.approx(2 * 100 / 300)
    assert agreement.classes["malignant"].dice == 0
    report = report_class_pairs(agreement.pairs)
    assert report["accuracy"] == 0.5
    assert report["confusion"] == [[1, 0], [1, 0]]
    assert report["f1"] == pytest.approx((2 / 3 + 0) / 2)


def test_without_classes_on_one_side_none_are_compared(truth):
    agreement = compare(truth, truth, class_of={1: "benign"})
    assert agreement.classes == {}
    assert report_class_pairs(agreement.pairs) is None


def test_values_that_are_classes_make_an_object_of_each_piece(truth):
    truth[truth == 2] = 1
    truth[32:38, 2:8] = 2
    found = np.zeros_like(truth)
    found[2:12, 2:12], found[20:30, 20:30], found[32:38, 2:8] = 4, 5, 6
    agreement = compare(
        found,
        truth,
        kind=MaskKind.SEMANTIC,
        true_classes={1: "gland", 2: "gap"},
        class_of={4: "gland", 5: "gland", 6: "gland"},
    )
    assert agreement.scores.objects.truth == 3
    assert agreement.scores.figures()["pq"] == pytest.approx(1)
    assert sorted(agreement.pairs)[0] == ("gland", "gap")


def test_ids_with_gaps_are_still_objects(truth):
    truth[truth == 2] = 9  # 2 to 8 were deleted
    assert kind_of_labels(truth) is MaskKind.INSTANCES
    assert kind_of_labels((truth > 0) * 255) is MaskKind.BINARY
    scattered = np.zeros((40, 40), np.uint32)
    scattered[::4, ::4], scattered[2::4, 2::4] = 1, 3
    assert kind_of_labels(scattered) is MaskKind.SEMANTIC


def test_a_truth_of_another_size_is_refused(truth):
    with pytest.raises(ValueError, match="choose a truth of the same image"):
        compare(truth[:20], truth)
