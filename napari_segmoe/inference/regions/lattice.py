"""Where the windows of a region lie, and how much each counts. Loads no torch."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

PixelBox = tuple[int, int, int, int]  # y0, x0, y1, x1, half open

_SIGMA = 1 / 8  # of the window's side
_FLOOR = 1e-3**0.5  # along each axis, so 1e-3 in the corner
_STEPS = 4096  # weights are whole numbers, so that sums do not depend on their order


@dataclass(frozen=True, slots=True)
class Axis:
    """The windows along one side of an image.

    Attributes
    ----------
    length : int
        Of the image, in pixels.
    window_px : int
        Side of each window.
    starts : tuple of int
        Ascending. All windows lie inside, save one that is larger than the image.
    """

    length: int
    window_px: int
    starts: tuple[int, ...]

    @property
    def start(self) -> int:
        """First pixel that a window sees; negative where the image is smaller."""
        return self.starts[0]

    @property
    def stop(self) -> int:
        """Where the last window ends."""
        return self.starts[-1] + self.window_px

    def touching(self, start: int, stop: int) -> range:
        """Return the windows that see some of the pixels from start to stop."""
        first = next(
            (i for i, at in enumerate(self.starts) if at + self.window_px > start),
            len(self.starts),
        )
        last = first
        while last < len(self.starts) and self.starts[last] < stop:
            last += 1
        return range(first, last)

    def owner(self, pixel: int) -> int:
        """Return the window whose centre is nearest: there its weight is largest."""
        nearest = [abs(2 * (at - pixel) + self.window_px - 1) for at in self.starts]
        return int(np.argmin(nearest))

    def weight_sum(self, start: int, stop: int) -> NDArray[np.float64]:
        """Return the weights of all windows together at pixels start to stop."""
        total = np.zeros(stop - start, np.float64)
        weights = window_weights(self.window_px)
        for number in self.touching(start, stop):
            at = self.starts[number]
            low, high = max(at, start), min(at + self.window_px, stop)
            total[low - start : high - start] += weights[low - at : high - at]
        return total


@dataclass(frozen=True, slots=True)
class Lattice:
    """Square windows that cover an image, fixed by its shape, their side and overlap.

    Attributes
    ----------
    rows, columns : Axis
        Along y and along x.
    """

    rows: Axis
    columns: Axis

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.rows.length, self.columns.length

    @property
    def window_px(self) -> int:
        """Side of a window."""
        return self.rows.window_px

    @property
    def extent(self) -> PixelBox:
        """What the windows see; reaches beyond an image smaller than a window."""
        return (
            self.rows.start,
            self.columns.start,
            self.rows.stop,
            self.columns.stop,
        )

    def __len__(self) -> int:
        return len(self.rows.starts) * len(self.columns.starts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Give row and column of each window, row by row."""
        for row in range(len(self.rows.starts)):
            for column in range(len(self.columns.starts)):
                yield row, column

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """Return the first pixel (y, x) of a window."""
        return self.rows.starts[row], self.columns.starts[column]

    def owns(self, row: int, column: int, y: int, x: int) -> bool:
        """Whether a window has the largest weight of all at a pixel of the image."""
        return self.rows.owner(y) == row and self.columns.owner(x) == column


def make_lattice(shape: tuple[int, int], *, window_px: int, overlap_px: int) -> Lattice:
    """Return the lattice of an image.

    Parameters
    ----------
    shape : (H, W)
        Of the image.
    window_px : int
        Side of a window.
    overlap_px : int
        Shared by neighbours; more before the last one, which ends at the border.

    Raises
    ------
    ValueError
        If the image has no pixel or the overlap is not below the window's side.
    """
    if min(shape) < 1 or not 0 <= overlap_px < window_px:
        raise ValueError(
            f"An image of {shape[0]} x {shape[1]} px cannot be covered by windows of"
            f" {window_px} px with overlap {overlap_px}."
        )
    axes = [_axis(length, window_px, window_px - overlap_px) for length in shape]
    return Lattice(axes[0], axes[1])


@lru_cache(maxsize=8)
def window_weights(window_px: int) -> NDArray[np.float64]:
    """Return how much each pixel along a window counts, whole numbers, (n,).

    Notes
    -----
    A Gaussian of deviation n/8. A pixel's weight is the product over both axes.
    """
    away = np.arange(window_px) - (window_px - 1) / 2
    gaussian = np.exp(-0.5 * (away / (_SIGMA * window_px)) ** 2)
    return np.rint(np.maximum(gaussian, _FLOOR) * _STEPS)


def _axis(length: int, window_px: int, stride: int) -> Axis:
    if length <= window_px:
        return Axis(length, window_px, (-((window_px - length) // 2),))
    last = length - window_px
    return Axis(length, window_px, (*range(0, last, stride), last))
