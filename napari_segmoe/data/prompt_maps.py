"""Draw prompts as the maps that a prompt stem reads."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from skimage.draw import disk, line

from napari_segmoe.types import Box, Click, Stroke

POSITIVE, NEGATIVE, PREVIOUS, BOX, MODE = range(5)
CHANNELS = 5
DECAY = 0.98


def draw_prompts(
    shape: tuple[int, int],
    *,
    clicks: Sequence[Click] = (),
    strokes: Sequence[Stroke] = (),
    box: Box | None = None,
    previous: NDArray[np.float32] | None = None,
    radius_px: float = 5.0,
) -> NDArray[np.float32]:
    """Return prompt maps, (5, h, w) float32 in 0..1.

    Parameters
    ----------
    shape : (h, w)
        Size at network resolution.
    clicks, strokes : sequence
        In the order given, in pixels of this grid. The newest is drawn at 1, each
        older one 0.98 times its follower.
    box : Box, optional
        Its interior is filled.
    previous : (h, w) float32, optional
        Foreground probability of the answer before.
    radius_px : float
        Radius of a click's disk; strokes are drawn 3 px wide.

    Returns
    -------
    (5, h, w) float32
        Positive, negative, previous, box and mode plane. All zero without a prompt.

    Notes
    -----
    Disk maps as in RITM (Sofiiuk et al. 2022); the mode plane is 1 wherever any
    prompt is given, so that far pixels know that one object is asked for.
    """
    maps = np.zeros((CHANNELS, *shape), np.float32)
    if not clicks and not strokes and box is None:
        return maps
    maps[MODE] = 1.0
    for age, stroke in enumerate(reversed(strokes)):
        channel = POSITIVE if stroke.positive else NEGATIVE
        _stamp(maps[channel], _stroke_pixels(stroke, shape), DECAY**age)
    for age, click in enumerate(reversed(clicks)):
        channel = POSITIVE if click.positive else NEGATIVE
        pixels = disk((click.y, click.x), radius_px, shape=shape)
        _stamp(maps[channel], pixels, DECAY**age)
    if box is not None:
        y0, x0 = max(round(box.y0), 0), max(round(box.x0), 0)
        maps[BOX, y0 : max(round(box.y1), 0), x0 : max(round(box.x1), 0)] = 1.0
    if previous is not None:
        maps[PREVIOUS] = previous
    return maps


Pixels = tuple[NDArray[np.intp], NDArray[np.intp]]


def _stamp(target: NDArray[np.float32], pixels: Pixels, value: float) -> None:
    target[pixels] = np.maximum(target[pixels], value)


def _stroke_pixels(stroke: Stroke, shape: tuple[int, int]) -> Pixels:
    points = [(round(y), round(x)) for y, x in stroke.points]
    if len(points) == 1:
        points = points * 2
    pieces = [line(*start, *end) for start, end in pairwise(points)]
    rows = np.concatenate([piece[0] for piece in pieces])
    columns = np.concatenate([piece[1] for piece in pieces])
    offsets = np.arange(-1, 2)
    rows = (rows[:, None, None] + offsets[:, None] + 0 * offsets).ravel()
    columns = (columns[:, None, None] + 0 * offsets[:, None] + offsets).ravel()
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    return rows[inside], columns[inside]
