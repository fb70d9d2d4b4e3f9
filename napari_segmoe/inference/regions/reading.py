"""Read an image block by block in the background, and cut windows from memory."""

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.inference.regions.lattice import Axis, Lattice, PixelBox
from napari_segmoe.types import PixelSource

Place = tuple[int, int]
_WAIT_S = 0.2


@dataclass(frozen=True, slots=True)
class Block:
    """Pixels that are read at once, and the windows that are complete with them.

    Attributes
    ----------
    place : (row, column)
    box : (y0, x0, y1, x1)
        In the image's pixels.
    windows : tuple of (row, column)
        Of the lattice; all their pixels lie in this block and in ones before it.
    uses : int
        Windows that see a part of it.
    """

    place: Place
    box: PixelBox
    windows: tuple[Place, ...]
    uses: int


def plan_blocks(lattice: Lattice, block_px: int) -> list[Block]:
    """Part what a lattice sees into blocks, row by row; no pixel is in two."""
    rows = _spans(lattice.rows, block_px)
    columns = _spans(lattice.columns, block_px)
    blocks = []
    for i, (y0, y1, seen_rows, last_rows) in enumerate(rows):
        for j, (x0, x1, seen_columns, last_columns) in enumerate(columns):
            blocks.append(
                Block(
                    (i, j),
                    (y0, x0, y1, x1),
                    tuple(
                        (row, column) for row in last_rows for column in last_columns
                    ),
                    len(seen_rows) * len(seen_columns),
                )
            )
    return blocks


def _spans(axis: Axis, block_px: int) -> list[tuple[int, int, range, range]]:
    """Return start, stop, windows that see it, and those that end in it, per block."""
    found = []
    for start in range(axis.start, axis.stop, block_px):
        stop = min(start + block_px, axis.stop)
        seen = axis.touching(start, stop)
        ending = [n for n in seen if start < axis.starts[n] + axis.window_px <= stop]
        last = range(ending[0], ending[-1] + 1) if ending else range(0)
        found.append((start, stop, seen, last))
    return found


@dataclass(slots=True, eq=False)
class _Kept:
    """A block in memory."""

    box: PixelBox
    pixels: NDArray[np.uint8]
    uses: int


@dataclass(slots=True, eq=False)
class BlockReader:
    """Reads blocks ahead on threads of its own, in order, and cuts windows.

    Parameters
    ----------
    pixels : PixelSource
    lattice : Lattice
    block_px : int
        Side of what is read at once.
    threads : int
        How many read.
    """

    pixels: PixelSource
    lattice: Lattice
    block_px: int
    threads: int
    _kept: dict[Place, _Kept] = field(default_factory=dict)

    def windows(
        self,
    ) -> Generator[tuple[Place, NDArray[np.uint8]] | None, None, None]:
        """Give each window's place and pixels, (n, n, 3) uint8; None while waiting.

        Closing it ends the threads.

        Raises
        ------
        SlideError
            If a block cannot be read.
        """
        waiting = deque(plan_blocks(self.lattice, self.block_px))
        reading: deque[tuple[Block, Future[NDArray[np.uint8]]]] = deque()
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="segmoe-read")
        try:
            while waiting or reading:
                while waiting and len(reading) < self.threads + 1:
                    block = waiting.popleft()
                    reading.append((block, pool.submit(self.pixels.read, block.box)))
                block, future = reading[0]
                if not _is_done(future):
                    yield None
                    continue
                reading.popleft()
                self._kept[block.place] = _Kept(block.box, future.result(), block.uses)
                for place in block.windows:
                    yield place, self._cut(place)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            self._kept.clear()

    def _cut(self, place: Place) -> NDArray[np.uint8]:
        n = self.lattice.window_px
        y, x = self.lattice.corner(*place)
        tile = np.empty((n, n, 3), np.uint8)
        for key in self._blocks_under(y, x):
            kept = self._kept[key]
            y0, x0, y1, x1 = kept.box
            top, left = max(y, y0), max(x, x0)
            bottom, right = min(y + n, y1), min(x + n, x1)
            tile[top - y : bottom - y, left - x : right - x] = kept.pixels[
                top - y0 : bottom - y0, left - x0 : right - x0
            ]
            kept.uses -= 1
            if not kept.uses:
                del self._kept[key]
        return tile

    def _blocks_under(self, y: int, x: int) -> list[Place]:
        y_from, x_from, _, _ = self.lattice.extent
        n, side = self.lattice.window_px, self.block_px
        rows = range((y - y_from) // side, (y + n - 1 - y_from) // side + 1)
        columns = range((x - x_from) // side, (x + n - 1 - x_from) // side + 1)
        return [(row, column) for row in rows for column in columns]


def _is_done(future: Future[NDArray[np.uint8]]) -> bool:
    try:
        future.exception(timeout=_WAIT_S)
    except TimeoutError:
        return False
    return True
