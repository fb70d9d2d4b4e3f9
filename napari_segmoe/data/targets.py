"""Targets for distance and boundary heads, made from a mask. No torch.

Semi-MoE (Vu et al., BMVC 2025) trains one expert on a signed distance and one on a
ring around the objects. Both are defined here for every mask: empty, full, one pixel.

Each function takes object ids, 0 being background. By default, and in the reference,
all ids count as one foreground; with ``per_instance=True`` touching objects are kept
apart.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import disk

_NONE_NEAR = np.iinfo(np.int32).max


def signed_distance(
    labels: NDArray[Any], *, per_instance: bool = False
) -> NDArray[np.float32]:
    """Return the signed distance to the objects' edge, each side scaled to 1.

    Parameters
    ----------
    labels : (H, W) bool or integer
        Object ids, 0 being background.
    per_instance : bool
        Whether the edge also runs between touching objects.

    Returns
    -------
    (H, W) float32
        Positive inside (largest 1), zero on the objects' innermost boundary pixels,
        negative outside (smallest -1). All -1 for an empty mask, all 1 for a full
        one. An object too thin to have a pixel off its boundary is all zero.

    Raises
    ------
    ValueError
        If ``labels`` is not a two-dimensional array of ids.

    Notes
    -----
    The reference's p / max p - q / max q with p the distance transform of the mask, q
    that of the background, and zero on inner boundary pixels; guarded where a side is
    absent, where the reference divides by zero. The scale is that of the image's
    deepest object, so it depends on the crop; that of `clipped_distance_px` does not.
    """
    ids = _as_ids(labels, per_instance=per_instance)
    inside, outside = _distances(ids)
    if np.isinf(inside).any() or np.isinf(outside).any():
        return np.where(ids > 0, 1, -1).astype(np.float32)
    # A distance of 1 has a neighbour outside: these are the inner boundary pixels.
    depth = np.where(inside > 1, inside / max(inside.max(initial=0), 1), 0)
    away = outside / max(outside.max(initial=0), 1)
    return (depth - away).astype(np.float32)


def clipped_distance_px(
    labels: NDArray[Any], *, limit_px: float = 16.0, per_instance: bool = False
) -> NDArray[np.float32]:
    """Return the signed distance to the objects' edge in pixels, clipped.

    Parameters
    ----------
    labels : (H, W) bool or integer
        Object ids, 0 being background.
    limit_px : float
        Largest distance told apart. Divide by it for a head that ends in tanh.
    per_instance : bool
        Whether the edge also runs between touching objects.

    Returns
    -------
    (H, W) float32, in -limit_px..limit_px
        Zero on inner boundary pixels, from there positive inwards; outside minus the
        distance to the nearest object. All -limit_px for an empty mask, all limit_px
        for a full one.

    Raises
    ------
    ValueError
        If ``labels`` is not a two-dimensional array of ids, or the limit not positive.
    """
    if not limit_px > 0:
        raise ValueError(f"limit_px is {limit_px}; it must be positive.")
    ids = _as_ids(labels, per_instance=per_instance)
    inside, outside = _distances(ids)
    signed = np.where(ids > 0, inside - 1, -outside)
    return signed.clip(-limit_px, limit_px).astype(np.float32)


def boundary_ring(
    labels: NDArray[Any], *, radius_px: int = 2, per_instance: bool = False
) -> NDArray[np.bool_]:
    """Return the ring around the objects.

    Parameters
    ----------
    labels : (H, W) bool or integer
        Object ids, 0 being background.
    radius_px : int
        Width of the ring; the paper's code has 2.
    per_instance : bool
        Whether each object has a ring of its own, which then also covers the edges of
        objects that it touches; the reference merges the objects first, so that no
        boundary separates touching glands.

    Returns
    -------
    (H, W) bool
        Pixels within a disk of the radius of an object that they are not part of. Not
        per instance: what dilation adds to the mask, so no pixel of any object.

    Raises
    ------
    ValueError
        If ``labels`` is not a two-dimensional array of ids, or the radius below 1.
    """
    if radius_px < 1:
        raise ValueError(f"radius_px is {radius_px}; it must be at least 1.")
    ids = _as_ids(labels, per_instance=per_instance)
    near = disk(radius_px)
    largest = ndimage.maximum_filter(ids, footprint=near, mode="constant", cval=0)
    some = np.where(ids > 0, ids, _NONE_NEAR)
    smallest = ndimage.minimum_filter(
        some, footprint=near, mode="constant", cval=_NONE_NEAR
    )
    # Of several ids near, one at least differs from the pixel's own.
    differs = (largest != ids) | (smallest != ids)
    return np.asarray(differs & (largest > 0), dtype=bool)


def _as_ids(labels: NDArray[Any], *, per_instance: bool) -> NDArray[np.int32]:
    """Return ids 0..n without gaps, or 0 and 1 where instances do not count."""
    labels = np.asarray(labels)
    if labels.ndim != 2 or not labels.size or labels.dtype.kind not in "bui":
        raise ValueError(
            f"Labels are {labels.dtype} of shape {labels.shape}; expected bool or"
            " integer ids of shape (H, W), at least a pixel."
        )
    if not per_instance:
        return (labels != 0).astype(np.int32)
    known = np.unique(labels[labels != 0])
    return np.where(labels != 0, np.searchsorted(known, labels) + 1, 0).astype(np.int32)


def _distances(
    ids: NDArray[np.int32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distances to what is not the own object, and to any object, in px.

    Zero where they do not apply, infinite where there is nothing to be distant from.
    """
    inside = np.zeros(ids.shape)
    for number, box in _grown_boxes(ids):
        own = ids[box] == number
        found = np.where(own, _distance_transform(own), 0)
        inside[box] = np.maximum(inside[box], found)
    return inside, _distance_transform(ids == 0)


def _grown_boxes(
    ids: NDArray[np.int32],
) -> Iterator[tuple[int, tuple[slice, slice]]]:
    """Yield each id and its box, with a margin of a pixel where the image has one."""
    for number, box in enumerate(ndimage.find_objects(ids), start=1):
        rows, columns = (slice(max(side.start - 1, 0), side.stop + 1) for side in box)
        yield number, (rows, columns)


def _distance_transform(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    if mask.all():
        return np.full(mask.shape, np.inf)
    return np.asarray(ndimage.distance_transform_edt(mask))
