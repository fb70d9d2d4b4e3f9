"""Class scores against numbers worked by hand."""

import numpy as np
import pytest
from scipy.special import softmax

from napari_segmoe.training.class_metrics import (
    accuracy,
    accuracy_at_coverage,
    auc,
    balanced_accuracy,
    binary_auc,
    brier_score,
    expected_calibration_error,
    fit_temperature,
    macro_f1,
)

PROBABILITIES = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]])
TRUTH = np.array([0, 1, 1, 0])


def test_accuracy_and_f1():
    assert accuracy(PROBABILITIES, TRUTH) == 0.5
    # class 0: TP 1, FP 1, FN 1 -> 0.5; class 1 the same.
    assert macro_f1(PROBABILITIES, TRUTH) == 0.5
    assert np.isnan(accuracy(np.zeros((0, 2)), np.zeros(0, int)))


def test_auc_counts_the_pairs_in_order():
    # positives .4, .7; negatives .1, .8: won 1 + 1 of 4.
    assert auc(PROBABILITIES, TRUTH) == 0.5
    assert binary_auc(np.array([0.1, 0.2, 0.3]), np.array([False, True, True])) == 1


def test_a_tie_counts_one_half():
    assert binary_auc(np.array([0.5, 0.5]), np.array([False, True])) == 0.5


def test_auc_of_one_class_is_undefined():
    assert np.isnan(binary_auc(np.array([0.5, 0.6]), np.array([True, True])))
    assert np.isnan(auc(np.eye(3), np.zeros(3, int)))


def test_macro_auc_averages_one_against_the_rest():
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.3, 0.5], [0.1, 0.6, 0.3]])
    # class 0: 1; class 1: .3 against .1, .6 -> 1/2; class 2: .3 against .1, .5 -> 1/2
    assert auc(probabilities, np.array([0, 1, 2])) == pytest.approx((1 + 0.5 + 0.5) / 3)


def test_calibration_error_of_overconfident_answers():
    probabilities = np.tile([0.9, 0.1], (4, 1))
    # one bin: confidence 0.9, accuracy 0.5
    error = expected_calibration_error(probabilities, np.array([0, 0, 1, 1]))
    assert error == pytest.approx(0.4)


def test_calibration_error_weighs_its_bins():
    probabilities = np.array([[1.0, 0.0], [1.0, 0.0], [0.6, 0.4]])
    # bin of 1.0: right 2 of 2, gap 0; bin of 0.6: wrong, gap 0.6, weight 1/3
    error = expected_calibration_error(probabilities, np.array([0, 0, 1]), bins=10)
    assert error == pytest.approx(0.2)


def test_brier_score():
    # Row one is 0.1 off on both sides, row two 0.6.
    score = brier_score(PROBABILITIES[:2], TRUTH[:2])
    assert score == pytest.approx((0.02 + 0.72) / 2)


def test_coverage_keeps_the_most_confident():
    truth = np.array([0, 1, 1, 1])
    result = accuracy_at_coverage(PROBABILITIES, truth, (1.0, 0.5))
    assert result == {"100": 0.75, "50": 1.0}


def test_temperature_undoes_a_known_sharpening():
    rng = np.random.default_rng(0)
    honest = rng.normal(size=(4000, 3)) * 1.5
    draws = rng.random((4000, 1))
    truth = (softmax(honest, axis=1).cumsum(1) < draws).sum(1)
    assert fit_temperature(3 * honest, truth) == pytest.approx(3, rel=0.1)


def test_temperature_without_data_is_one():
    assert fit_temperature(np.zeros((0, 2)), np.zeros(0, int)) == 1


def test_balanced_accuracy_counts_every_class_alike():
    probabilities = np.eye(2)[[0, 0, 0, 0, 1, 0]]
    truth = np.array([0, 0, 0, 0, 1, 1])
    assert balanced_accuracy(probabilities, truth) == pytest.approx((1 + 0.5) / 2)
    assert np.isnan(balanced_accuracy(np.zeros((0, 2)), np.zeros(0, int)))


def test_class_scores_are_those_of_torchmetrics(rng):
    functional = pytest.importorskip("torchmetrics.functional.classification")
    torch = pytest.importorskip("torch")
    probabilities = softmax(rng.normal(size=(60, 3)), axis=1)
    truth = rng.integers(0, 3, 60)
    pair = torch.from_numpy(probabilities), torch.from_numpy(truth)
    three = {"num_classes": 3, "average": "macro"}
    expected = {
        accuracy: functional.multiclass_accuracy(*pair, num_classes=3, average="micro"),
        balanced_accuracy: functional.multiclass_accuracy(*pair, **three),
        macro_f1: functional.multiclass_f1_score(*pair, **three),
        auc: functional.multiclass_auroc(*pair, **three),
        expected_calibration_error: functional.multiclass_calibration_error(
            *pair, num_classes=3, n_bins=15, norm="l1"
        ),
    }
    for ours, theirs in expected.items():
        assert ours(probabilities, truth) == pytest.approx(float(theirs), abs=1e-5)
