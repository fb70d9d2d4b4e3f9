"""Object scores against numbers worked by hand and against plain loops."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.metrics import hausdorff_distance as skimage_hausdorff

from napari_segmoe.training.object_metrics import (
    hausdorff_distance,
    pool_objects,
    score_objects,
)


@pytest.fixture
def two_objects():
    """Truth: A (16 px), B (16 px). Prediction: A exact, B half, C (4 px) false."""
    truth = np.zeros((16, 16), int)
    truth[0:4, 0:4], truth[8:12, 0:4] = 3, 7
    predicted = np.zeros((16, 16), int)
    predicted[0:4, 0:4], predicted[8:12, 0:2], predicted[14:16, 14:16] = 1, 2, 9
    return predicted, truth


def _blobs(seed, level=0.15, size=64):
    noise = ndimage.gaussian_filter(
        np.random.default_rng(seed).normal(size=(size, size)), 3
    )
    return ndimage.label(noise > level * noise.max())[0]


def _shaken(labels, seed):
    """Shift, erode and drop: every kind of error."""
    rng = np.random.default_rng(seed)
    moved = np.roll(labels, rng.integers(-2, 3, 2), (0, 1))
    return ndimage.label((moved > 0) & (rng.random(labels.shape) > 0.02))[0]


def test_object_scores_worked_by_hand(two_objects):
    scores = score_objects(*two_objects)
    # B is covered by half, which is not more than half: TP 1, FP 2, FN 1.
    assert scores.f1 == pytest.approx(2 * 1 / (2 * 1 + 2 + 1))
    assert (scores.precision, scores.recall) == pytest.approx((1 / 3, 1 / 2))
    assert scores.pq == pytest.approx(1 / (1 + 2 / 2 + 1 / 2))
    assert (scores.sq, scores.rq) == pytest.approx((1, 0.4))
    # AJI: shared 16 and 8; unions 16 and 16, and 4 of the false object.
    assert scores.aji == pytest.approx(24 / 36)
    # Truth side: (1 + 2/3) / 2; predicted side: (16 * 1 + 8 * 2/3 + 4 * 0) / 28.
    truth_side, predicted_side = (1 + 2 / 3) / 2, (16 + 16 / 3) / 28
    assert scores.dice == pytest.approx((truth_side + predicted_side) / 2)


def test_object_hausdorff_worked_by_hand(two_objects):
    scores = score_objects(*two_objects, hausdorff=True)
    # A: 0, B: 2 columns are missing, C: nearest is B, (8, 0) to (14, 14).
    of_c = np.hypot(6, 14)
    truth_side, predicted_side = (0 + 2) / 2, (0 + 8 * 2 + 4 * of_c) / 28
    assert scores.hausdorff == pytest.approx((truth_side + predicted_side) / 2)


def test_a_hit_covers_more_than_half_of_the_truth_however_large_it_is_itself():
    truth = np.zeros((20, 20), int)
    truth[0:4, 0:4] = 1
    predicted = np.zeros_like(truth)
    predicted[0:20, 0:20] = 1
    scores = score_objects(predicted, truth)
    assert scores.f1 == 1  # as the challenge counts
    assert (scores.rq, scores.pq) == (0, 0)  # its IoU is 0.04
    assert scores.sq is None


def test_an_object_over_two_true_ones_is_one_hit():
    truth = np.zeros((8, 20), int)
    truth[:, 0:8], truth[:, 10:20] = 1, 2
    joined = (np.ones_like(truth)).astype(int)
    scores = score_objects(joined, truth)
    assert (scores.hits, scores.truth, scores.predicted) == (1, 2, 1)
    assert scores.f1 == pytest.approx(2 / 3)


def test_missed_objects_enlarge_the_union_of_aji():
    truth = np.zeros((8, 8), int)
    truth[0:2, 0:2], truth[4:8, 4:8] = 1, 2
    predicted = (truth == 1).astype(int)
    assert score_objects(predicted, truth).aji == pytest.approx(4 / (4 + 16))


def test_object_scores_do_not_depend_on_the_ids(two_objects):
    predicted, truth = two_objects
    assert score_objects(predicted * 5, truth * 11) == score_objects(predicted, truth)


def test_empty_images_agree_and_one_empty_does_not(two_objects):
    predicted, truth = two_objects
    empty = np.zeros_like(truth)
    both = score_objects(empty, empty, hausdorff=True)
    assert set(both.as_dict().values()) == {0, 1}
    assert both.hausdorff == 0
    for one in (
        score_objects(predicted, empty, hausdorff=True),
        score_objects(empty, truth, hausdorff=True),
    ):
        assert (one.f1, one.dice, one.aji, one.pq, one.rq) == (0, 0, 0, 0, 0)
        assert one.hausdorff is None
        assert one.sq is None


def test_images_of_other_shapes_are_refused(two_objects):
    with pytest.raises(ValueError, match="must be equal"):
        score_objects(two_objects[0], two_objects[1][:8])


@pytest.mark.parametrize("seed", range(4))
def test_scores_agree_with_plain_loops(seed):
    truth = _blobs(seed)
    predicted = _shaken(truth, seed)
    scores = score_objects(predicted, truth, hausdorff=True)
    hits, f1 = _loop_f1(predicted, truth)
    assert scores.hits == hits
    assert scores.f1 == pytest.approx(f1)
    assert scores.dice == pytest.approx(_loop_both_ways(predicted, truth, _dice))
    assert scores.hausdorff == pytest.approx(
        _loop_both_ways(predicted, truth, skimage_hausdorff, nearest=True)
    )
    sq, rq = _loop_panoptic(predicted, truth)
    assert (scores.sq, scores.rq) == pytest.approx((sq, rq))
    assert scores.pq == pytest.approx(sq * rq)


def test_pooling_takes_all_objects_of_the_set_as_one_image():
    first, second = _blobs(1), _blobs(2)
    answers = _shaken(first, 1), _shaken(second, 2)
    pooled = pool_objects(
        [
            score_objects(answers[0], first, hausdorff=True),
            score_objects(answers[1], second, hausdorff=True),
        ]
    )
    apart = np.zeros((64, 40), int)  # objects of one never near those of the other

    def joined(one, other):
        return np.hstack([one, apart, np.where(other, other + one.max(), 0)])

    whole = score_objects(joined(*answers), joined(first, second), hausdorff=True)
    for name, value in whole.as_dict().items():
        assert pooled.as_dict()[name] == pytest.approx(value), name


def test_a_pooled_distance_leaves_out_images_where_it_is_undefined(two_objects):
    predicted, truth = two_objects
    one = score_objects(predicted, truth, hausdorff=True)
    missed = score_objects(np.zeros_like(truth), truth, hausdorff=True)
    pooled = pool_objects([one, missed])
    assert pooled.hausdorff == pytest.approx(one.hausdorff)
    assert pooled.f1 == pytest.approx(2 / 7)
    assert pool_objects([]).f1 == 1


def test_the_distance_of_a_ring_and_a_disk_is_that_of_all_their_pixels():
    y, x = np.ogrid[-10:11, -10:11]
    disk = y**2 + x**2 <= 81
    ring = disk & (y**2 + x**2 >= 36)
    assert hausdorff_distance(disk, ring) == pytest.approx(6)  # the middle, to (0, 6)
    assert hausdorff_distance(disk, ring) == skimage_hausdorff(disk, ring)


def _ids(labels):
    return [number for number in np.unique(labels) if number]


def _partner(one, others):
    inside = others[one]
    inside = inside[inside > 0]
    return None if inside.size == 0 else np.bincount(inside).argmax()


def _dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def _loop_f1(predicted, truth):
    hits = 0
    for number in _ids(predicted):
        mask = predicted == number
        partner = _partner(mask, truth)
        if partner is not None:
            target = truth == partner
            hits += (mask & target).sum() / target.sum() > 0.5
    return hits, 2 * hits / (len(_ids(predicted)) + len(_ids(truth)))


def _loop_one_way(these, others, measure, nearest):
    total = 0.0
    for number in _ids(these):
        mask = these == number
        partner = _partner(mask, others)
        if partner is not None:
            value = measure(mask, others == partner)
        elif nearest:
            value = min(measure(mask, others == other) for other in _ids(others))
        else:
            value = 0.0
        total += mask.sum() * value
    return total / (these > 0).sum()


def _loop_both_ways(predicted, truth, measure, *, nearest=False):
    there = _loop_one_way(predicted, truth, measure, nearest)
    return (there + _loop_one_way(truth, predicted, measure, nearest)) / 2


def _loop_panoptic(predicted, truth):
    found = []
    for number in _ids(predicted):
        for other in _ids(truth):
            mask, target = predicted == number, truth == other
            iou = (mask & target).sum() / (mask | target).sum()
            found += [iou] if iou > 0.5 else []
    total = len(_ids(predicted)) + len(_ids(truth))
    return np.mean(found), 2 * len(found) / total
