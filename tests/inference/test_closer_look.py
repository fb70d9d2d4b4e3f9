"""A second, closer look: when it is taken, and what it changes."""

import numpy as np
import pytest

from napari_segmoe.data.patches import Patch
from napari_segmoe.data.windows import whole_window
from napari_segmoe.inference.asked_image import AskedImage
from napari_segmoe.inference.closer_look import look_at_each, look_closer
from napari_segmoe.inference.network import WindowAnswer
from napari_segmoe.inference.question import Question
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.types import Click, Prompts

SHAPE = (256, 320)


class CloseNetwork:
    """Says 0.9 in every closer window, and remembers what it was asked."""

    card = WeightsCard(name="n", model="m", input_px=64)

    def __init__(self):
        self.asked = []

    def answer(self, window, prompts, previous=None, *, explain=False, steering=None):
        self.asked.append((window, prompts, previous))
        probability = np.full((window.grid_px, window.grid_px), 0.9, np.float32)
        return WindowAnswer(window, probability, None)


@pytest.fixture
def question():
    image = AskedImage(np.zeros(SHAPE, np.uint8), None, None)
    return Question(image, Prompts(), whole_window(SHAPE, 64))


def _square(y, x, side):
    mask = np.zeros(SHAPE, bool)
    mask[y : y + side, x : x + side] = True
    return mask


def test_log_odds_are_averaged_inside_the_closer_window_only(question):
    mask = _square(100, 120, 60)
    probability = np.where(mask, 0.6, 0.1).astype(np.float32)
    prompts = Prompts((Click(130.0, 150.0),))
    joined = look_closer(
        CloseNetwork(), question, Patch(probability), Patch(mask), prompts
    ).on(SHAPE)
    odds = (np.log(0.6 / 0.4) + np.log(0.9 / 0.1)) / 2
    assert joined[130, 150] == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-5)
    assert joined[10, 10] == 0  # beyond the closer window


def test_the_first_answer_is_the_closer_ones_previous(question):
    network, mask = CloseNetwork(), _square(100, 120, 60)
    probability = np.full(SHAPE, 0.4, np.float32)
    prompts = Prompts((Click(130.0, 150.0),))
    look_closer(network, question, Patch(probability), Patch(mask), prompts)
    window, _, previous = network.asked[0]
    assert ((previous.on(SHAPE) > 0.5) == mask).all()
    assert window.side == 96  # 1.4 times 60, at least 96


def test_an_object_that_fills_the_window_is_not_looked_at_again(question):
    mask = _square(0, 0, 250)
    prompts = Prompts((Click(130.0, 150.0),))
    network = CloseNetwork()
    probability = Patch(mask.astype(np.float32))
    found = look_closer(network, question, probability, Patch(mask), prompts)
    assert found is None
    assert network.asked == []


def test_each_object_is_asked_about_at_its_innermost_pixel(question):
    one, other = _square(20, 20, 40), _square(180, 240, 31)
    labels = one.astype(np.uint32) + 2 * other.astype(np.uint32)
    probability = np.where(labels > 0, 0.7, 0.2).astype(np.float32)
    network = CloseNetwork()
    joined = look_at_each(network, question, probability, labels)
    places = [prompts.clicks[0] for _, prompts, _ in network.asked]
    assert [labels[round(c.y), round(c.x)] for c in places] == [1, 2]
    assert (places[1].y, places[1].x) == (195, 255)
    assert (joined[labels > 0] > 0.7).all()


def test_a_neighbour_in_the_window_keeps_its_own_answer(question):
    one, near = _square(100, 100, 40), _square(100, 145, 8)
    labels = one.astype(np.uint32) + 2 * near.astype(np.uint32)
    probability = np.where(labels > 0, 0.7, 0.2).astype(np.float32)
    first_only = np.where(one, 1, 0).astype(np.uint32)
    joined = look_at_each(CloseNetwork(), question, probability, labels)
    alone = look_at_each(CloseNetwork(), question, probability, first_only)
    assert joined[104, 149] < alone[104, 149] + 0.2
    assert joined[120, 120] == pytest.approx(alone[120, 120], abs=1e-6)
