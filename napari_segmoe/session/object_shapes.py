"""Tools on objects' pixels: fill, smooth, grow, shrink, merge, split. Pure functions.

All take a crop of a label image and return a new one; pixels of objects that are not
named never change.
"""

from collections.abc import Collection, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import line as draw_line
from skimage.feature import peak_local_max
from skimage.measure import label
from skimage.segmentation import watershed

from napari_segmoe.inference.splitting import part_touching
from napari_segmoe.session.objects import Labels
from napari_segmoe.types import Mask

_SMALLEST_PART = 0.02  # of an object's area: less is no object of its own
_EIGHT = np.ones((3, 3), bool)


def fill_holes(labels: Labels, ids: Collection[int]) -> Labels:
    """Give objects the background that they enclose; other objects in it stay."""
    changed = labels.copy()
    for number in ids:
        filled = ndimage.binary_fill_holes(labels == number)
        changed[filled & (changed == 0)] = number
    return changed


def smooth(labels: Labels, ids: Collection[int], *, radius_px: float) -> Labels:
    """Round the outlines of objects off; one that would vanish stays as it is.

    Parameters
    ----------
    labels : (H, W) uint32
    ids : collection of int
    radius_px : float
        Bumps and dents below this size go.
    """
    changed = labels.copy()
    for number in ids:
        own = labels == number
        wanted = ndimage.gaussian_filter(own.astype(np.float32), radius_px) > 0.5
        if (wanted & (own | (changed == 0))).any():
            changed[own & ~wanted] = 0
            changed[wanted & (changed == 0)] = number
    return changed


def grow(labels: Labels, ids: Collection[int], *, px: float) -> Labels:
    """Give objects the background within ``px`` pixels; halfway where two meet.

    Nothing beyond another object is taken: what is added hangs together with its own.
    """
    own = np.where(np.isin(labels, list(ids)), labels, 0)
    distance, nearest = ndimage.distance_transform_edt(own == 0, return_indices=True)
    reached = (distance <= px) & (labels == 0)
    wanted = np.where(reached, own[tuple(nearest)], 0)
    changed = labels.copy()
    for number in ids:
        grown = label((wanted == number) | (own == number), connectivity=2)
        kept = np.isin(grown, np.unique(grown[own == number])) & (own != number)
        changed[kept & (grown > 0)] = number
    return changed


def shrink(labels: Labels, ids: Collection[int], *, px: float) -> Labels:
    """Take ``px`` pixels off around objects; one that would vanish stays as it is.

    An edge of the crop is no outline of an object: the image ends there.
    """
    changed = labels.copy()
    for number in ids:
        own = labels == number
        kept = ndimage.distance_transform_edt(np.pad(own, 1, mode="edge"))[1:-1, 1:-1]
        inner = kept > px
        if inner.any():
            changed[own & ~inner] = 0
    return changed


def merge(labels: Labels, ids: Collection[int], *, into: int) -> Labels:
    """Give all pixels of objects to one of them."""
    merged: Labels = np.where(np.isin(labels, list(ids)), into, labels)
    return merged.astype(np.uint32)


def split_by_distance(
    mask: Mask, distance: NDArray[np.floating] | None
) -> NDArray[np.int32]:
    """Part one object where it narrows.

    Parameters
    ----------
    mask : (H, W) bool
        Its pixels.
    distance : (H, W) float or None
        The network's distance, positive inside; by default the distance to the edge.

    Returns
    -------
    (H, W) int32
        Parts from 1; all 1 where it narrows nowhere.

    Notes
    -----
    Watershed on the distance from its maxima (`part_touching`); where it sees one
    object, from the two highest maxima, as the user knows of two.
    """
    parts = label(mask, connectivity=2)
    if parts.max() > 1:
        return np.asarray(parts, np.int32)
    smallest = max(_SMALLEST_PART * float(mask.sum()), 4.0)
    own = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1].astype(np.float32)
    for height in (own,) if distance is None else (distance, own):
        height = np.where(mask, height, 0).astype(np.float32)
        if height.max() <= 0:
            continue
        found = part_touching(
            parts.astype(np.int32), height / height.max(), smallest_px=smallest
        )
        if found.max() < 2:
            found = _two_parts(mask, height)
        if found.max() > 1 and np.bincount(found.ravel())[1:].min() >= smallest:
            return np.asarray(found, np.int32)
    return mask.astype(np.int32)


def split_by_line(
    mask: Mask, points: Sequence[tuple[float, float]]
) -> NDArray[np.int32]:
    """Part one object along a line; all 1 where the line does not part it.

    Parameters
    ----------
    mask : (H, W) bool
        Its pixels.
    points : sequence of (y, x)
        The line, in pixels; the side next to a pixel of it gets that pixel.
    """
    cut = np.zeros(mask.shape, bool)
    for (y0, x0), (y1, x1) in pairwise(points):
        rows, columns = draw_line(round(y0), round(x0), round(y1), round(x1))
        inside = (
            (rows >= 0)
            & (rows < mask.shape[0])
            & (columns >= 0)
            & (columns < mask.shape[1])
        )
        cut[rows[inside], columns[inside]] = True
    # a thin line has gaps for neighbours across corners: label by edges alone
    sides = label(mask & ~cut, connectivity=1)
    before = label(mask, connectivity=2).max()
    sizes = np.bincount(sides.ravel())
    small = np.flatnonzero(sizes < max(4, _SMALLEST_PART * mask.sum()))
    sides[np.isin(sides, small)] = 0
    sides = label(sides > 0, connectivity=1)
    if sides.max() <= max(before, 1):
        return mask.astype(np.int32)
    nearest = ndimage.distance_transform_edt(
        sides == 0, return_distances=False, return_indices=True
    )
    return np.where(mask, sides[tuple(nearest)], 0).astype(np.int32)


def _two_parts(mask: Mask, height: NDArray[np.float32]) -> NDArray[np.int32]:
    peaks = peak_local_max(
        ndimage.gaussian_filter(height, 1.0),
        min_distance=3,
        labels=mask.astype(np.int32),
        num_peaks=2,
        exclude_border=False,
    )
    markers = np.zeros(mask.shape, np.int32)
    for number, (y, x) in enumerate(peaks, start=1):
        markers[y, x] = number
    if len(peaks) < 2:
        return mask.astype(np.int32)
    return np.asarray(watershed(-height, markers, mask=mask, connectivity=_EIGHT))
