"""Moves the camera, and says what it shows."""

from typing import Any

import numpy as np
from napari.layers import Layer
from numpy.typing import NDArray

ROOM = 2.5  # the canvas shows this many times what is looked at
_FIRST_CANVAS_PX = (600, 600)  # of a viewer that tells no size


def camera_of(viewer: Any) -> Any:
    """Return the camera of the 2-D canvas; napari 0.9 moved it."""
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera


def look_at(
    viewer: Any, low: NDArray[Any], high: NDArray[Any], *, room: float = ROOM
) -> None:
    """Bring a rectangle to the middle of the 2-D canvas, with room around it.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    low, high : (2,) float
        Corners (y, x) in world coordinates.
    room : float
        The canvas shows this many times the rectangle.
    """
    camera = camera_of(viewer)
    middle = (np.asarray(low, float) + np.asarray(high, float)) / 2
    camera.center = (*camera.center[:-2], float(middle[0]), float(middle[1]))
    sides = np.maximum(np.asarray(high, float) - np.asarray(low, float), 1e-12)
    canvas = getattr(viewer, "canvas", None)  # from napari 0.9 on
    if canvas is not None and sides.max() > 1e-12:
        camera.zoom = float(np.min(np.asarray(canvas.size) / (sides * room)))


def look_at_box(
    viewer: Any,
    layer: Layer,
    box: tuple[float, float, float, float],
    *,
    room: float = ROOM,
) -> None:
    """Bring a box (y0, x0, y1, x1) of a layer's pixels to the middle of the canvas."""
    y0, x0, y1, x1 = box
    corners = [layer.data_to_world((y, x)) for y in (y0, y1) for x in (x0, x1)]
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    look_at(viewer, low[-2:], high[-2:], room=room)


def field_of_view(viewer: Any, layer: Layer) -> tuple[float, float, float, float]:
    """Return the box of a layer's data that the 2-D canvas shows.

    Returns
    -------
    (y0, x0, y1, x1)
        Edges in the layer's pixels: 0 is the upper edge of pixel 0. On a rotated
        layer the box around what is shown.
    """
    camera = camera_of(viewer)
    middle = np.asarray(camera.center, float)[-2:]
    half = _canvas_size(viewer) / (2 * camera.zoom)
    corners = [
        np.asarray(layer.world_to_data(middle + half * (y, x)), float)[-2:] + 0.5
        for y in (-1, 1)
        for x in (-1, 1)
    ]
    (y0, x0), (y1, x1) = np.min(corners, axis=0), np.max(corners, axis=0)
    return float(y0), float(x0), float(y1), float(x1)


def pixels_per_point(viewer: Any, layer: Layer) -> float:
    """Return how many of a layer's pixels one pixel of the canvas shows."""
    origin, step = np.zeros(layer.ndim), np.zeros(layer.ndim)
    step[-1] = 1
    start, end = (np.asarray(layer.data_to_world(p), float) for p in (origin, step))
    length = float(np.linalg.norm((end - start)[-2:]))
    return 1.0 / max(camera_of(viewer).zoom * length, 1e-12)


def _canvas_size(viewer: Any) -> NDArray[np.float64]:
    """Return the canvas's height and width in pixels of the screen."""
    canvas = getattr(viewer, "canvas", None)  # from napari 0.9 on
    return np.asarray(canvas.size if canvas is not None else _FIRST_CANVAS_PX, float)
