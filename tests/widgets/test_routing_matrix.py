"""The routing matrix draws each number in its cell, crisply and at any width."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from qtpy.QtCore import QPoint
from qtpy.QtGui import QColor

from napari_segmoe.widgets.routing_matrix import (
    RoutingMatrix,
    describe_table,
    number_text,
)
from tests.session.explaining_fakes import a_map

VALUES = [[0.0, 0.25, 0.75], [1.0, 0.0, 0.0]]


def a_table(values=VALUES, **changes):
    table = replace(
        a_map("routing", "Routing", values, "ROUTING"),
        kind="table",
        labels=("expert 1", "expert 2", "expert 3"),
        row_labels=("T1", "T2"),
        colormap="Blues",
    )
    return replace(table, **changes)


@pytest.fixture
def matrix(qtbot):
    widget = RoutingMatrix(a_table())
    qtbot.addWidget(widget)
    widget.resize(300, widget.sizeHint().height())
    return widget


def drawn_colour(matrix, row, column):
    """The colour just inside a cell's corner, as drawn, clear of the number."""
    rect = matrix.cell_rect(row, column)
    return matrix.grab().toImage().pixelColor(rect.left() + 1, rect.top() + 1)


def test_each_cell_is_drawn_in_the_colour_of_its_number(matrix):
    for (row, column), value in np.ndenumerate(np.array(VALUES)):
        wanted = matrix.colour_of(value).name()
        assert drawn_colour(matrix, row, column).name() == wanted
    assert matrix.colour_of(0).lightness() > matrix.colour_of(1).lightness()


def test_cells_fill_the_width_in_whole_pixels_without_overlap(matrix):
    for width in (120, 233, 300, 517):
        matrix.resize(width, matrix.sizeHint().height())
        rects = [matrix.cell_rect(0, column) for column in range(3)]
        for left, right in pairwise(rects):
            assert right.left() - left.right() == 2  # one pixel lies between
        assert rects[-1].right() == width - 2
        assert max(r.width() for r in rects) - min(r.width() for r in rects) <= 1


def test_edges_of_cells_are_sharp(matrix):
    image = matrix.grab().toImage()
    rect = matrix.cell_rect(1, 0)
    inside = image.pixelColor(rect.right(), rect.top() + 1)
    assert inside.name() == matrix.colour_of(1.0).name()
    outside = image.pixelColor(rect.right() + 1, rect.top() + 1)
    assert outside.name() == matrix.palette().window().color().name()


def test_newer_numbers_are_drawn_at_once(matrix):
    before = drawn_colour(matrix, 0, 0).name()
    matrix.show_table(a_table([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    assert drawn_colour(matrix, 0, 0).name() != before
    assert drawn_colour(matrix, 0, 0).name() == matrix.colour_of(1.0).name()


def test_a_point_finds_its_cell(matrix):
    assert matrix.cell_at(matrix.cell_rect(1, 2).center()) == (1, 2)
    assert matrix.cell_at(QPoint(0, 0)) is None


def test_height_follows_the_rows_and_names_stand_upright_when_narrow(matrix):
    two = matrix.sizeHint().height()
    names = tuple(f"T{n}" for n in range(5))
    matrix.show_table(a_table(np.eye(5, 3), row_labels=names))
    assert matrix.sizeHint().height() > two
    lying = matrix.sizeHint().height()
    matrix.resize(110, 400)
    assert matrix.sizeHint().height() > lying


def test_names_of_two_words_take_two_lines_before_they_stand_upright(matrix):
    one_line = matrix.sizeHint().height()
    one_name = matrix.fontMetrics().horizontalAdvance("expert 1")
    matrix.resize(matrix._label_px() + 3 * (one_name - 4), 400)
    assert not matrix._is_upright()
    two_lines = matrix.sizeHint().height()
    line = matrix.fontMetrics().lineSpacing()
    assert two_lines - one_line == pytest.approx(line, abs=2)


def test_a_table_without_names_or_numbers_is_drawn_too(qtbot):
    for values in (np.zeros((0, 3)), np.array([0.5, np.nan])):
        widget = RoutingMatrix(a_table(values, labels=(), row_labels=()))
        qtbot.addWidget(widget)
        widget.resize(200, widget.sizeHint().height())
        assert not widget.grab().isNull()
    assert widget.colour_of(float("nan")) == QColor(128, 128, 128, 60)


def test_the_matrix_tells_its_numbers_in_words(matrix):
    expected = (
        "T1: expert 1 0, expert 2 0.25, expert 3 0.75;"
        " T2: expert 1 1.00, expert 2 0, expert 3 0"
    )
    assert describe_table(a_table()) == expected
    assert matrix.accessibleDescription() == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.426, "0.43"), (-1, "-1.00"), (123.4, "123"), (float("nan"), "-")],
)
def test_numbers_are_short(value, text):
    assert number_text(value) == text
