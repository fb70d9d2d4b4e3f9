"""Objects larger than the window that weights with a pixel size see."""

import numpy as np
import pytest

from napari_segmoe.data.patches import Patch
from napari_segmoe.data.windows import Window
from napari_segmoe.inference.wider_look import is_cut, shows_the_same, widened
from napari_segmoe.types import Click

WINDOW, SHAPE = Window(100, 200, 64, 64), (400, 500)


def _mask(y0, x0, y1, x1):
    return Patch(np.ones((y1 - y0, x1 - x0), bool), y0, x0)


@pytest.mark.parametrize(
    ("box", "cut"),
    [
        ((120, 220, 140, 240), False),
        ((100, 220, 140, 240), True),
        ((120, 220, 164, 240), True),
        ((120, 202, 140, 240), True),
        ((120, 220, 140, 263), True),
    ],
)
def test_what_ends_at_the_windows_edge_is_cut(box, cut):
    assert is_cut(_mask(*box), WINDOW, SHAPE) is cut


def test_the_images_own_border_cuts_nothing():
    corner = Window(-30, 450, 64, 64)
    assert not is_cut(_mask(0, 470, 20, 500), corner, SHAPE)
    assert is_cut(_mask(0, 450, 20, 500), corner, SHAPE)
    assert not is_cut(Patch(np.zeros((9, 9), bool), 0, 450), corner, SHAPE)


def test_a_wider_window_has_the_same_middle_and_grid():
    wider = widened(WINDOW)
    assert (wider.side, wider.grid_px) == (96, 64)
    assert wider.y0 + wider.side / 2 == WINDOW.y0 + WINDOW.side / 2
    assert wider.x0 + wider.side / 2 == WINDOW.x0 + WINDOW.side / 2


def test_another_object_is_not_taken_for_the_same():
    first = _mask(100, 220, 140, 240)
    assert shows_the_same(first, _mask(90, 210, 150, 250))
    assert not shows_the_same(first, _mask(300, 210, 350, 250))
    assert not shows_the_same(first, _mask(100, 220, 120, 240))


def test_an_object_larger_than_the_window_is_found_further(bright_objects):
    image = np.zeros((200, 200), np.uint8)
    image[60:140, 60:140] = 255  # 80 um, the window has 64
    bright_objects.set_image(image, (1.0, 1.0))
    answer = bright_objects.predict([Click(100, 100)])
    truth = image > 0
    assert (answer.mask & truth).sum() / (answer.mask | truth).sum() > 0.9
