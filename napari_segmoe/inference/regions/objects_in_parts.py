"""Part one component of a mask where a predicted distance narrows. Loads no torch."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.inference.splitting import NECK, part_touching
from napari_segmoe.types import Mask

_EIGHT = np.ones((3, 3), bool)
# The levels of `may_be_several` begin at the least distance that `part_touching` heeds;
# of a neck of 0.75 each is 1.3 times the one before.
_LEAST, _CLOSER = 0.05, 0.975
_HIGHER = 1.1  # than a level is a peak that `rough_parts` heeds


def parts_of(
    mask: Mask,
    distance: NDArray[np.float32],
    *,
    smallest_px: float,
    neck: float = NECK,
) -> NDArray[np.int32]:
    """Return the objects in a component, (h, w), ids from 1.

    Parameters
    ----------
    mask : (h, w) bool
        One component, or several apart from each other.
    distance : (h, w) float32
        Predicted signed distance, positive inside.
    smallest_px : float
        Parts below this area stay with a neighbour.
    neck : float
        Share of the lower peak below which two are parted.
    """
    components, count = ndimage.label(mask, structure=_EIGHT)
    found: NDArray[np.int32] = components.astype(np.int32)
    latest = count
    for number, place in enumerate(ndimage.find_objects(components), 1):
        own = components[place] == number
        deep = distance[place]
        if own.sum() < 2 * smallest_px or not may_be_several(own, deep, neck=neck):
            continue
        parts = part_touching(
            own.astype(np.int32), deep, smallest_px=smallest_px, neck=neck
        )
        more = parts > 1
        found[place][more] = parts[more] + latest - 1
        latest += max(int(parts.max(initial=1)) - 1, 0)
    return found


def may_be_several(
    mask: Mask, distance: NDArray[np.float32], *, neck: float = NECK
) -> bool:
    """Whether `part_touching` could part a component; quick, and True if unsure.

    Two peaks are parted where the distance between them falls below a share of the
    lower one. Then one of a few levels, each a little less than that share above the
    one before, lies between both, and what is above it is not connected.
    """
    inside = np.where(mask, distance, 0)
    highest, level = float(inside.max(initial=0)), _LEAST
    while level < highest:
        if ndimage.label(inside > level, structure=_EIGHT)[1] > 1:
            return True
        level *= _CLOSER / neck
    return False


def rough_parts(
    mask: Mask, distance: NDArray[np.float32], *, neck: float = NECK
) -> NDArray[np.int32]:
    """Return about what `part_touching` finds in a component, far quicker; ids from 1.

    Of some levels the one counts at which most peaks stand apart, each a tenth above
    it; every pixel belongs to the nearest of them. Necks a little wider part too.

    Parameters
    ----------
    mask : (h, w) bool
        One component.
    distance : (h, w) float32
        Predicted signed distance, positive inside.
    neck : float
        Share of the lower peak below which two are parted.
    """
    inside = np.where(mask, distance, 0)
    highest, level = float(inside.max(initial=0)), _LEAST
    best, most = mask.astype(np.int32), 1
    while level * _HIGHER < highest:
        cores, count = ndimage.label(inside > level, structure=_EIGHT)
        if count > most:
            peaks = ndimage.maximum(inside, cores, np.arange(count + 1))
            high = np.flatnonzero(np.asarray(peaks)[1:] >= level * _HIGHER) + 1
            if len(high) > most:
                table = np.zeros(count + 1, np.int32)
                table[high] = np.arange(1, len(high) + 1)
                best, most = table[cores], len(high)
        level /= _HIGHER * neck
    if most == 1:
        return best
    nearest = ndimage.distance_transform_edt(
        best == 0, return_distances=False, return_indices=True
    )
    return np.where(mask, best[tuple(nearest)], 0).astype(np.int32)


def innermost(mask: Mask) -> tuple[int, int]:
    """Return the pixel (y, x) farthest from the outline and from the array's border."""
    padded = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), bool)
    padded[1:-1, 1:-1] = mask
    inside = ndimage.distance_transform_edt(padded)[1:-1, 1:-1]
    y, x = np.unravel_index(int(inside.argmax()), mask.shape)
    return int(y), int(x)
