"""Moves the camera."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOM = 2.5  # for an object: its surroundings say what it is


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
        The canvas shows this many times the rectangle's longer side.
    """
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    middle = (np.asarray(low, float) + np.asarray(high, float)) / 2
    camera.center = (*camera.center[:-2], float(middle[0]), float(middle[1]))
    side = float(np.max(np.asarray(high) - np.asarray(low)))
    canvas = getattr(viewer, "canvas", None)  # from napari 0.9 on
    if canvas is not None and side > 0:
        camera.zoom = float(np.min(canvas.size)) / (side * room)
