"""The picture of an answer."""

from dataclasses import replace

import numpy as np
import pytest

from napari_segmoe.cli.overlay import _caption, draw_overlay
from napari_segmoe.types import Click, Prediction, SegmentedObject

ITEM = SegmentedObject(
    id=1,
    class_name="benign",
    probabilities={"benign": 0.83, "malignant": 0.17},
    area_px=400,
    area_um2=None,
    box=(20, 20, 40, 40),
    polygon=(),
)


@pytest.fixture
def prediction():
    mask = np.zeros((64, 64), bool)
    mask[20:40, 20:40] = True
    return Prediction(
        mask, mask.astype(np.float32), mask.astype(np.uint32), objects=(ITEM,)
    )


@pytest.mark.parametrize(
    ("changes", "caption"),
    [
        ({}, "benign 83 %"),
        ({"class_name": None}, "uncertain: benign 83 %"),
        ({"class_name": None, "probabilities": None}, "1"),
    ],
)
def test_captions(changes, caption):
    assert _caption(replace(ITEM, **changes)) == caption


def test_inside_is_tinted_the_rest_is_not(prediction):
    pixels = np.full((64, 64), 100, np.uint8)
    overlay = draw_overlay(pixels, prediction, classes=("benign",))
    assert overlay.shape == (640, 640, 3)
    assert (overlay[500, 500] == 100).all()
    assert not (overlay[300, 300] == 100).all()


def test_clicks_show_their_sign(prediction):
    pixels = np.zeros((64, 64, 3), np.uint8)
    clicks = (Click(30, 30), Click(50, 50, positive=False))
    overlay = draw_overlay(pixels, prediction, clicks=clicks).astype(int)
    inside, outside = overlay[305, 305], overlay[505, 505]
    assert inside[1] > inside[0] + 100
    assert outside[0] > outside[1] + 100


def test_many_objects_get_a_legend_that_counts_them_and_no_captions(prediction):
    pixels = np.full((64, 64, 3), 100, np.uint8)
    few = draw_overlay(pixels, prediction, classes=("benign",))
    objects = tuple(replace(ITEM, id=number) for number in range(1, 14))
    many = draw_overlay(
        pixels, replace(prediction, objects=objects), classes=("benign",)
    )
    corner = (slice(-20, None), slice(0, 20))
    assert (few[corner] == 100).all()
    assert (many[corner] == 0).any()
    assert (many[:150] == 100).all()  # where captions would be
