import numpy as np
import pytest

from napari_segmoe.data.patches import mask_box
from napari_segmoe.data.windows import (
    Window,
    physical_window,
    whole_window,
    zoom_window,
)
from napari_segmoe.types import Box, Click, Prompts, Stroke


def test_whole_window_is_a_centred_square_over_the_longer_side():
    assert whole_window((100, 160), 64) == Window(-30, 0, 160, 64)


def test_a_point_keeps_its_relative_place_on_the_grid():
    window = Window(10, 20, 128, 64)
    assert window.to_grid(10 - 0.5, 20 - 0.5) == pytest.approx((-0.5, -0.5))
    assert window.to_grid(10 + 127.5, 20 + 127.5) == pytest.approx((63.5, 63.5))


def test_overlap_pairs_the_same_pixels_of_image_and_window():
    image = np.arange(100 * 160).reshape(100, 160)
    window = whole_window(image.shape, 64)
    in_image, in_window = window.overlap(image.shape)
    square = np.full((160, 160), -1)
    square[in_window] = image[in_image]
    assert (square[30:130] == image).all()
    assert (square[:30] == -1).all()


def test_zoom_is_the_objects_extent_times_1_4_and_holds_all_clicks():
    mask = np.zeros((400, 400), bool)
    mask[100:200, 150:220] = True
    prompts = Prompts(clicks=(Click(210.0, 180.0, positive=False),))
    window = zoom_window(mask_box(mask), prompts, shape=mask.shape, grid_px=64)
    assert window.side == int(np.ceil(110 * 1.4))
    assert window.y0 <= 100
    assert window.y0 + window.side > 210


def test_without_mask_or_box_the_whole_image_is_asked():
    prompts = Prompts(clicks=(Click(5.0, 5.0),))
    window = zoom_window(None, prompts, shape=(300, 200), grid_px=64)
    assert window == whole_window((300, 200), 64)


def test_a_tiny_box_gets_at_least_96_px():
    prompts = Prompts(box=Box(50, 50, 60, 60))
    assert zoom_window(None, prompts, shape=(300, 300), grid_px=64).side == 96


def test_zoom_never_exceeds_the_whole_image():
    mask = np.ones((80, 80), bool)
    window = zoom_window(mask_box(mask), Prompts(), shape=mask.shape, grid_px=64)
    assert window == whole_window((80, 80), 64)


def test_at_a_pixel_size_the_first_click_is_in_the_middle():
    prompts = Prompts(clicks=(Click(500.0, 300.0), Click(510.0, 320.0)))
    window = physical_window(None, prompts, grid_px=256)
    assert (window.side, window.grid_px) == (256, 256)
    y, x = window.to_grid(500, 300)
    assert abs(y - 127.5) <= 0.5
    assert abs(x - 127.5) <= 0.5


def test_the_window_moves_no_more_than_the_object_needs():
    prompts = Prompts(clicks=(Click(500.0, 300.0),))
    window = physical_window((400, 280, 620, 320), prompts, grid_px=256)
    assert window.side == 256
    assert window.y0 + 256 >= 620 + 16
    assert window.y0 <= 400 - 16
    assert window.x0 == physical_window(None, prompts, grid_px=256).x0


def test_the_window_is_enlarged_to_hold_object_box_and_strokes():
    prompts = Prompts(
        clicks=(Click(500.0, 300.0),),
        box=Box(450, 250, 800, 400),
        strokes=(Stroke(((500.0, 300.0), (500.0, 900.0))),),
    )
    window = physical_window((480, 200, 520, 320), prompts, grid_px=256)
    y0, x0, y1, x1 = window.box
    assert y0 <= 450
    assert y1 >= 800
    assert x0 <= 200 - 16
    assert x1 >= 901
    assert window.grid_px == 256
    assert window.side == x1 - x0 == 901 - 200 + 32


def test_a_box_alone_is_in_the_middle():
    window = physical_window(None, Prompts(box=Box(100, 200, 150, 260)), grid_px=256)
    assert window.side == 256
    assert window.y0 == pytest.approx(125 - 128, abs=1)
    assert window.x0 == pytest.approx(230 - 128, abs=1)
