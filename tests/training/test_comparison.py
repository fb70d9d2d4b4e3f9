"""Two weights on the same images."""

import numpy as np
import pytest
from scipy import stats

from napari_segmoe.training.comparison import (
    compare_evaluations,
    image_differences,
    pooled_differences,
    signed_rank_p,
)
from napari_segmoe.training.evaluation import score_folder
from napari_segmoe.training.evaluation_report import EvaluationOptions
from napari_segmoe.training.image_scores import ImageScores
from napari_segmoe.training.metrics import Overlap
from napari_segmoe.training.object_metrics import ObjectScores
from napari_segmoe.training.outline_metrics import OutlineScores

DRAWS = {"resamples": 200, "seed": 0}


def _image(both, *, name="a", truth=100, right=True, hd95=1.0):
    return ImageScores(
        name=name,
        group=name,
        class_name="benign",
        has_truth=truth > 0,
        is_marked=True,
        overlap=Overlap(both, 100, truth),
        outline=OutlineScores(hd95, hd95, 1.0),
        objects=ObjectScores(predicted=1, truth=1, hits=float(both > 50)),
        probabilities={"benign": 0.9 if right else 0.1, "malignant": 0.5},
    )


def _set(counts, **more):
    return [_image(both, name=str(k), **more) for k, both in enumerate(counts)]


def test_the_difference_is_the_first_less_the_second_image_by_image():
    first, second = _set([90, 80, 70, 60]), _set([80, 75, 71, 40])
    found = image_differences(first, second, DRAWS)["dice"]
    differences = np.array([0.10, 0.05, -0.01, 0.20])
    assert found["mean"] == pytest.approx(differences.mean())
    assert found["low"] < found["mean"] < found["high"]
    assert found["n"] == 4
    assert found["p"] == pytest.approx(stats.wilcoxon(differences).pvalue)


def test_the_interval_is_that_of_pairs_and_so_narrower_than_of_each():
    rng = np.random.default_rng(0)
    counts = rng.integers(10, 90, 40)
    found = image_differences(_set(counts + 5), _set(counts), DRAWS)["dice"]
    assert (found["low"], found["high"]) == pytest.approx((0.05, 0.05))
    assert found["p"] < 1e-6


def test_equal_weights_do_not_differ():
    first = _set([90, 80])
    found = image_differences(first, first, DRAWS)
    assert found["dice"] == {"mean": 0, "low": 0, "high": 0, "p": None, "n": 2}
    assert signed_rank_p(np.zeros(5)) is None


def test_images_where_one_is_undefined_and_empty_images_do_not_count():
    first = [*_set([90, 80]), _image(0, name="n", truth=0)]
    second = [_image(90, name="0", hd95=None), *first[1:]]
    found = image_differences(first, second, DRAWS)
    assert (found["dice"]["n"], found["hd95"]["n"]) == (2, 1)
    assert found["accuracy"]["n"] == 3


def test_right_answers_are_compared_where_both_know_the_class():
    first, second = _set([90, 90, 90]), _set([90, 90, 90], right=False)
    assert image_differences(first, second, DRAWS)["accuracy"]["mean"] == 1


def test_pooled_scores_are_compared_over_all_images():
    first, second = _set([90, 80, 60]), _set([90, 40, 30])
    found = pooled_differences(first, second, DRAWS)
    assert found["object_f1"]["mean"] == pytest.approx(1 - 1 / 3)
    assert found["dice"]["mean"] == pytest.approx((230 - 160) / 300)
    assert "object_hausdorff" not in found  # never measured here


def test_two_evaluations_of_other_images_are_refused(
    brightness_predictor, bright_folder
):
    options = EvaluationOptions(resamples=10)
    whole, part = (
        _finish(score_folder(brightness_predictor, bright_folder, "test", one))
        for one in (options, EvaluationOptions(resamples=10, limit=1))
    )
    report = compare_evaluations(whole, whole, DRAWS)
    assert report["compared"] == "brightness less brightness"
    assert report["weights"]["n"] == report["against"]["n"] == 3
    with pytest.raises(ValueError, match="same images"):
        compare_evaluations(whole, part, DRAWS)


def _finish(job):
    while True:
        try:
            next(job)
        except StopIteration as end:
            return end.value
