"""Which part of an image an answer about one object can change. Loads no torch.

Finding a component of a whole region costs what the region covers; the same is found
in the bounding box of what can hang together with the prompts, judged on the
network's grid.
"""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.data.patches import PixelBox, clip_box
from napari_segmoe.data.windows import Window
from napari_segmoe.types import Prompts

_EIGHT = np.ones((3, 3), bool)
_REACH_GRID_PX = 4  # more than the reach of a click, and of interpolation
_SLACK = 1e-4  # of rounding when probabilities are interpolated


def area_of(
    probability: NDArray[np.float32],
    window: Window,
    shape: tuple[int, int],
    *,
    threshold: float,
    boxes: Iterable[tuple[float, float, float, float]],
) -> PixelBox:
    """Return the box that holds some boxes and every component that touches them.

    Parameters
    ----------
    probability : (n, n) float32
        Of the answer, on the window's grid.
    window : Window
    shape : (H, W)
        The image's size.
    threshold : float
        Lowest probability at which components are looked for.
    boxes : iterable of (y0, x0, y1, x1)
        What is pointed at, in pixels of the image.

    Returns
    -------
    (y0, x0, y1, x1)
        In pixels of the image, inside it; begins at even pixels, so that a half
        pixel is rounded alike in it and in the image.

    Notes
    -----
    An interpolated pixel above the threshold has such a grid pixel beside it, so what
    hangs together in the image does so among these, grown by one.
    """
    boxes = tuple(boxes)
    if window.scale >= 1:
        return _even(_union([*boxes, window.box]), shape)
    near = ndimage.binary_dilation(probability > threshold - _SLACK, _EIGHT)
    labels, _ = ndimage.label(near, structure=_EIGHT)
    hit: set[int] = set()
    for box in boxes:
        y0, x0, y1, x1 = clip_box(_cells(box, window), labels.shape)
        hit.update(np.unique(labels[y0:y1, x0:x1]).tolist())
    hit.discard(0)
    found = ndimage.find_objects(labels) if hit else []
    held = [_pixels(found[number - 1], window) for number in sorted(hit)]
    return _even(_union([*boxes, *held]), shape)


def pointed_at(prompts: Prompts) -> list[tuple[float, float, float, float]]:
    """Return a box around each prompt."""
    points = [(click.y, click.x) for click in prompts.clicks]
    points += [point for stroke in prompts.strokes for point in stroke.points]
    boxes = [(y - 1, x - 1, y + 2, x + 2) for y, x in points]
    if prompts.box is not None:
        box = prompts.box
        boxes.append((box.y0 - 1, box.x0 - 1, box.y1 + 1, box.x1 + 1))
    return boxes


def grow(box: PixelBox, by_px: float, shape: tuple[int, int]) -> PixelBox:
    """Return a box grown on each side, inside an image; begins at even pixels."""
    more = math.ceil(by_px)
    return _even((box[0] - more, box[1] - more, box[2] + more, box[3] + more), shape)


def _cells(box: tuple[float, float, float, float], window: Window) -> PixelBox:
    """Return the grid pixels near a box."""
    y0, x0 = window.to_grid(box[0], box[1])
    y1, x1 = window.to_grid(box[2], box[3])
    return (
        math.floor(y0) - _REACH_GRID_PX,
        math.floor(x0) - _REACH_GRID_PX,
        math.ceil(y1) + _REACH_GRID_PX + 1,
        math.ceil(x1) + _REACH_GRID_PX + 1,
    )


def _pixels(cells: tuple[slice, ...], window: Window) -> PixelBox:
    """Return the pixels of the image that lie in some grid pixels."""
    rows, columns = cells
    return (
        window.y0 + math.floor(rows.start / window.scale) - 1,
        window.x0 + math.floor(columns.start / window.scale) - 1,
        window.y0 + math.ceil(rows.stop / window.scale) + 1,
        window.x0 + math.ceil(columns.stop / window.scale) + 1,
    )


def _union(boxes: list[tuple[float, float, float, float]]) -> PixelBox:
    y0, x0, y1, x1 = zip(*boxes, strict=True)
    return (
        math.floor(min(y0)),
        math.floor(min(x0)),
        math.ceil(max(y1)),
        math.ceil(max(x1)),
    )


def _even(box: PixelBox, shape: tuple[int, int]) -> PixelBox:
    y0, x0, y1, x1 = box
    return clip_box((y0 - y0 % 2, x0 - x0 % 2, y1, x1), shape)
