"""Join a new answer with what the user already accepted. Loads no torch."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.types import Click, Mask

_EIGHT = np.ones((3, 3), bool)
_PULL, _PULL_WIDTH = 2.0, 1.5  # times the click's distance from the outline
_SMOOTHING = 0.06  # of the radius of a disk of the mask's area
_LEAST_OF_RADIUS = 0.25  # a small object must not leap to and fro


def component_under(mask: Mask, y: float, x: float, *, reach_px: float = 0.0) -> Mask:
    """Return the component of ``mask`` at a point, or the nearest within reach.

    Parameters
    ----------
    mask : (H, W) bool
    y, x : float
        The point, in pixels.
    reach_px : float
        How far the component may be from the point.

    Returns
    -------
    (H, W) bool
        Empty where there is none.
    """
    labels, count = ndimage.label(mask, structure=_EIGHT)
    if not count:
        return np.zeros_like(mask)
    row = int(np.clip(round(y), 0, mask.shape[0] - 1))
    column = int(np.clip(round(x), 0, mask.shape[1] - 1))
    found = labels[row, column]
    if not found and reach_px > 0:
        found = _nearest_label(labels, row, column, reach_px)
    if not found:
        return np.zeros_like(mask)
    component: Mask = labels == found
    return component


def merge_click(
    previous: Mask,
    answer: Mask,
    click: Click,
    *,
    locked: Mask | None = None,
    obey_px: float = 0.0,
) -> Mask:
    """Let one click change the connected difference under it, and the outline there.

    Parameters
    ----------
    previous, answer : (H, W) bool
        What was there, and what the network now says.
    click : Click
        The newest click.
    locked : (H, W) bool, optional
        Pixels of committed objects; never changed.
    obey_px : float
        Least d of `pull_outline` for a click on the wrong side.

    Returns
    -------
    (H, W) bool

    Notes
    -----
    Progressive merge of FocalClick (Chen et al. 2022); then `pull_outline`, so that
    no click stays without effect where the network disobeys.
    """
    changed = component_under(previous ^ answer, click.y, click.x)
    merged = np.where(changed, answer, previous)
    merged = pull_outline(previous, merged, click, least_px=obey_px)
    if locked is not None:
        merged = merged & ~locked
    return merged


def pull_outline(
    previous: Mask, merged: Mask, click: Click, *, least_px: float = 0.0
) -> Mask:
    """Move the outline past a click that lies on its wrong side.

    Who corrects clicks the middle of what is wrong, so the outline, d away from the
    click, belongs about as far on the click's other side. It moves by 2 d at the
    click, falling off as a Gaussian of deviation 1.5 d; a disk of radius d is obeyed
    in any case, and what was moved is smoothed.

    Parameters
    ----------
    previous, merged : (H, W) bool
        The mask that the click corrects, and the one that is changed.
    click : Click
    least_px : float
        Least d, but no more than a quarter of the radius of a disk of the mask's area.
        At most d is that radius.

    Returns
    -------
    (H, W) bool
        ``merged`` where the click agrees with ``previous``, or lies far from it on
        something that ``merged`` holds already.
    """
    row, column = round(click.y), round(click.x)
    if not (0 <= row < merged.shape[0] and 0 <= column < merged.shape[1]):
        return merged
    if previous[row, column] == click.positive:
        return merged
    size = _radius(previous)
    found = _distance_to(previous, row, column)
    if found > size and merged[row, column] == click.positive:
        return merged  # the network found something apart from the mask
    d = _pull_px(found, size, least_px)
    sigma = max(_SMOOTHING * size, 0.5)
    pulled = merged | previous if click.positive else merged & previous
    near = _around(row, column, _moved_px(d, sigma), merged.shape)
    pulled[near] = _pull_near(
        previous[near],
        merged[near],
        replace(click, y=click.y - near[0].start, x=click.x - near[1].start),
        d=d,
        sigma=sigma,
    )
    pulled[row, column] = click.positive
    return pulled


def reach_of_pull(
    previous: Mask, y: float, x: float, *, least_px: float = 0.0
) -> float:
    """Return how far from a click `pull_outline` changes anything, in pixels.

    Parameters
    ----------
    previous : (H, W) bool
        The mask that the click corrects.
    y, x : float
        The click.
    least_px : float
        As in `pull_outline`.
    """
    row = int(np.clip(round(y), 0, previous.shape[0] - 1))
    column = int(np.clip(round(x), 0, previous.shape[1] - 1))
    size = _radius(previous)
    d = _pull_px(_distance_to(previous, row, column), size, least_px)
    return _moved_px(d, max(_SMOOTHING * size, 0.5))


def _pull_px(distance: float, size: float, least_px: float) -> float:
    """Return d of `pull_outline` for a mask of a radius."""
    if size > 1:  # of an empty mask a click makes a disk
        least_px = min(least_px, _LEAST_OF_RADIUS * size)
    return max(min(distance, size), least_px, 1.0)


def _radius(mask: Mask) -> float:
    """Return the radius of a disk of the mask's area; of one pixel where empty."""
    return float(np.sqrt(max(int(np.count_nonzero(mask)), 1) / np.pi))


def _pull_near(
    previous: Mask, merged: Mask, click: Click, *, d: float, sigma: float
) -> Mask:
    """Return the mask around a click with its outline moved and smoothed."""
    inside, outside = _distance(previous), _distance(~previous)
    y, x = np.ogrid[: merged.shape[0], : merged.shape[1]]
    away_squared = (y - click.y) ** 2 + (x - click.x) ** 2
    move = _PULL * d * np.exp(-away_squared / (2 * (_PULL_WIDTH * d) ** 2))
    disk = away_squared <= d**2
    if click.positive:
        pulled = merged | (inside - outside + move > 0) | disk
    else:
        pulled = merged & (inside - outside - move > 0) & ~disk
    blurred = ndimage.gaussian_filter(pulled.astype(np.float32), sigma)
    near = away_squared <= (3 * d) ** 2
    smoothed: Mask = np.where(near, blurred > 0.5, pulled)
    return smoothed


def _moved_px(d: float, sigma: float) -> float:
    """Return how far from a click anything depends on how the outline moves.

    It moves by less than a pixel from where 2 d exp(-a^2 / (4.5 d^2)) is 1; distances
    up to 2 d count there. What is smoothed reaches 3 d and the width of the Gaussian.
    """
    edge = _PULL_WIDTH * d * np.sqrt(2 * np.log(max(_PULL * d, 1.0)))
    return float(max(edge + _PULL * d, 3 * d + 4 * sigma)) + 3


def _around(
    row: int, column: int, reach_px: float, shape: tuple[int, ...]
) -> tuple[slice, slice]:
    reach = int(np.ceil(reach_px))
    rows, columns = (
        slice(max(at - reach, 0), min(at + reach + 1, side))
        for at, side in zip((row, column), shape, strict=True)
    )
    return rows, columns


def _distance_to(mask: Mask, row: int, column: int) -> float:
    """Return how far a pixel is from the nearest one that differs from it."""
    differs = mask != mask[row, column]
    reach, largest = 64, max(mask.shape)
    while True:
        near = _around(row, column, reach, mask.shape)
        points = np.argwhere(differs[near])
        if len(points):
            away = np.hypot(
                points[:, 0] + near[0].start - row,
                points[:, 1] + near[1].start - column,
            ).min()
            if away <= reach:
                return float(away)
        if reach >= largest:
            return float(away) if len(points) else np.inf
        reach *= 2


def _distance(mask: Mask) -> NDArray[np.float64]:
    """Return the distance to the nearest pixel outside a mask; infinite without one."""
    if mask.all():
        return np.full(mask.shape, np.inf)
    return np.asarray(ndimage.distance_transform_edt(mask))


def agree_with(
    probability: NDArray[np.float32], mask: Mask, threshold: float
) -> NDArray[np.float32]:
    """Return probabilities that give back ``mask`` when cut at the threshold."""
    above = np.maximum(probability, np.nextafter(np.float32(threshold), np.float32(1)))
    return np.where(mask, above, np.minimum(probability, np.float32(threshold)))


def _nearest_label(labels: np.ndarray, row: int, column: int, reach_px: float) -> int:
    reach = int(np.ceil(reach_px))
    y0, x0 = max(row - reach, 0), max(column - reach, 0)
    near = labels[y0 : row + reach + 1, x0 : column + reach + 1]
    points = np.argwhere(near)
    if not len(points):
        return 0
    distance = np.hypot(points[:, 0] + y0 - row, points[:, 1] + x0 - column)
    best = int(distance.argmin())
    return int(near[tuple(points[best])]) if distance[best] <= reach_px else 0
