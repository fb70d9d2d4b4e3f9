"""Work on a part of an image finds what work on all of it finds."""

import numpy as np
import pytest
from scipy import ndimage

from napari_segmoe.data.patches import Patch
from napari_segmoe.data.windows import Window, whole_window
from napari_segmoe.inference.areas import area_of, grow, pointed_at
from napari_segmoe.inference.grids import spread
from napari_segmoe.inference.merging import component_under
from napari_segmoe.types import Box, Click, Prompts, Stroke

SHAPE = (300, 420)


def _blobs(rng, sigma):
    noise = ndimage.gaussian_filter(rng.random((48, 48)), sigma)
    spread_to = (noise - noise.mean()) / noise.std()
    return (1 / (1 + np.exp(-3 * spread_to))).astype(np.float32)


@pytest.mark.parametrize("seed", range(12))
def test_the_clicked_component_is_that_of_the_whole_image(seed):
    rng = np.random.default_rng(seed)
    probability = _blobs(rng, 1 + seed % 3)
    window = whole_window(SHAPE, 48)
    full = spread(probability, window, SHAPE).on(SHAPE)
    for _ in range(10):
        click = Click(*(rng.random(2) * (np.array(SHAPE) - 1)).round(1))
        area = area_of(
            probability,
            window,
            SHAPE,
            threshold=0.5,
            boxes=pointed_at(Prompts((click,))),
        )
        reach_px = 2 / window.scale
        whole = component_under(full > 0.5, click.y, click.x, reach_px=reach_px)
        part = component_under(
            Patch(full).cut(area) > 0.5,
            click.y - area[0],
            click.x - area[1],
            reach_px=reach_px,
        )
        assert (Patch(part, area[0], area[1]).on(SHAPE) == whole).all()


def test_an_area_is_small_where_the_object_is():
    probability = np.zeros((64, 64), np.float32)
    probability[10:14, 10:14] = 1
    window = Window(0, 0, 4096, 64)
    click = pointed_at(Prompts((Click(760.0, 760.0),)))
    y0, x0, y1, x1 = area_of(
        probability, window, (4096, 4096), threshold=0.5, boxes=click
    )
    assert (y1 - y0) * (x1 - x0) < 600**2
    assert y0 % 2 == x0 % 2 == 0


def test_boxes_and_strokes_are_in_the_area_too():
    probability = np.zeros((64, 64), np.float32)
    window = Window(0, 0, 640, 64)
    prompts = Prompts(
        box=Box(100.5, 200, 300, 260), strokes=(Stroke(((10.0, 500.0), (20.0, 9.0))),)
    )
    y0, x0, y1, x1 = area_of(
        probability, window, (640, 640), threshold=0.5, boxes=pointed_at(prompts)
    )
    assert y0 <= 9
    assert x0 <= 8
    assert y1 >= 301
    assert x1 >= 502


def test_a_window_finer_than_its_grid_is_taken_whole():
    probability = np.zeros((64, 64), np.float32)
    window = Window(10, 20, 48, 64)
    click = pointed_at(Prompts((Click(30.0, 40.0),)))
    area = area_of(probability, window, (200, 200), threshold=0.5, boxes=click)
    assert area == (10, 20, 58, 68)


def test_a_grown_area_stays_in_the_image():
    assert grow((10, 10, 20, 20), 7.2, (25, 400)) == (2, 2, 25, 28)
