"""Overlapping windows give one map, whatever their order."""

import random
from itertools import product

import numpy as np
import pytest

from napari_segmoe.inference.regions.blending import Blender
from napari_segmoe.inference.regions.lattice import make_lattice, window_weights

WINDOW = 32


def answers_of(lattice, seed=0):
    rng = np.random.default_rng(seed)
    shape = (WINDOW, WINDOW)
    return {
        place: (
            rng.random(shape).astype(np.float32),
            rng.uniform(-1, 1, shape).astype(np.float32),
        )
        for place in lattice
    }


def blend(lattice, answers, places, chunk_px):
    blender = Blender(lattice, chunk_px)
    probability = np.full(lattice.shape, 7, np.uint8)
    distance = np.full(lattice.shape, 9, np.float16)
    given = np.zeros(lattice.shape, int)
    for place in places:
        for chunk in blender.add(*place, *answers[place]):
            y0, x0, y1, x1 = chunk.box
            given[y0:y1, x0:x1] += 1
            probability[y0:y1, x0:x1] = chunk.probability
            distance[y0:y1, x0:x1] = chunk.distance
    assert blender.pending == 0
    assert (given == 1).all()
    return probability, distance


def reference(lattice, answers, which):
    total, weight = np.zeros(lattice.shape), np.zeros(lattice.shape)
    gaussian = np.multiply.outer(window_weights(WINDOW), window_weights(WINDOW))
    height, width = lattice.shape
    for place, values in answers.items():
        y, x = lattice.corner(*place)
        for row, column in product(range(WINDOW), range(WINDOW)):
            if 0 <= y + row < height and 0 <= x + column < width:
                heavy = gaussian[row, column]
                total[y + row, x + column] += heavy * values[which][row, column]
                weight[y + row, x + column] += heavy
    return total / weight


@pytest.mark.parametrize("shape", [(70, 90), (20, 75), (32, 32)])
def test_each_pixel_is_the_weighted_mean_of_the_windows_over_it(shape):
    lattice = make_lattice(shape, window_px=WINDOW, overlap_px=8)
    answers = answers_of(lattice)
    probability, distance = blend(lattice, answers, lattice, 24)
    expected = reference(lattice, answers, 0)
    np.testing.assert_allclose(probability / 255, expected, atol=0.51 / 255)
    np.testing.assert_allclose(distance, reference(lattice, answers, 1), atol=1e-3)


@pytest.mark.parametrize("chunk_px", [10, 32, 50, 500])
def test_neither_order_nor_chunks_change_a_bit(chunk_px):
    lattice = make_lattice((100, 77), window_px=WINDOW, overlap_px=12)
    answers, places = answers_of(lattice), list(lattice)
    expected = blend(lattice, answers, places, 40)
    for seed in range(3):
        random.Random(seed).shuffle(places)
        found = blend(lattice, answers, places, chunk_px)
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


def test_a_window_without_answer_counts_as_nothing_there():
    lattice = make_lattice((32, 56), window_px=WINDOW, overlap_px=8)
    ones = np.ones((WINDOW, WINDOW), np.float32)
    blender = Blender(lattice, 100)
    assert list(blender.add(0, 0, ones, ones)) == []
    (chunk,) = blender.add(0, 1, None)
    assert (chunk.probability[:, :24] == 255).all()
    assert (chunk.probability[:, 32:] == 0).all()
    assert (chunk.distance[:, 32:] == -1).all()
    between = chunk.probability[16, 24:32].astype(int)
    assert (np.diff(between) <= 0).all()
    assert 0 < between[3] < 255


def test_a_part_that_no_window_saw_is_given_out_without_maps():
    lattice = make_lattice((32, 32), window_px=WINDOW, overlap_px=8)
    chunks = list(Blender(lattice, 20).add(0, 0, None))
    assert [chunk.box for chunk in chunks] == [
        (0, 0, 20, 20),
        (0, 20, 20, 32),
        (20, 0, 32, 20),
        (20, 20, 32, 32),
    ]
    assert all(chunk.probability is None for chunk in chunks)


def test_sums_live_only_where_windows_are_missing():
    lattice = make_lattice((1000, 60), window_px=WINDOW, overlap_px=8)
    answers, blender, most = answers_of(lattice), Blender(lattice, 40), 0
    for place in lattice:
        list(blender.add(*place, *answers[place]))
        most = max(most, blender.pending)
    assert most <= 4  # of 50 parts
