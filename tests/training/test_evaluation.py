"""Scoring the automatic mode on a data folder."""

import json

import numpy as np
import pytest

from napari_segmoe.errors import DataFolderError, SegmoeError
from napari_segmoe.training.cases import choose_items, read_case
from napari_segmoe.training.evaluation import evaluate_folder
from napari_segmoe.training.evaluation_report import EvaluationOptions, summarise
from napari_segmoe.training.image_scores import ImageScores, score_image
from napari_segmoe.training.metrics import Overlap
from napari_segmoe.training.object_metrics import ObjectScores
from napari_segmoe.training.outline_metrics import OutlineScores


def _run(job):
    steps = []
    while True:
        try:
            steps.append(next(job))
        except StopIteration as stop:
            return stop.value, steps


def _scores(name="a", *, both=8, predicted=16, truth=16, class_name="benign", p=0.9):
    found = bool(predicted and truth)
    return ImageScores(
        name=name,
        group=name,
        class_name=class_name,
        has_truth=truth > 0,
        is_marked=predicted > 0,
        overlap=Overlap(both, predicted, truth),
        outline=OutlineScores(*((2.0, 1.0, 0.5) if found else (None, None, 0.0))),
        objects=ObjectScores(
            predicted=int(predicted > 0), truth=int(truth > 0), hits=int(both > 0)
        ),
        probabilities={"benign": p, "malignant": 1 - p},
    )


def _summary(scores):
    options = EvaluationOptions(resamples=50)
    return summarise(scores, ("benign", "malignant"), options=options)


def test_a_predictor_that_is_right_scores_one(brightness_predictor, bright_folder):
    report, steps = _run(
        evaluate_folder(brightness_predictor, bright_folder, resamples=50)
    )
    assert report["n"] == 3
    assert report["segmentation"]["dice"]["mean"] == 1
    assert report["segmentation"]["hd95"]["mean"] == 0
    assert report["segmentation"]["aji"]["mean"] == 1
    assert report["classification"]["accuracy"]["mean"] == 1
    assert report["classification"]["auc"]["mean"] == 1
    assert report["normal_images_marked"]["mean"] == 0
    assert [step.done for step in steps] == [1, 2, 3]
    assert json.loads(json.dumps(report)) == report


def test_splits_are_chosen_by_name(brightness_predictor, bright_folder):
    report, _ = _run(
        evaluate_folder(brightness_predictor, bright_folder, "test,train", resamples=20)
    )
    assert report["n"] == 6
    with pytest.raises(SegmoeError):
        choose_items(bright_folder, "absent")


def test_limit_and_table_of_images(brightness_predictor, bright_folder):
    report, _ = _run(
        evaluate_folder(brightness_predictor, bright_folder, limit=1, per_image=True)
    )
    assert [row["dice"] for row in report["images"]] == [1.0]
    assert report["images"][0]["p_benign"] == pytest.approx(0.9)


def test_classes_that_the_weights_do_not_know_give_no_class_figures(
    brightness_predictor, bright_folder
):
    labels = bright_folder / "labels.csv"
    labels.write_text(labels.read_text().replace(",benign,", ",lesion,"))
    report, _ = _run(evaluate_folder(brightness_predictor, bright_folder))
    assert report["classification"] is None
    assert report["segmentation"]["dice"]["mean"] == 1


def test_an_image_without_mask_is_an_error(brightness_predictor, bright_folder):
    (bright_folder / "masks" / "benign_0.png").unlink()
    with pytest.raises(DataFolderError, match="mask"):
        _run(evaluate_folder(brightness_predictor, bright_folder))


def test_mean_is_over_images_with_an_object_and_pooling_over_pixels():
    scores = [
        _scores("a", both=8, predicted=16, truth=16),
        _scores("b", both=100, predicted=100, truth=100),
        _scores("c", both=0, predicted=0, truth=0),
    ]
    figures = _summary(scores)
    assert figures["segmentation"]["dice"]["mean"] == pytest.approx(0.75)
    assert figures["segmentation"]["dice_pooled"] == pytest.approx(216 / 232)
    assert figures["all_images"]["dice"]["mean"] == pytest.approx((0.5 + 1 + 1) / 3)


def test_pooled_objects_count_alike_and_false_ones_of_normal_images_count():
    scores = [
        _scores("a"),
        _scores("b", both=0, predicted=0),
        _scores("c", both=0, truth=0),
    ]
    report = _summary(scores)
    assert report["segmentation"]["object_f1"]["mean"] == 0.5
    pooled = report["pooled"]
    assert pooled["object_f1"]["mean"] == pytest.approx(2 * 1 / (2 + 2))
    assert (pooled["objects"], pooled["objects_found"]) == (2, 2)
    assert pooled["dice"]["mean"] == pytest.approx(2 * 8 / (32 + 32))
    assert pooled["object_f1"]["low"] <= 0.5 <= pooled["object_f1"]["high"]


def test_marked_normal_images_are_a_fraction():
    normal = [
        _scores(str(index), both=0, predicted=marked, truth=0)
        for index, marked in enumerate((0, 0, 0, 5))
    ]
    figures = _summary(normal)
    assert figures["normal_images_marked"]["mean"] == 0.25
    assert figures["segmentation"]["dice"]["mean"] is None


def test_missed_lesions_leave_the_distance_undefined_and_are_counted():
    scores = [_scores("a"), _scores("b", both=0, predicted=0)]
    figures = _summary(scores)["segmentation"]
    assert figures["hd95"]["mean"] == 2
    assert figures["hd95_undefined"] == 1
    assert figures["undefined"] == {"hd95": 1, "asd": 1, "object_hausdorff": 2, "sq": 2}
    assert figures["dice"]["mean"] == 0.25


def test_class_figures_and_confusion():
    scores = [
        _scores("a", p=0.9),
        _scores("b", p=0.8, class_name="malignant"),
        _scores("c", p=0.2, class_name="malignant"),
    ]
    figures = _summary(scores)["classification"]
    assert figures["accuracy"]["mean"] == pytest.approx(2 / 3)
    assert figures["balanced_accuracy"]["mean"] == pytest.approx(3 / 4)
    assert figures["auc"]["mean"] == 1
    assert figures["confusion"] == [[1, 0], [1, 1]]
    assert figures["withheld"] == 0


def test_another_threshold_on_the_card_does_not_change_the_figures(
    brightness_predictor, bright_folder
):
    folder, items = choose_items(bright_folder, "test")
    case = read_case(items[0], folder.mask_kind)
    brightness_predictor.card = brightness_predictor.card.model_copy(
        update={"mask_threshold": 0.9}
    )
    answer = brightness_predictor.predict
    brightness_predictor.predict = lambda: _halved(answer())
    assert score_image(brightness_predictor, case).overlap.dice == 1


def _halved(prediction):
    """Everything at probability 0.6: marked at 0.5, not at the card's 0.9."""
    from dataclasses import replace

    probability = (prediction.mask * 0.6).astype(np.float32)
    nothing = np.zeros_like(prediction.mask)
    return replace(prediction, probability=probability, mask=nothing)
