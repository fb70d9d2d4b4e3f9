"""Poisoned corrections contradict the base network; true ones do not."""

import numpy as np
import pytest
import torch

from napari_segmoe.training.finetune.consistency import check_consistency
from napari_segmoe.training.finetune.probes import Probe, ProbeAnswer

SIDE = 96


def make_truth(number, *, offset=0):
    rng = np.random.default_rng(number)
    rows, columns = np.ogrid[:SIDE, :SIDE]
    y, x = rng.uniform(40, 56, 2)
    radius = rng.uniform(12, 20)
    return (rows - y) ** 2 + (columns - x - offset) ** 2 < radius**2


def make_probe(number, own, object_class=-1):
    grown = np.zeros((SIDE, SIDE), bool)
    for dy in range(-6, 7, 3):
        for dx in range(-6, 7, 3):
            grown |= np.roll(own, (dy, dx), (0, 1))
    ids = np.where(own, 1, np.where(grown, 0, -1)).astype(np.int32)
    image = torch.zeros(3, SIDE, SIDE, dtype=torch.uint8)
    name = f"image-{number}"
    return Probe(image, ids, 1, object_class, name, name, name, 0)


def make_answer(number, seen, *, noise=2.0, classes=None):
    rng = np.random.default_rng([number, 1])
    scores = np.where(seen, 2.0, -2.0) + rng.normal(0, noise, seen.shape)
    return ProbeAnswer(scores.astype(np.float32), 0.5, classes)


def check(marked, *, seen=make_truth, count=12, noise=2.0):
    probes = [make_probe(n, marked(n)) for n in range(count)]
    answers = [make_answer(n, seen(n), noise=noise) for n in range(count)]
    return check_consistency(probes, [answers])


def test_true_outlines_are_believed_from_a_doubtful_network():
    found = check(make_truth, noise=4.0)
    assert found.reasons == ()
    assert found.agreement > 0.7
    assert found.shift_px < 1


def test_objects_that_the_network_marks_half_are_believed():
    def half(number):
        seen = make_truth(number)
        seen[::2] = False
        return seen

    assert check(make_truth, seen=half).reasons == ()


def test_inverted_masks_are_refused():
    def inverted(number):
        box = np.zeros((SIDE, SIDE), bool)
        box[10:86, 10:86] = True
        return box & ~make_truth(number)

    found = check(inverted)
    assert found.agreement < 0.5
    assert "exchanged" in found.reasons[0]


@pytest.mark.parametrize("pixels", [8, 20])
def test_masks_that_are_all_shifted_are_refused(pixels):
    found = check(lambda number: make_truth(number, offset=pixels))
    assert found.shift_px == pytest.approx(pixels, abs=2)
    assert "shifted" in found.reasons[0]


def test_masks_shifted_in_any_direction_are_refused():
    def scattered(number):
        angle = 2.4 * number
        by = (round(18 * np.sin(angle)), round(18 * np.cos(angle)))
        return np.roll(make_truth(number), by, (0, 1))

    found = check(scattered)
    assert found.spread_px > 10 or found.agreement < 0.62
    assert found.reasons


def classified(stated, seen):
    probes = [make_probe(n, make_truth(n), one) for n, one in enumerate(stated)]
    answers = [
        make_answer(n, make_truth(n), classes=np.eye(2, dtype=np.float32)[one])
        for n, one in enumerate(seen)
    ]
    return check_consistency(probes, [answers])


def test_exchanged_classes_are_refused():
    found = classified([0, 1] * 6, [1, 0] * 5 + [0, 1])
    assert "classes look exchanged" in found.reasons[0]
    assert found.swapped_agreement > 0.8


def test_classes_that_are_probably_exchanged_are_refused():
    """A network that mistakes a third of a foreign stain's classes sees it as well."""
    stated = [0, 1] * 10
    seen = [1 - one for one in stated[:13]] + stated[13:]
    assert "classes look exchanged" in classified(stated, seen).reasons[0]
    seen = [1 - one for one in stated[:12]] + stated[12:]
    assert classified(stated, seen).reasons == ()


def test_classes_that_the_network_often_mistakes_are_believed():
    found = classified([0, 1] * 6, [0, 1] * 3 + [1, 0] * 3)
    assert found.reasons == ()
    assert found.class_agreement == 0.5


def test_objects_of_one_class_that_the_network_mistakes_are_believed():
    assert classified([0] * 10, [1] * 10).reasons == ()


def test_the_most_favourable_look_counts():
    probes = [make_probe(n, make_truth(n)) for n in range(8)]
    blind = [make_answer(n, ~make_truth(n)) for n in range(8)]
    seeing = [make_answer(n, make_truth(n)) for n in range(8)]
    assert check_consistency(probes, [blind]).reasons
    assert check_consistency(probes, [blind, seeing]).reasons == ()
