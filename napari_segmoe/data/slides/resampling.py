"""Exact resampling between pixel grids, one axis after the other. Loads no torch."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# A block of rows this large stays in a processor's second cache.
_BLOCK_BYTES = 1 << 19
_ALMOST = 1e-6
# Pillow's integer means are exact for these.
_EXACT_STEPS = (1, 2, 4, 8, 16)


def resample(
    pixels: NDArray[np.uint8],
    *,
    start_yx: tuple[float, float],
    step_yx: tuple[float, float],
    shape: tuple[int, int],
) -> NDArray[np.uint8]:
    """Return pixels on another grid: means over area, or linear between pixels.

    Parameters
    ----------
    pixels : (h, w) or (h, w, C) uint8
    start_yx : (y, x)
        Edge at which the new grid begins, in edges of ``pixels`` (0 is the upper
        edge of pixel 0).
    step_yx : (y, x)
        Old pixels per new pixel. From 1 on a new pixel is the mean of the area it
        covers; below, neighbours are interpolated.
    shape : (H, W)
        Size of the new grid. Pixels beyond the old ones repeat the border.

    Returns
    -------
    (H, W) or (H, W, C) uint8
        Halves are rounded up.
    """
    whole = _whole_grid(pixels.shape, start_yx, step_yx, shape)
    if whole is not None:
        return _reduced(pixels, whole, shape)
    rows = _taps(round(start_yx[0], 6), step_yx[0], shape[0], pixels.shape[0])
    columns = _taps(round(start_yx[1], 6), step_yx[1], shape[1], pixels.shape[1])
    planes = pixels.reshape(*pixels.shape[:2], -1)
    new = np.empty((*shape, planes.shape[2]), np.uint8)
    together = max(_BLOCK_BYTES // (planes[0].size * 4), 1)
    for start in range(0, shape[0], together):
        block = slice(start, start + together)
        new[block] = _resampled_rows(
            planes, (rows[0][:, block], rows[1][:, block]), columns
        )
    return new.reshape(*shape, *pixels.shape[2:])


def regrid(
    values: NDArray[Any],
    *,
    start_yx: tuple[float, float],
    step_yx: tuple[float, float],
    shape: tuple[int, int],
) -> NDArray[np.float32]:
    """Return a map of any numbers on another grid, as `resample` does pixels.

    Parameters
    ----------
    values : (h, w)
    start_yx, step_yx, shape
        As in `resample`.

    Returns
    -------
    (H, W) float32
    """
    rows = _taps(round(start_yx[0], 6), step_yx[0], shape[0], values.shape[0])
    columns = _taps(round(start_yx[1], 6), step_yx[1], shape[1], values.shape[1])
    narrow = _weighted(values, *rows)  # (H, w)
    return np.ascontiguousarray(_weighted(narrow.T, *columns).T)  # (H, W)


def _whole_grid(
    size: tuple[int, ...],
    start_yx: tuple[float, float],
    step_yx: tuple[float, float],
    shape: tuple[int, int],
) -> tuple[int, int, int, int] | None:
    """Return start and step (y, x, sy, sx) where they are whole and lie inside."""
    values = (*start_yx, *step_yx)
    y, x, sy, sx = (round(value) for value in values)
    if any(abs(v - w) > _ALMOST for v, w in zip(values, (y, x, sy, sx), strict=True)):
        return None
    inside = 0 <= y <= y + shape[0] * sy <= size[0] and x >= 0
    if not inside or x + shape[1] * sx > size[1]:
        return None
    return (y, x, sy, sx) if sy in _EXACT_STEPS and sx in _EXACT_STEPS else None


def _reduced(
    pixels: NDArray[np.uint8], grid: tuple[int, int, int, int], shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return the means of whole blocks of pixels."""
    y, x, sy, sx = grid
    part = pixels[y : y + shape[0] * sy, x : x + shape[1] * sx]
    if (sy, sx) == (1, 1):
        return part
    if part.ndim == 3 and part.shape[2] not in {3, 4}:
        planes = [_reduced(p, (0, 0, sy, sx), shape) for p in np.moveaxis(part, 2, 0)]
        return np.stack(planes, axis=-1)
    return np.array(Image.fromarray(np.ascontiguousarray(part)).reduce((sx, sy)))


def _resampled_rows(
    planes: NDArray[np.uint8],
    rows: tuple[NDArray[np.intp], NDArray[np.float32]],
    columns: tuple[NDArray[np.intp], NDArray[np.float32]],
) -> NDArray[np.uint8]:
    """Return some rows of the new grid, (n, W, C)."""
    _, width, channels = planes.shape
    narrow = _weighted(planes.reshape(len(planes), -1), *rows)  # (n, w * C)
    count = len(narrow)
    turned = narrow.reshape(count, width, channels).transpose(1, 0, 2)
    new = _weighted(turned.reshape(width, -1), *columns)  # (W, n * C)
    new += 0.5
    np.clip(new, 0, 255, out=new)
    return new.astype(np.uint8).reshape(-1, count, channels).transpose(1, 0, 2)


def _weighted(
    lines: NDArray[np.generic], index: NDArray[np.intp], weight: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return sums of lines: (T, n) indices and weights of (m, k) give (n, k)."""
    total = np.multiply(lines[index[0]], weight[0, :, None], dtype=np.float32)
    term = np.empty_like(total)
    for tap in range(1, len(index)):
        np.multiply(lines[index[tap]], weight[tap, :, None], out=term, dtype=np.float32)
        total += term
    return total


@lru_cache(maxsize=64)
def _taps(
    start: float, step: float, count: int, length: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return (T, count) old pixels of each new one and their weights, summing to 1."""
    place = np.arange(count, dtype=np.float64)
    if step >= 1:
        low = start + place * step
        high = low + step
        first = np.floor(low + _ALMOST).astype(np.intp)
        taps = int((np.ceil(high - _ALMOST).astype(np.intp) - first).max())
        index = first + np.arange(taps)[:, None]
        weight = np.minimum(high, index + 1) - np.maximum(low, index)
        weight = np.clip(weight, 0, None)
    else:
        centre = start + (place + 0.5) * step - 0.5
        first = np.floor(centre).astype(np.intp)
        index = first + np.arange(2)[:, None]
        share = centre - first
        weight = np.stack([1 - share, share])
    weight /= weight.sum(axis=0)
    return np.clip(index, 0, length - 1), weight.astype(np.float32)
