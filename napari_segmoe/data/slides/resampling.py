"""Exact resampling between pixel grids, one axis after the other. Loads no torch."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


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
    """
    whole = all(abs(s - 1) < 1e-6 for s in step_yx)
    if whole and all(abs(s - round(s)) < 1e-6 for s in start_yx):
        y0, x0 = (round(s) for s in start_yx)
        inside = 0 <= y0 <= y0 + shape[0] <= pixels.shape[0]
        if inside and 0 <= x0 <= x0 + shape[1] <= pixels.shape[1]:
            return pixels[y0 : y0 + shape[0], x0 : x0 + shape[1]]
    rows = _weights(round(start_yx[0], 6), step_yx[0], shape[0], pixels.shape[0])
    columns = _weights(round(start_yx[1], 6), step_yx[1], shape[1], pixels.shape[1])
    planes = pixels.reshape(*pixels.shape[:2], -1).astype(np.float32)
    wide = np.tensordot(rows, planes, axes=(1, 0))  # (H, w, C)
    new = np.matmul(columns, wide)  # (H, W, C)
    rounded = np.clip(np.rint(new), 0, 255).astype(np.uint8)
    return rounded.reshape(*shape, *pixels.shape[2:])


@lru_cache(maxsize=64)
def _weights(start: float, step: float, count: int, length: int) -> NDArray[np.float32]:
    """Return (count, length) weights, each row summing to 1."""
    weights = np.zeros((count, length), np.float64)
    for row in range(count):
        if step >= 1:
            low, high = start + row * step, start + (row + 1) * step
            first, last = int(np.floor(low)), int(np.ceil(high - 1e-9))
            for index in range(first, last):
                share = min(high, index + 1) - max(low, index)
                weights[row, min(max(index, 0), length - 1)] += share
        else:
            centre = start + (row + 0.5) * step - 0.5
            index = int(np.floor(centre))
            share = centre - index
            weights[row, min(max(index, 0), length - 1)] += 1 - share
            weights[row, min(max(index + 1, 0), length - 1)] += share
    weights /= weights.sum(axis=1, keepdims=True)
    return weights.astype(np.float32)
