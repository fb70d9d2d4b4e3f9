"""Colours, numbers and matrices of the contact sheet."""

import numpy as np
import pytest

from napari_segmoe.cli.colormaps import (
    category_colour,
    colour_categories,
    colour_values,
)
from napari_segmoe.cli.contact_sheet import say_answer
from napari_segmoe.cli.sheet_panels import (
    colour_map,
    draw_map_panel,
    draw_matrix,
    fit_picture,
    format_number,
)
from napari_segmoe.data.page_layout import PANEL_PX, write_text
from napari_segmoe.types import Explanation, Prediction


def _table(values, rows, columns):
    return Explanation(
        "table",
        "Routing",
        np.array(values, np.float32),
        columns,
        (0, 1),
        "Who was asked.",
        key="routing",
        row_labels=rows,
        colormap="Blues",
    )


def _map(values, kind="map", labels=(), **words):
    values = np.array(values, np.float32)
    return Explanation(kind, "A map", values, labels, (0, 1), "What it shows.", **words)


def test_the_range_gets_the_first_and_last_colour_and_beyond_is_cut():
    values = np.array([-5, 0, 1, 9], np.float32)
    colours = colour_values(values, (0, 1), "viridis").tolist()
    assert colours[0] == colours[1] == [0x44, 0x01, 0x54]
    assert colours[2] == colours[3] == [0xFD, 0xE7, 0x25]


@pytest.mark.parametrize("name", ["RdBu_r", "PuOr"])
def test_the_middle_of_a_diverging_map_is_pale(name):
    (middle,) = colour_values(np.zeros(1, np.float32), (-1, 1), name)
    assert middle.tolist() == [0xF7, 0xF7, 0xF7]


def test_a_range_without_width_is_drawn():
    assert colour_values(np.ones((2, 2), np.float32), (1, 1), "magma").shape == (
        2,
        2,
        3,
    )


def test_categories_have_colours_of_their_own():
    colours = colour_categories(np.arange(4, dtype=np.float32))
    assert [tuple(one) for one in colours.tolist()] == [
        category_colour(n) for n in range(4)
    ]
    assert len({category_colour(n) for n in range(9)}) == 9


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (1, "1"),
        (-1, "-1"),
        (0.12345, "0.123"),
        (0.00004336, "4.3e-5"),
        (24.373, "24.4"),
    ],
)
def test_numbers_are_short(value, words):
    assert format_number(value) == words


def test_text_is_wrapped_into_its_width():
    one = write_text("short", size=16, width=200)
    many = write_text("so many words that they need several lines", size=16, width=90)
    assert one.width == 200
    assert many.height >= 4 * one.height
    assert np.asarray(many).min() < 100


def test_a_cell_of_a_matrix_has_the_colour_of_its_number():
    one = _table([[0, 1]], ("S1",), ("a", "b"))
    drawn = np.asarray(draw_matrix(one))
    left, right = drawn[45, -84 - 70], drawn[45, -70]
    assert left.tolist() == [0xF7, 0xFB, 0xFF]
    assert right.tolist() == [0x08, 0x30, 0x6B]


def test_long_names_widen_a_matrix():
    narrow = draw_matrix(_table([[1]], ("S1",), ("a",)))
    wide = draw_matrix(_table([[1]], ("the first stage",), ("a very long expert",)))
    assert wide.width > narrow.width + 60


@pytest.mark.parametrize(("dark_line", "whites"), [(False, 2), (True, 0)])
def test_the_outline_is_drawn_onto_a_map(dark_line, whites):
    mask = np.zeros((30, 40), bool)
    mask[10:20, 10:30] = True
    grey = np.full((30, 40, 3), 128, np.uint8)
    drawn = np.asarray(fit_picture(grey, mask, dark_line=dark_line)).astype(int)
    assert drawn.shape == (round(PANEL_PX * 30 / 40), PANEL_PX, 3)
    column = drawn[:, 150, 0]  # crosses the upper and the lower edge
    assert (column == 255).sum() == whites
    assert (column < 40).sum() == 2
    assert (column[[0, 112, -1]] == 128).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (400, 1), (37, 53)])
def test_any_shape_becomes_a_panel(shape):
    one = _map(np.full(shape, 0.5))
    panel = draw_map_panel(one, np.zeros(shape, bool))
    assert panel.width == PANEL_PX
    assert panel.height < 2 * PANEL_PX


def test_categories_get_a_legend_instead_of_a_bar():
    one = _map([[0, 1], [2, 0]], "categories", ("none", "expert 1", "expert 2"))
    drawn = np.asarray(draw_map_panel(one, np.zeros((2, 2), bool))).reshape(-1, 3)
    assert colour_map(one).shape == (2, 2, 3)
    assert (drawn == category_colour(2)).all(axis=1).any()


def _prediction(**words):
    mask = np.zeros((10, 10), bool)
    mask[:5, :4] = True
    labels = mask.astype(np.uint32)
    return Prediction(mask, mask.astype(np.float32), labels, **words)


def test_the_answer_is_one_line():
    assert say_answer(_prediction()) == "No object was marked."
    one = _prediction(objects=(None,), classes={"benign": 0.8, "malignant": 0.2})
    assert say_answer(one) == "1 object marked, 20.0 % of the image; benign 80 %."
