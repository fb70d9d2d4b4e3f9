"""Scoring the interactive mode with simulated clicks."""

import json

import numpy as np
import pytest

from napari_segmoe.data.click_simulation import next_click
from napari_segmoe.training.click_evaluation import (
    Clicker,
    ClickOptions,
    ObjectRun,
    click_object,
    evaluate_clicks,
    find_tissue,
)
from napari_segmoe.training.click_report import (
    ClickReportOptions,
    clicks_to_reach,
    score_after,
    summarise_clicks,
)
from napari_segmoe.types import Prediction

QUICK = ClickOptions(max_clicks=20, resamples=50)


def _run(job):
    while True:
        try:
            next(job)
        except StopIteration as stop:
            return stop.value


def _truth():
    truth = np.zeros((40, 40), bool)
    truth[10:30, 10:30] = True
    return truth


class _Growing:
    """Marks ``rows_per_click`` more rows of the truth at each click."""

    def __init__(self, truth, rows_per_click):
        self.truth, self.rows_per_click = truth, rows_per_click
        self.previous = []

    def predict(self, clicks=(), *, previous=None):
        self.previous.append(previous)
        mask = self.truth.copy()
        mask[10 + self.rows_per_click * len(clicks) :] = False
        return Prediction(mask, mask.astype(np.float32), mask.astype(np.uint32))


def test_clicking_goes_on_until_the_object_is_perfect():
    predictor = _Growing(_truth(), rows_per_click=5)
    scores, answers, seconds = click_object(
        predictor, _truth(), click_next=next_click, max_clicks=20
    )
    assert scores == [0.25, 0.5, 0.75, 1.0]
    assert len(answers) == len(seconds) == 4


def test_each_answer_is_handed_back_as_the_previous_one():
    predictor = _Growing(_truth(), rows_per_click=10)
    _, answers, _ = click_object(
        predictor, _truth(), click_next=next_click, max_clicks=20
    )
    assert predictor.previous == [None, answers[0]]


def test_clicking_stops_at_the_budget():
    scores, _, _ = click_object(
        _Growing(_truth(), 0), _truth(), click_next=next_click, max_clicks=7
    )
    assert scores == [0.0] * 7


def test_clicking_stops_after_ten_clicks_once_good_enough():
    truth = _truth()
    truth[39, 39] = True  # never found, so the object is never perfect
    predictor = _Growing(_truth(), rows_per_click=20)
    scores, _, _ = click_object(predictor, truth, click_next=next_click, max_clicks=20)
    assert len(scores) == 10


def test_correcting_starts_from_the_given_mask():
    start = _truth()
    start[20:] = False
    predictor = _Growing(_truth(), 20)
    click_object(predictor, _truth(), click_next=next_click, max_clicks=3, start=start)
    assert predictor.previous[0] is start


def test_clicks_to_a_target_and_score_after_clicks():
    scores = [0.5, 0.86, 0.84, 0.92]
    assert clicks_to_reach(scores, 0.85, 20) == 2
    assert clicks_to_reach(scores, 0.95, 20) == 20
    assert score_after(scores, 3) == 0.84
    assert score_after(scores, 10) == 0.92
    assert score_after([], 1) == 0


def _object(iou, *, automatic=(0.0,), class_name="benign", p=0.9, group="g"):
    classes = {"benign": p, "malignant": 1 - p}
    return ObjectRun(
        group=group,
        class_name=class_name,
        iou=tuple(iou),
        iou_from_automatic=tuple(automatic),
        probabilities=tuple(classes for _ in iou),
        seconds=tuple(0.1 for _ in iou),
        inside_refused=(False, True),
    )


def test_report_worked_by_hand():
    objects = [
        _object([0.7, 0.9], automatic=[0.82, 0.91], group="a"),
        _object([0.5, 0.6], automatic=[0.0, 0.5], group="b", class_name="malignant"),
    ]
    background = [("a", True, True), ("b", True, False), ("c", False, True)]
    report = summarise_clicks(
        objects,
        background,
        ("benign", "malignant"),
        options=ClickReportOptions(max_clicks=20, resamples=50),
    )
    assert report["iou_at"]["1"] == pytest.approx(0.6)
    assert report["iou_at"]["10"] == pytest.approx(0.75)
    assert report["noc"]["85"] == 11  # 2 and 20
    assert report["from_automatic"]["noc"] == {"80": 10, "85": 10.5, "90": 10.5}
    assert report["failures_90"] == 1
    assert report["seconds_per_click"] == {"median": 0.1, "p95": 0.1}
    assert report["classification"]["after"]["1"]["accuracy"] == 0.5
    assert report["refusals"]["background"]["mean"] == pytest.approx(2 / 3)
    assert report["refusals"]["background_normal_image"]["mean"] == 1
    assert report["refusals"]["inside"]["mean"] == 0.5


def test_no_class_figures_for_classes_that_the_weights_do_not_know():
    report = summarise_clicks(
        [_object([1.0], class_name="lesion")],
        [],
        ("benign", "malignant"),
        options=ClickReportOptions(resamples=10),
    )
    assert report["classification"] is None


def test_whole_folder(brightness_predictor, bright_folder):
    report = _run(evaluate_clicks(brightness_predictor, bright_folder, options=QUICK))
    assert report["n_objects"] == 2
    assert report["iou_at"]["1"] == 1
    assert report["noc"] == {"80": 1, "85": 1, "90": 1}
    assert report["from_automatic"]["noc"]["90"] == 0
    assert report["failures_90"] == 0
    assert report["classification"]["after"]["1"]["auc"] == 1
    assert report["refusals"]["background"]["mean"] == 1
    assert report["refusals"]["n_background"] == 6
    assert report["refusals"]["inside"]["mean"] == 0
    assert json.loads(json.dumps(report)) == report


def test_same_seed_same_report(brightness_predictor, bright_folder):
    options = ClickOptions(clicker=Clicker.NOISY, resamples=20, seed=5)
    first, second = (
        _run(evaluate_clicks(brightness_predictor, bright_folder, options=options))
        for _ in range(2)
    )
    del first["seconds_per_click"], second["seconds_per_click"]
    assert first == second


def test_specks_are_left_out_and_counted(brightness_predictor, bright_folder):
    from PIL import Image

    path = bright_folder / "masks" / "benign_0.png"
    mask = np.array(Image.open(path))
    mask[60:63, 60:63] = 255  # 9 px
    Image.fromarray(mask).save(path)
    report = _run(evaluate_clicks(brightness_predictor, bright_folder, options=QUICK))
    assert report["n_objects"] == 2
    assert report["objects_too_small"] == 1


def test_tissue_leaves_the_black_margin_out():
    pixels = np.zeros((64, 64), np.uint8)
    pixels[:, 32:] = 90
    tissue = find_tissue(pixels)
    assert not tissue[:, :20].any()
    assert tissue[:, 40:].all()
