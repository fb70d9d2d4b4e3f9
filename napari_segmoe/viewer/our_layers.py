"""The layers we make: their names, looks and how to know them again."""

from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer, Points, Shapes

from napari_segmoe.viewer.drawing import (
    OBJECT_OPACITY,
    POSITIVE_COLOUR,
    PROPOSAL_COLOUR,
)

PROMPTS = "SegMoE prompts"
BOXES = "SegMoE boxes"
STROKES = "SegMoE strokes"
PREDICTION = "SegMoE prediction"
OBJECTS = "SegMoE objects"
FRAMES = "SegMoE regions"
MARK = "napari-segmoe"


def is_ours(layer: Layer) -> bool:
    """Whether a layer was made by `make_layer`."""
    return MARK in layer.metadata


def is_image(layer: Any) -> bool:
    """Whether a layer is an image that the user brought."""
    return isinstance(layer, Image) and not is_ours(layer)


def make_layer(
    role: str,
    shape: tuple[int, int],
    placing: dict[str, Any],
    *,
    number: int | None = None,
) -> Layer:
    """Return an empty layer.

    Parameters
    ----------
    role : str
        One of the names of this module.
    shape : (height, width)
        Of the image, in pixels.
    placing : dict
        From `placement.place_like` or `slide_placement.place_region`.
    number : int or None
        Of the slide's region that it is for.
    """
    name = role if number in (None, 1) else f"{role} {number}"
    common = {"name": name, "metadata": {MARK: role}, **placing}
    if role == PROMPTS:
        return _make_points(shape, common)
    if role in (BOXES, STROKES):
        return Shapes(
            ndim=2,
            face_color="transparent",
            edge_color=PROPOSAL_COLOUR if role == BOXES else POSITIVE_COLOUR,
            edge_width=max(1.0, max(shape) / 250),
            **common,
        )
    if role == FRAMES:
        return Shapes(ndim=2, face_color="transparent", edge_width=1.0, **common)
    empty = np.zeros(shape, np.uint32)
    opacity = OBJECT_OPACITY if role == OBJECTS else 1.0
    layer = Labels(empty, opacity=opacity, **common)
    if role == OBJECTS:
        layer.selected_label = 1
    else:
        layer.editable = False
    return layer


def _make_points(shape: tuple[int, int], common: dict[str, Any]) -> Points:
    layer = Points(
        np.empty((0, 2)),
        ndim=2,
        size=max(4.0, max(shape) / 50),
        features={"positive": np.empty(0, bool)},
        face_color=POSITIVE_COLOUR,
        border_color="white",
        border_width=0.0,
        canvas_size_limits=(11, 18),
        **common,
    )
    layer.mode = "pan_zoom"
    return layer
