"""Clicks and strokes as a person would give them, drawn from a known truth.

One clicker serves two masters: with a generator it is the noisy clicker of
training, without one the deterministic clicker of the evaluation protocol.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.types import Click, Mask, Stroke


def next_click(
    predicted: Mask,
    truth: Mask,
    *,
    known: Mask | None = None,
    rng: np.random.Generator | None = None,
) -> Click | None:
    """Place the click that a person would make next.

    The click falls into the deepest of the two kinds of error: positive where
    truth was missed, negative where too much was marked.

    Parameters
    ----------
    predicted, truth : (H, W) bool
        What the network marked and what it should have marked.
    known : (H, W) bool, optional
        Pixels whose truth is known; clicks fall nowhere else. Default: all.
    rng : Generator, optional
        Without it the first of the deepest pixels is taken; with it any pixel
        deeper than half of the deepest.

    Returns
    -------
    Click or None
        None where no known pixel is wrong.

    Raises
    ------
    ValueError
        If the arrays differ in shape.
    """
    if predicted.shape != truth.shape:
        raise ValueError(
            f"The prediction has shape {predicted.shape}, the truth {truth.shape}; "
            "they must be equal."
        )
    missed, extra = truth & ~predicted, predicted & ~truth
    if known is not None:
        missed, extra = missed & known, extra & known
    missed_depth, extra_depth = distance_inside(missed), distance_inside(extra)
    positive = bool(missed_depth.max(initial=0.0) >= extra_depth.max(initial=0.0))
    depth = missed_depth if positive else extra_depth
    deepest = depth.max(initial=0.0)
    if deepest == 0:
        return None
    if rng is None:
        y, x = np.unravel_index(int(np.argmax(depth)), depth.shape)
        return Click(float(y), float(x), positive=positive)
    return _random_pixel(depth > deepest / 2, rng, positive=positive)


def border_click(
    predicted: Mask, truth: Mask, rng: np.random.Generator
) -> Click | None:
    """Place a click at the rim of the deeper kind of error.

    Parameters
    ----------
    predicted, truth : (H, W) bool
        What the network marked and what it should have marked.
    rng : Generator
        Draws the pixel among those at most 2 px inside the error region.

    Returns
    -------
    Click or None
        None where no pixel is wrong.
    """
    centre = next_click(predicted, truth)
    if centre is None:
        return None
    wrong = (truth & ~predicted) if centre.positive else (predicted & ~truth)
    depth = distance_inside(wrong)
    return _random_pixel((depth > 0) & (depth <= 2), rng, positive=centre.positive)


def first_clicks(
    truth: Mask,
    rng: np.random.Generator,
    *,
    most_positive: int = 3,
    most_negative: int = 2,
    decay: float = 0.6,
) -> tuple[Click, ...]:
    """Draw the clicks that open the work on one object.

    Parameters
    ----------
    truth : (H, W) bool
        The object.
    rng : Generator
        Draws numbers and places.
    most_positive, most_negative : int
        Largest number of clicks of each kind.
    decay : float
        Each further click is this much less likely than the one before.

    Returns
    -------
    tuple of Click
        At least one positive click, most often near the middle of the object, then
        further ones; negative ones lie in a ring around it or on far background.
        Empty where the truth is empty.
    """
    depth = distance_inside(truth)
    deepest = depth.max(initial=0.0)
    if deepest == 0:
        return ()
    first = _random_pixel(depth > deepest / 2, rng, positive=True)
    inner = depth > min(deepest / 4, 3.0)
    further = _draw_count(most_positive - 1, decay, rng)
    clicks = [
        first,
        *(_random_pixel(inner, rng, positive=True) for _ in range(further)),
    ]
    for _ in range(_draw_count(most_negative, decay / 2, rng)):
        place = _negative_places(truth, near=rng.random() < 0.6)
        if place.any():
            clicks.append(_random_pixel(place, rng, positive=False))
    return tuple(clicks)


def background_click(
    truth: Mask,
    rng: np.random.Generator,
    *,
    min_distance_px: float = 10.0,
    allowed: Mask | None = None,
) -> Click | None:
    """Draw a positive click where there is nothing to find.

    Parameters
    ----------
    truth : (H, W) bool
        All objects of the image.
    rng : Generator
        Draws the place.
    min_distance_px : float
        Least distance from any object, in pixels.
    allowed : (H, W) bool, optional
        Where a click may fall, such as the tissue. Default: everywhere.

    Returns
    -------
    Click or None
        A positive click that asks for an empty mask; None where no pixel is far
        enough from all objects.
    """
    places = np.ones(truth.shape, bool) if allowed is None else allowed.copy()
    if truth.any():
        places &= ndimage.distance_transform_edt(~truth) >= min_distance_px
    return _random_pixel(places, rng, positive=True) if places.any() else None


def simulate_stroke(
    mask: Mask,
    rng: np.random.Generator,
    *,
    positive: bool = True,
    length_px: float | None = None,
) -> Stroke | None:
    """Draw a line as a hurried hand would draw it inside a region.

    Parameters
    ----------
    mask : (H, W) bool
        The region in which the stroke stays.
    rng : Generator
        Draws start, direction and bends.
    positive : bool
        Whether the stroke says "this" or "not this".
    length_px : float, optional
        Length of the walk. Default: between a half and one and a half times the
        square root of the region's area.

    Returns
    -------
    Stroke or None
        A random walk of smoothly turning steps; None where the region is empty.
    """
    depth = distance_inside(mask)
    deepest = depth.max(initial=0.0)
    if deepest == 0:
        return None
    if length_px is None:
        length_px = float(np.sqrt(mask.sum()) * rng.uniform(0.5, 1.5))
    start = _random_pixel(depth > deepest / 3, rng, positive=positive)
    step_px = float(np.clip(deepest / 3, 1.0, 6.0))
    points = [(start.y, start.x)]
    angle = rng.uniform(0, 2 * np.pi)
    for _ in range(max(1, int(length_px / step_px))):
        angle += rng.normal(0, 0.4)
        angle, point = _step_inside(mask, points[-1], angle, step_px)
        if point is None:
            break
        points.append(point)
    return Stroke(tuple(points), positive=positive)


def distance_inside(mask: Mask) -> NDArray[np.float64]:
    """Measure how deep each pixel of a mask lies; the image border counts as edge.

    Parameters
    ----------
    mask : (H, W) bool
        Any mask.

    Returns
    -------
    (H, W) float64
        Distance to the nearest pixel outside, in pixels; 0 outside.
    """
    depth = np.zeros(mask.shape)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if rows.size == 0:
        return depth
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    padded = np.pad(mask[box], 1)
    depth[box] = ndimage.distance_transform_edt(padded)[1:-1, 1:-1]
    return depth


def _step_inside(
    mask: Mask, start: tuple[float, float], angle: float, step_px: float
) -> tuple[float, tuple[float, float] | None]:
    for turn in (0.0, 0.8, -0.8, 1.6, -1.6, 2.4, -2.4, np.pi):
        y = start[0] + step_px * np.sin(angle + turn)
        x = start[1] + step_px * np.cos(angle + turn)
        row, column = round(y), round(x)
        inside = 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]
        if inside and mask[row, column]:
            return angle + turn, (float(y), float(x))
    return angle, None


def _negative_places(truth: Mask, *, near: bool) -> Mask:
    away = ndimage.distance_transform_edt(~truth)
    ring_px = max(3.0, 0.2 * float(np.sqrt(truth.sum())))
    if near:
        return (away > 2) & (away <= 2 + ring_px)
    return away > 2 + ring_px


def _draw_count(most: int, chance: float, rng: np.random.Generator) -> int:
    count = 0
    while count < most and rng.random() < chance:
        count += 1
    return count


def _random_pixel(places: Mask, rng: np.random.Generator, *, positive: bool) -> Click:
    chosen = int(rng.choice(np.flatnonzero(places)))
    y, x = divmod(chosen, places.shape[1])
    return Click(float(y), float(x), positive=positive)
