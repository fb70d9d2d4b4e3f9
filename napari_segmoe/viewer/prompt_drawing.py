"""Prompts as points, rectangles and paths on our layers."""

import numpy as np
from napari.layers import Points, Shapes
from numpy.typing import NDArray

from napari_segmoe.types import Box, Click, Stroke
from napari_segmoe.viewer.drawing import NEGATIVE_COLOUR, POSITIVE_COLOUR


def sign_colour(positive: bool) -> str:
    """Return the colour of prompts that mean "this" or "not this"."""
    return POSITIVE_COLOUR if positive else NEGATIVE_COLOUR


def show_clicks(layer: Points, clicks: tuple[Click, ...]) -> None:
    """Show clicks, and nothing else, on a points layer."""
    signs = [click.positive for click in clicks]
    layer.data = np.array([(c.y, c.x) for c in clicks]).reshape(-1, 2)
    layer.features = {"positive": np.array(signs, bool)}
    if signs:
        colours = [sign_colour(sign) for sign in signs]
        layer.face_color = colours
        layer.border_color = colours  # smooths the rim, also of a border of width 0
    layer.selected_data = set()


def show_box(layer: Shapes, box: Box | None) -> None:
    """Show a box, and nothing else, on a shapes layer."""
    layer.data = []
    if box is not None:
        corners = [(y, x) for y in (box.y0, box.y1) for x in (box.x0, box.x1)]
        layer.add_rectangles(np.array(corners)[[0, 1, 3, 2]])


def show_strokes(layer: Shapes, strokes: tuple[Stroke, ...]) -> None:
    """Show strokes, and nothing else, on a shapes layer."""
    layer.data = []
    if strokes:
        colours = [sign_colour(stroke.positive) for stroke in strokes]
        layer.add_paths([_line(s.points) for s in strokes], edge_color=colours)


def _line(points: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
    line = np.array(points, float)
    return line if len(line) > 1 else np.concatenate([line, line + 0.01])
