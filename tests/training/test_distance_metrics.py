"""Agreement of a predicted distance with the true one."""

import numpy as np
import pytest
from scipy import stats

from napari_segmoe.data.targets import clipped_distance_px
from napari_segmoe.training.distance_metrics import rank_correlation, score_distance


@pytest.fixture
def objects():
    ids = np.zeros((40, 40), int)
    ids[4:20, 4:20], ids[20:36, 4:20] = 1, 2  # they touch
    return ids


def test_the_true_distance_agrees_whatever_its_scale(objects):
    true = clipped_distance_px(objects, limit_px=1e6, per_instance=True)
    for scaled in (true, true / 300, np.tanh(true / 10)):
        scores = score_distance(scaled, objects)
        assert scores.sign == 1
        assert scores.rank == pytest.approx(1, abs=2e-3)  # tanh makes some equal


def test_the_opposite_disagrees_everywhere(objects):
    true = clipped_distance_px(objects, limit_px=1e6, per_instance=True)
    scores = score_distance(-true, objects)
    assert scores.sign == 0
    assert scores.rank == pytest.approx(-1)


def test_saying_inside_everywhere_is_right_on_the_inside_only(objects):
    inside = (objects > 0).sum()
    edge = (clipped_distance_px(objects, limit_px=9, per_instance=True) == 0).sum()
    scores = score_distance(np.ones(objects.shape), objects)
    assert scores.sign == pytest.approx((inside - edge) / (1600 - edge))
    assert scores.rank is None


def test_a_distance_that_forgets_the_edge_between_objects_ranks_lower(objects):
    joined = clipped_distance_px(objects > 0, limit_px=1e6)
    assert score_distance(joined, objects).rank < 0.999


def test_an_image_without_objects_has_a_sign_and_no_rank():
    scores = score_distance(np.full((8, 8), -0.5), np.zeros((8, 8), int))
    assert (scores.sign, scores.rank) == (1, None)


def test_rank_correlation_is_spearmans_also_with_ties(rng):
    first = rng.integers(0, 5, 200)
    second = first + rng.integers(0, 4, 200)
    expected = stats.spearmanr(first, second).statistic
    assert rank_correlation(first, second) == pytest.approx(expected)
