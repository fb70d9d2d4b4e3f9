"""Join a new answer with what the user already accepted. Loads no torch."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.types import Click, Mask

_EIGHT = np.ones((3, 3), bool)
_PULL, _PULL_WIDTH = 2.0, 1.5  # times the click's distance from the outline
_SMOOTHING = 0.06  # of the radius of a disk of the mask's area


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
        Least distance by which a click on the wrong side moves the outline.

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
        Least d. At most d is the radius of a disk of the mask's area.

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
    inside = ndimage.distance_transform_edt(previous)
    outside = ndimage.distance_transform_edt(~previous)
    size = np.sqrt(max(int(previous.sum()), 1) / np.pi)
    found = float((outside if click.positive else inside)[row, column])
    if found > size and merged[row, column] == click.positive:
        return merged  # the network found something apart from the mask
    d = max(min(found, size), least_px, 1.0)
    y, x = np.ogrid[: merged.shape[0], : merged.shape[1]]
    away_squared = (y - click.y) ** 2 + (x - click.x) ** 2
    move = _PULL * d * np.exp(-away_squared / (2 * (_PULL_WIDTH * d) ** 2))
    disk = away_squared <= d**2
    if click.positive:
        pulled = merged | (inside - outside + move > 0) | disk
    else:
        pulled = merged & (inside - outside - move > 0) & ~disk
    blurred = ndimage.gaussian_filter(
        pulled.astype(np.float32), max(_SMOOTHING * size, 0.5)
    )
    near = away_squared <= (3 * d) ** 2
    smoothed: Mask = np.where(near, blurred > 0.5, pulled)
    smoothed[row, column] = click.positive
    return smoothed


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
