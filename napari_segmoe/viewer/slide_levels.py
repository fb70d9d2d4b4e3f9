"""The levels of a slide as dask arrays that read only what is looked at."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.slides.opening import open_shared
from napari_segmoe.data.slides.source import SlideSource
from napari_segmoe.data.slides.tiles import TileCache, read_box
from napari_segmoe.errors import SlideError

logger = logging.getLogger(__name__)
CHUNK_PX = 512
CACHE_BYTES = 192 << 20
UNREADABLE = 190  # neutral grey
Failure = Callable[[SlideError], None]


class SlidePixels:
    """Reads chunks of a slide's levels, and keeps the newest ones.

    A chunk that cannot be read is grey, and the first time that happens is told:
    napari's slicing must never see an error, or its canvas stays broken.

    Parameters
    ----------
    path : Path
        Of the slide; opened once for the process, and anew where it was closed.
    on_failure : callable
        Takes the first error; on whatever thread reads.
    """

    def __init__(self, path: Path, on_failure: Failure) -> None:
        self._path = path
        self._on_failure = on_failure
        self._cache = TileCache(CACHE_BYTES)
        self._lock = threading.Lock()
        self.has_failed = False

    def read(
        self, level: int, box: tuple[int, int, int, int], chunk: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """Return a box of a level, (h, w, 3), whatever happens."""
        try:
            shape = open_shared(self._path).levels[level].shape

            def get(row: int, column: int) -> NDArray[np.uint8]:
                return self._chunk(level, shape, chunk, (row, column))

            return read_box(shape, chunk, box, get)
        except SlideError as error:
            self._tell(error)
        return np.full(
            (box[2] - box[0], box[3] - box[1], 3), UNREADABLE, dtype=np.uint8
        )

    def _chunk(
        self,
        level: int,
        shape: tuple[int, int],
        chunk: tuple[int, int],
        place: tuple[int, int],
    ) -> NDArray[np.uint8]:
        y0, x0 = place[0] * chunk[0], place[1] * chunk[1]
        y1, x1 = min(y0 + chunk[0], shape[0]), min(x0 + chunk[1], shape[1])
        try:
            return self._cache.get(
                (level, *place),
                lambda: open_shared(self._path).read(level, (y0, x0, y1, x1)),
            )
        except SlideError as error:
            self._tell(error)
        return np.full((y1 - y0, x1 - x0, 3), UNREADABLE, np.uint8)

    def _tell(self, error: SlideError) -> None:
        with self._lock:
            is_first, self.has_failed = not self.has_failed, True
        if is_first:
            logger.info("A part of a slide cannot be read: %s", error)
            self._on_failure(error)


class LevelPixels:
    """One level, indexed like an (H, W, 3) uint8 array.

    Parameters
    ----------
    pixels : SlidePixels
        Reads it.
    number : int
        Which level; 0 is the finest.
    shape : (H, W)
        Its size.
    chunk : (h, w)
        Pixels read at a time.
    """

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(
        self,
        pixels: SlidePixels,
        number: int,
        *,
        shape: tuple[int, int],
        chunk: tuple[int, int],
    ) -> None:
        self._pixels = pixels
        self._number = number
        self.shape = (*shape, 3)
        self.chunk = chunk

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        rows, columns, colours = index
        y0, y1, step_y = rows.indices(self.shape[0])
        x0, x1, step_x = columns.indices(self.shape[1])
        box = self._pixels.read(self._number, (y0, x0, y1, x1), self.chunk)
        return box[::step_y, ::step_x, colours]


def make_levels(
    source: SlideSource, on_failure: Failure
) -> tuple[list[Any], SlidePixels]:
    """Return a slide's levels as dask arrays (H, W, 3) uint8, finest first.

    Parameters
    ----------
    source : SlideSource
        Open slide.
    on_failure : callable
        Takes the first error, on whatever thread reads.
    """
    from dask.array import from_array

    pixels = SlidePixels(source.path, on_failure)
    levels = []
    for number, level in enumerate(source.levels):
        chunk = _chunk_of(level.tile_yx, level.shape)
        one = LevelPixels(pixels, number, shape=level.shape, chunk=chunk)
        levels.append(
            from_array(  # type: ignore[no-untyped-call]
                one,
                chunks=(*chunk, 3),
                name=f"slide-{uuid4().hex}",
                asarray=False,
                fancy=False,
                inline_array=True,
                meta=np.empty((0, 0, 0), np.uint8),
            )
        )
    return levels, pixels


def _chunk_of(tile: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int]:
    """Return the chunk nearest to `CHUNK_PX` that holds whole tiles of the file."""
    sides = (
        max(round(CHUNK_PX / side), 1) * side if side < CHUNK_PX else side
        for side in tile
    )
    height, width = (
        min(side, size) if side <= 4 * CHUNK_PX else CHUNK_PX
        for side, size in zip(sides, shape, strict=True)
    )
    return height, width
