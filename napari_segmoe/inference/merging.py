"""Join a new answer with what the user already accepted. Loads no torch."""

import numpy as np
from scipy import ndimage

from napari_segmoe.types import Click, Mask

_EIGHT = np.ones((3, 3), bool)


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
    """Let one click change only the connected difference under it.

    Parameters
    ----------
    previous, answer : (H, W) bool
        What was there, and what the network now says.
    click : Click
        The newest click.
    locked : (H, W) bool, optional
        Pixels of committed objects; never changed.
    obey_px : float
        Where the network disobeys, a disk of this radius is set or cleared.

    Returns
    -------
    (H, W) bool

    Notes
    -----
    Progressive merge of FocalClick (Chen et al. 2022).
    """
    changed = component_under(previous ^ answer, click.y, click.x)
    merged = np.where(changed, answer, previous)
    row, column = round(click.y), round(click.x)
    inside = 0 <= row < merged.shape[0] and 0 <= column < merged.shape[1]
    if inside and merged[row, column] != click.positive:
        merged = merged.copy()
        merged[_disk(merged.shape, click, obey_px)] = click.positive
    if locked is not None:
        merged = merged & ~locked
    return merged


def _disk(shape: tuple[int, ...], click: Click, radius: float) -> Mask:
    y, x = np.ogrid[: shape[0], : shape[1]]
    disk: Mask = (y - click.y) ** 2 + (x - click.x) ** 2 <= max(radius, 1.0) ** 2
    return disk


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
