"""Scores of several classes in an image: pixels, and the class of clicked objects."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from napari_segmoe.data.folder import read_data_folder
from napari_segmoe.inference.objects import describe_object
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.training.cases import read_case, shared_classes
from napari_segmoe.training.click_evaluation import ClickOptions, evaluate_clicks
from napari_segmoe.training.evaluation import evaluate_folder
from napari_segmoe.training.object_class_report import balanced, report_object_classes
from napari_segmoe.training.semantic_scores import (
    class_dice,
    class_overlaps,
    painted_classes,
)
from napari_segmoe.types import Prediction
from tests.training.lesions import NAMES, write_lesions

FEW = {"resamples": 20, "seed": 0}


class GreyPredictor:
    """Marks what is bright and what is dark; names both, or everything a spot."""

    def __init__(self, *, names_all="", **card):
        settings = {"object_classes": NAMES, "mask_classes": NAMES, "classes": NAMES}
        self.card = WeightsCard(
            name="grey", model="grey", multi_label=True, **settings | card
        )
        self._names_all = names_all

    def set_image(self, image, spacing_um=None, *, modality=None):
        grey = ndimage.median_filter(np.asarray(image, float), 3)
        classes = np.select([grey > 190, grey < 60, grey > 140], [1, 2, 3])
        self._labels = np.zeros(grey.shape, np.int32)
        self._names = {}
        for number in (1, 2, 3):
            pieces, count = ndimage.label(classes == number)
            for piece in range(1, count + 1):
                if (pieces == piece).sum() > 20:
                    one = len(self._names) + 1
                    self._labels[pieces == piece] = one
                    self._names[one] = self._names_all or NAMES[number - 1]

    def predict(self, clicks=(), *, previous=None, box=None):
        labels = self._labels
        chosen = [click for click in clicks if click.positive]
        if chosen:
            number = labels[round(chosen[-1].y), round(chosen[-1].x)]
            labels = np.where((labels == number) & (number > 0), labels, 0)
        ids = [one for one in np.unique(labels) if one]
        compact = np.zeros(labels.shape, np.uint32)
        objects = []
        for index, one in enumerate(ids, start=1):
            compact[labels == one] = index
            objects.append(
                describe_object(
                    labels == one,
                    None,
                    object_id=index,
                    probabilities=self._named(self._names[one]),
                )
            )
        shown = {self._names[one] for one in ids}
        classes = {name: 0.9 if name in shown else 0.1 for name in NAMES}
        if chosen:
            classes = objects[0].probabilities if objects else None
        mask = compact > 0
        return Prediction(
            mask, mask.astype(np.float32), compact, tuple(objects), classes
        )

    @staticmethod
    def _named(name):
        return {one: 0.8 if one == name else 0.1 for one in NAMES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_lesions(tmp_path_factory.mktemp("scored") / "data")


def _run(steps):
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def _evaluate(predictor, folder):
    return _run(evaluate_folder(predictor, folder, "test", resamples=20))


def _clicks(predictor, folder):
    options = ClickOptions(max_clicks=3, resamples=20)
    return _run(evaluate_clicks(predictor, folder, "test", options=options))


def test_a_class_that_neither_holds_does_not_count():
    found = np.array([[1, 1, 0, 2]], np.uint8)
    truth = np.array([[1, 0, 0, 255]], np.uint8)
    first, second, third = class_overlaps(found, truth, 3)
    assert (first.both, first.predicted, first.truth) == (1, 2, 1)
    assert second is third is None


def test_the_dice_of_a_class_is_the_mean_over_the_images_that_count():
    one = np.array([[1, 1]], np.uint8), np.array([[1, 0]], np.uint8)
    two = np.array([[0, 2]], np.uint8), np.array([[0, 0]], np.uint8)
    assert class_dice([one, two], 3) == (pytest.approx(2 / 3), 0.0, None)


def test_pixels_take_the_class_of_their_object():
    labels = np.array([[0, 1, 2, 3]], np.uint32)
    known = SimpleNamespace(id=1, probabilities={"a": 0.2, "b": 0.5, "else": 0.3})
    other = SimpleNamespace(id=2, probabilities={"a": 0.9, "b": 0.1})
    withheld = SimpleNamespace(id=3, probabilities=None)
    answer = Prediction(labels > 0, labels, labels, (known, other, withheld))
    assert painted_classes(answer, ("a", "b")).tolist() == [[0, 2, 1, 0]]


def test_a_good_answer_scores_well_in_each_class(folder):
    report = _evaluate(GreyPredictor(), folder)["mask_classes"]
    assert set(report["classes"]) == set(NAMES)
    for name in ("spot", "gap"):
        one = report["classes"][name]
        assert one["n_images"] == one["n_true"] == 3
        assert one["dice"]["mean"] > 0.95
        assert one["iou"]["low"] <= one["iou"]["mean"] <= one["iou"]["high"]
        assert one["dice_pooled"] > 0.95
    assert report["classes"]["speck"]["n_images"] == 0
    assert report["classes"]["speck"]["dice"]["mean"] is None
    assert report["dice_mean"] > 0.95
    assert report["present"] == {
        "accuracy": 1.0,
        "sensitivity": 1.0,
        "specificity": 1.0,
    }


def test_wrong_names_cost_the_classes_but_not_the_mask(folder):
    report = _evaluate(GreyPredictor(names_all="spot"), folder)
    assert report["segmentation"]["dice"]["mean"] > 0.95
    assert report["mask_classes"]["classes"]["gap"]["dice"]["mean"] == 0
    assert report["mask_classes"]["classes"]["spot"]["dice"]["mean"] < 0.8


def test_weights_without_classes_of_pixels_are_scored_as_before(folder):
    report = _evaluate(GreyPredictor(mask_classes=()), folder)
    assert "mask_classes" not in report
    assert report["segmentation"]["dice"]["mean"] > 0.9


def test_the_class_of_a_clicked_object_is_its_own(folder):
    report = _clicks(GreyPredictor(), folder)["object_classes"]
    first = report["after"]["1"]["several"]
    assert report["classes"] == list(NAMES)
    assert first["n"] == 6
    assert first["unanswered"] == 0
    assert first["balanced_accuracy"]["mean"] == 1
    assert first["per_class"]["gap"] == {"n": 3, "accuracy": 1.0}
    assert np.trace(first["confusion"]) == 6


def test_one_name_for_everything_is_right_half_the_time(folder):
    report = _clicks(GreyPredictor(names_all="spot"), folder)["object_classes"]
    several = report["after"]["1"]["several"]
    assert several["balanced_accuracy"]["mean"] == pytest.approx(0.5)
    assert several["per_class"]["gap"]["accuracy"] == 0


def test_images_of_one_class_have_no_such_report(bright_folder, brightness_predictor):
    report = _clicks(brightness_predictor, bright_folder)
    assert report["object_classes"] is None


def test_no_answer_counts_as_wrong():
    def one(name, probabilities):
        return SimpleNamespace(
            group=name,
            class_name=name,
            has_others=True,
            probabilities=(probabilities,),
        )

    objects = [one("a", {"a": 0.9, "b": 0.1}), one("b", None), one("b", {"b": 1.0})]
    figures = report_object_classes(objects, ("a", "b"), FEW)["after"]["1"]["several"]
    assert figures["unanswered"] == 1
    assert figures["balanced_accuracy"]["mean"] == pytest.approx(0.75)
    assert figures["balanced_accuracy_answered"]["mean"] == 1
    assert figures["per_class"]["b"]["accuracy"] == 0.5


def test_balanced_accuracy_is_the_mean_over_classes():
    truth = np.array([0, 0, 0, 1])
    assert balanced(np.array([0, 0, 1, 1]), truth) == pytest.approx((2 / 3 + 1) / 2)


def test_merged_and_strange_classes_are_what_the_weights_call_them(folder):
    read = read_data_folder(folder)
    card = WeightsCard(
        name="w",
        model="m",
        mask_classes=("hole", "spot"),
        merged_classes={"gap": "hole", "other": "spot"},
    )
    meaning = shared_classes(read, card)
    assert meaning.numbers == (2, 1, 255)
    case = read_case(read.items[0], read.mask_kind, meaning)
    assert case.has_several_classes
    assert (case.classes == 255).any()
    assert not case.truth[case.classes == 255].any()
    one = case.objects == case.objects[case.classes == 1][0]
    assert case.class_of(one) == "hole"
