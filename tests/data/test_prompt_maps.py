import numpy as np
import pytest

from napari_segmoe.data.prompt_maps import BOX, MODE, NEGATIVE, POSITIVE, draw_prompts
from napari_segmoe.types import Box, Click, Stroke


def test_no_prompt_draws_nothing():
    assert not draw_prompts((32, 32), previous=np.ones((32, 32), np.float32)).any()


def test_a_click_is_a_disk_of_its_radius_in_its_channel():
    maps = draw_prompts((33, 33), clicks=[Click(16, 16, positive=False)], radius_px=5)
    assert maps[NEGATIVE, 16, 16] == 1
    assert maps[NEGATIVE, 16, 20] == 1
    assert maps[NEGATIVE, 16, 22] == 0
    assert not maps[POSITIVE].any()
    assert (maps[MODE] == 1).all()


def test_older_clicks_fade():
    maps = draw_prompts((40, 40), clicks=[Click(5, 5), Click(20, 20), Click(34, 34)])
    assert maps[POSITIVE, 34, 34] == 1
    assert maps[POSITIVE, 20, 20] == pytest.approx(0.98)
    assert maps[POSITIVE, 5, 5] == pytest.approx(0.98**2)


def test_a_stroke_is_three_pixels_wide():
    maps = draw_prompts((20, 20), strokes=[Stroke(((10.0, 4.0), (10.0, 15.0)))])
    assert maps[POSITIVE, 9:12, 8].tolist() == [1, 1, 1]
    assert maps[POSITIVE, 7, 8] == 0


def test_prompts_beyond_the_grid_are_cut():
    maps = draw_prompts(
        (16, 16),
        clicks=[Click(-3, 8)],
        strokes=[Stroke(((8.0, -5.0), (8.0, 30.0)))],
        box=Box(-4, 2, 8, 40),
    )
    assert maps[POSITIVE, 0, 8] == 1
    assert maps[BOX, 0, 15] == 1
    assert maps[BOX, 8, 15] == 0
