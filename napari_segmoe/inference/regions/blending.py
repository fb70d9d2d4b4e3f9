"""Blend overlapping windows, and give each part out when it is done. Loads no torch."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.inference.regions.lattice import (
    Axis,
    Lattice,
    PixelBox,
    window_weights,
)

_FINE = 65535  # steps of a value in a sum


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """A part of an image that no window will change any more.

    Attributes
    ----------
    box : (y0, x0, y1, x1)
        In the image's pixels.
    probability : (h, w) uint8, or None
        In steps of 1/255; None: nothing is there.
    distance : (h, w) float16, or None
        Predicted signed distance; None where none was predicted.
    """

    box: PixelBox
    probability: NDArray[np.uint8] | None
    distance: NDArray[np.float16] | None


@dataclass(slots=True, eq=False)
class _Sums:
    """Weighted sums of a chunk whose windows are not all there."""

    missing: int
    probability: NDArray[np.float64] | None = None
    distance: NDArray[np.float64] | None = None


class Blender:
    """Takes windows in any order; sums live only where windows are missing.

    Each sum is one of whole numbers, so it is the same in every order.

    Parameters
    ----------
    lattice : Lattice
    chunk_px : int
        Side of the parts that are given out.
    """

    def __init__(self, lattice: Lattice, chunk_px: int) -> None:
        self._lattice = lattice
        self._chunk_px = chunk_px
        self._pending: dict[tuple[int, int], _Sums] = {}
        self._done: set[tuple[int, int]] = set()
        weights = window_weights(lattice.window_px)
        self._weights = weights[:, None] * weights[None]  # (n, n)

    @property
    def pending(self) -> int:
        """Number of parts that wait for windows."""
        return len(self._pending)

    def add(
        self,
        row: int,
        column: int,
        probability: NDArray[np.float32] | None,
        distance: NDArray[np.float32] | None = None,
    ) -> Iterator[Chunk]:
        """Add a window, and give the parts that are done with it.

        Parameters
        ----------
        row, column : int
            The window's place in the lattice.
        probability, distance : (n, n) float32, or None
            What the network says of it. No probability: nothing is there, which is
            a probability of 0 and a distance of -1.
        """
        heavy = None if probability is None else self._weigh(probability)
        deep = (
            None
            if distance is None
            else self._weigh((np.clip(distance, -1, 1) + 1) / 2)
        )
        y, x = self._lattice.corner(row, column)
        n = self._lattice.window_px
        for place in self._places((y, x, y + n, x + n)):
            sums = self._sums(place)
            box = self._box(place)
            if heavy is not None:
                sums.probability = _add(sums.probability, heavy, box, (y, x))
            if deep is not None:
                sums.distance = _add(sums.distance, deep, box, (y, x))
            sums.missing -= 1
            if not sums.missing:
                del self._pending[place]
                self._done.add(place)
                yield self._finish(box, sums)

    def is_done(self, box: PixelBox) -> bool:
        """Whether all parts that a box touches were given out."""
        return all(place in self._done for place in self._places(box))

    def _places(self, box: PixelBox) -> Iterator[tuple[int, int]]:
        y0, x0, y1, x1 = box
        lattice = self._lattice
        return product(
            self._chunks(lattice.rows, y0, y1), self._chunks(lattice.columns, x0, x1)
        )

    def _weigh(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        steps = np.rint(values * np.float32(_FINE))
        return steps * self._weights

    def _chunks(self, axis: Axis, start: int, stop: int) -> range:
        first = max(start, 0) // self._chunk_px
        return range(first, -(-min(stop, axis.length) // self._chunk_px))

    def _box(self, place: tuple[int, int]) -> PixelBox:
        side = self._chunk_px
        y, x = place[0] * side, place[1] * side
        height, width = self._lattice.shape
        return y, x, min(y + side, height), min(x + side, width)

    def _sums(self, place: tuple[int, int]) -> _Sums:
        if place not in self._pending:
            y0, x0, y1, x1 = self._box(place)
            rows = self._lattice.rows.touching(y0, y1)
            columns = self._lattice.columns.touching(x0, x1)
            self._pending[place] = _Sums(len(rows) * len(columns))
        return self._pending[place]

    def _finish(self, box: PixelBox, sums: _Sums) -> Chunk:
        if sums.probability is None:
            return Chunk(box, None, None)
        y0, x0, y1, x1 = box
        down = 1 / self._lattice.rows.weight_sum(y0, y1)
        across = 1 / (self._lattice.columns.weight_sum(x0, x1) * _FINE)
        scale = down[:, None] * across[None]
        probability = np.rint(sums.probability * scale * 255).astype(np.uint8)
        distance = None
        if sums.distance is not None:
            distance = (sums.distance * scale * 2 - 1).astype(np.float16)
        return Chunk(box, probability, distance)


def _add(
    total: NDArray[np.float64] | None,
    values: NDArray[np.float64],
    box: PixelBox,
    corner: tuple[int, int],
) -> NDArray[np.float64]:
    """Add what a window with this corner says of a box to the box's sums."""
    y0, x0, y1, x1 = box
    if total is None:
        total = np.zeros((y1 - y0, x1 - x0), np.float64)
    top, left = max(y0, corner[0]), max(x0, corner[1])
    bottom = min(y1, corner[0] + values.shape[0])
    right = min(x1, corner[1] + values.shape[1])
    total[top - y0 : bottom - y0, left - x0 : right - x0] += values[
        top - corner[0] : bottom - corner[0], left - corner[1] : right - corner[1]
    ]
    return total
