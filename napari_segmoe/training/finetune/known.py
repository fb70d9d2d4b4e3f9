"""What is known of each pixel: an object, background, or nothing."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.training.finetune.snapshot import LearntObject, LearntPatch
from napari_segmoe.training.sources import IGNORED_ID

RING_SHARE = 0.1
RING_PX = 4.0

Ids = NDArray[np.int32]


def known_ids(
    patch: LearntPatch, objects: Collection[LearntObject], *, pixel_px: float = 1.0
) -> Ids:
    """Return object ids, 0 where background is known, -1 where nothing is.

    Background is known in a thin ring round each object and in finished tiles, but
    never under another object, accepted or not. What belongs to objects that are left
    out is not known: neither they, nor rings, nor tiles that they lie in.

    Parameters
    ----------
    patch : LearntPatch
    objects : collection of LearntObject
        Those of the patch that count; others are held out.
    pixel_px : float
        Pixels of the patch per network pixel.

    Returns
    -------
    (h, w) int32
    """
    ids: Ids = np.full(patch.labels.shape, IGNORED_ID, np.int32)
    kept = {one.id for one in objects}
    left_out = [one for one in patch.objects if one.id not in kept]
    for tile in patch.tiles:
        if not any(_meets(one.box, tile) for one in left_out):
            ids[tile[0] : tile[2], tile[1] : tile[3]] = 0
    for one in objects:
        _add_ring(ids, patch, one, pixel_px)
    ids[patch.labels > 0] = IGNORED_ID
    for one in objects:
        y0, x0, y1, x1 = _within(one.box, ids.shape)
        own = patch.labels[y0:y1, x0:x1] == one.id
        ids[y0:y1, x0:x1][own] = one.id
    return ids


def _add_ring(ids: Ids, patch: LearntPatch, one: LearntObject, pixel_px: float) -> None:
    y0, x0, y1, x1 = one.box
    width = max(RING_PX * pixel_px, RING_SHARE * max(y1 - y0, x1 - x0))
    reach = int(np.ceil(width)) + 1
    y0, x0, y1, x1 = _within(
        (y0 - reach, x0 - reach, y1 + reach, x1 + reach), ids.shape
    )
    own = patch.labels[y0:y1, x0:x1] == one.id
    if not own.any():
        return
    near = ndimage.distance_transform_edt(~own) <= width
    ids[y0:y1, x0:x1][near] = 0


def _within(
    box: tuple[int, int, int, int], shape: tuple[int, ...]
) -> tuple[int, int, int, int]:
    y0, x0, y1, x1 = box
    return max(y0, 0), max(x0, 0), min(y1, shape[0]), min(x1, shape[1])


def _meets(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return (
        one[0] < other[2]
        and other[0] < one[2]
        and one[1] < other[3]
        and other[1] < one[3]
    )
