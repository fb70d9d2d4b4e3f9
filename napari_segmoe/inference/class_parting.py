"""Part objects where their pixels are of different classes. Loads no torch."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_EIGHT = np.ones((3, 3), bool)
_LEAST_SHARE = 0.1  # of an object; smaller pieces are doubt along an edge


def part_classes(
    labels: NDArray[np.integer], classes: NDArray[np.uint8], *, smallest_px: float
) -> NDArray[np.int32]:
    """Give touching pieces of different classes ids of their own.

    Parameters
    ----------
    labels : (H, W) integer
        Object ids, 0 being background.
    classes : (H, W) uint8
        The most probable class of each pixel, from 1.
    smallest_px : float
        Pieces below this area, or below a tenth of their object, are no objects: their
        pixels go to the nearest piece that is.

    Returns
    -------
    (H, W) int32
        New ids, without gaps; pieces of one class that do not touch are apart.
    """
    parted = np.zeros(labels.shape, np.int32)
    count = 0
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        inside = labels[box] == number
        pieces = _pieces(inside, classes[box], smallest_px)
        parted[box][inside] = (pieces + count)[inside]
        count += int(pieces.max())
    return parted


def _pieces(
    inside: NDArray[np.bool_], classes: NDArray[np.uint8], smallest_px: float
) -> NDArray[np.int32]:
    """Return ids from 1 over one object."""
    least = max(smallest_px, _LEAST_SHARE * np.count_nonzero(inside))
    pieces = np.zeros(inside.shape, np.int32)
    count = 0
    for one in np.unique(classes[inside]):
        found, some = ndimage.label(inside & (classes == one), structure=_EIGHT)
        sizes = np.bincount(found.ravel(), minlength=some + 1)
        for piece in range(1, some + 1):
            if sizes[piece] >= least:
                count += 1
                pieces[found == piece] = count
    if count < 2:
        return inside.astype(np.int32)
    _, nearest = ndimage.distance_transform_edt(pieces == 0, return_indices=True)
    return np.where(inside, pieces[tuple(nearest)], 0).astype(np.int32)
