"""The guard publishes what is better beyond noise and forgets nothing."""

import numpy as np
import pytest

from napari_segmoe.training.finetune.guard import (
    Comparison,
    Decision,
    chance_of_no_gain,
    decide,
)
from napari_segmoe.training.finetune.probes import PlaceScores
from napari_segmoe.training.finetune.settings import RoundSettings


def compare(old, new, *, click=(0.5, 0.5), accuracy=(None, None), units=None):
    names = [f"image-{number}" for number in range(len(old))]
    sides = [
        {
            name: PlaceScores(dice, click[side], accuracy[side], 2)
            for name, dice in zip(names, values, strict=True)
        }
        for side, values in enumerate((old, new))
    ]
    unit_of = dict(zip(names, units or names, strict=True))
    return Comparison(*sides, unit_of)


def judge(compared, *, loss=0.0, learns_classes=False, **settings):
    return decide(
        compared,
        old_domain_loss=loss,
        learns_classes=learns_classes,
        settings=RoundSettings(**settings),
    )


OLD = [0.70, 0.75, 0.80, 0.72, 0.78]
BETTER = [0.80, 0.83, 0.88, 0.80, 0.84]


def test_a_gain_in_every_image_is_published():
    found = judge(compare(OLD, BETTER))
    assert found.decision is Decision.PUBLISH
    assert found.figures["gain"] == pytest.approx(0.08)
    assert found.figures["old_dice"] == pytest.approx(0.75)
    assert found.figures["dice_low"] < 0.83 < found.figures["dice_high"]


def test_a_gain_that_one_image_alone_brings_is_noise():
    found = judge(compare(OLD, [0.95, 0.74, 0.79, 0.71, 0.77]))
    assert found.figures["gain"] > 0
    assert found.decision is Decision.ROLLBACK
    assert "noise" in found.reason


def test_no_change_is_not_published():
    assert judge(compare(OLD, OLD)).decision is Decision.ROLLBACK


def test_what_forgets_old_images_is_not_published():
    found = judge(compare(OLD, BETTER), loss=0.02)
    assert found.decision is Decision.ROLLBACK
    assert "Old images lose 0.020" in found.reason


def test_what_spoils_the_first_click_is_not_published():
    found = judge(compare(OLD, BETTER, click=(0.80, 0.75)))
    assert found.decision is Decision.ROLLBACK
    assert "click" in found.reason


def test_better_classes_are_published_where_masks_stay():
    compared = compare(OLD, OLD, accuracy=(0.4, 0.9))
    assert judge(compared, learns_classes=True).decision is Decision.PUBLISH
    assert judge(compared).decision is Decision.ROLLBACK


def test_worse_classes_are_not_published():
    compared = compare(OLD, BETTER, accuracy=(0.9, 0.7))
    found = judge(compared, learns_classes=True)
    assert found.decision is Decision.ROLLBACK
    assert "Classes" in found.reason


def test_one_object_that_changes_its_class_is_noise():
    """Two of twenty objects were lost so in rounds that were better in all else."""
    names = list("abcdefghij")
    kept, lost = PlaceScores(0.7, 0.6, 1.0, 2), PlaceScores(0.8, 0.6, 0.5, 2)
    better = PlaceScores(0.8, 0.6, 1.0, 2)
    new = {name: lost if name == "a" else better for name in names}
    compared = Comparison(
        dict.fromkeys(names, kept), new, dict(zip(names, names, strict=True))
    )
    assert judge(compared, learns_classes=True).decision is Decision.PUBLISH
    many = {name: lost if name in "abcd" else better for name in names}
    compared = Comparison(
        dict.fromkeys(names, kept), many, dict(zip(names, names, strict=True))
    )
    assert judge(compared, learns_classes=True).decision is Decision.ROLLBACK


def test_two_images_judge_nothing():
    assert judge(compare(OLD[:2], BETTER[:2])).decision is Decision.ROLLBACK


def test_images_of_one_patient_count_as_one():
    differences = np.array([0.05, 0.06, 0.05, 0.06, -0.04, 0.001])
    apart = chance_of_no_gain(differences, list("abcdef"))
    together = chance_of_no_gain(differences, list("aaaabc"))
    assert together > apart


def test_one_unit_alone_proves_nothing():
    assert chance_of_no_gain(np.array([0.1, 0.2, 0.3]), ["a", "a", "a"]) == 1.0


def test_chances_of_noise_are_spread_evenly():
    rng = np.random.default_rng(7)
    chances = [
        chance_of_no_gain(rng.normal(0, 0.05, 8), list("abcdefgh"), seed=n)
        for n in range(120)
    ]
    assert np.mean(np.array(chances) <= 0.1) < 0.2
