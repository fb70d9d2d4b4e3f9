"""The class of each pixel of a region, from the window that sees it best. No torch."""

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.inference.regions.lattice import Axis, Lattice


class ClassPlane:
    """Gathers pixels' classes window by window, in any order.

    Classes cannot be blended as probabilities are without a plane for each; so every
    pixel takes the class that the window says whose centre is nearest.

    Parameters
    ----------
    lattice : Lattice
    """

    def __init__(self, lattice: Lattice) -> None:
        self._lattice = lattice
        self.values: NDArray[np.uint8] = np.ones(lattice.shape, np.uint8)

    def add(self, row: int, column: int, classes: NDArray[np.uint8]) -> None:
        """Take a window's classes, (n, n), from 1."""
        y0, y1 = owned(self._lattice.rows, row)
        x0, x1 = owned(self._lattice.columns, column)
        top, left = self._lattice.corner(row, column)
        self.values[y0:y1, x0:x1] = classes[y0 - top : y1 - top, x0 - left : x1 - left]


def owned(axis: Axis, number: int) -> tuple[int, int]:
    """Return the first pixel that a window owns along an axis, and the one behind.

    See `Axis.owner`.
    """
    starts, last = axis.starts, len(axis.starts) - 1
    low = high = None
    if number > 0:
        low = _behind_middle(starts[number - 1], starts[number], axis.window_px)
    if number < last:
        high = _behind_middle(starts[number], starts[number + 1], axis.window_px)
    return low or 0, axis.length if high is None else high


def _behind_middle(first: int, second: int, window_px: int) -> int:
    """Return the first pixel that is nearer to the second of two windows' centres."""
    return (first + second + window_px - 1) // 2 + 1
