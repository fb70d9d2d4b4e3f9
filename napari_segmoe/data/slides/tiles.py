"""Put boxes together from the tiles of a level; keep decoded tiles for a while."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.slides.source import BACKGROUND


class TileCache:
    """Newest decoded tiles, under a bound in bytes; several threads may use it.

    Parameters
    ----------
    byte_limit : int
        Tiles beyond it leave, the longest unused first.
    """

    def __init__(self, byte_limit: int = 64 << 20) -> None:
        self._byte_limit = byte_limit
        self._bytes = 0
        self._tiles: OrderedDict[Hashable, NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes of the tiles held."""
        return self._bytes

    def get(
        self, key: Hashable, make: Callable[[], NDArray[np.uint8]]
    ) -> NDArray[np.uint8]:
        """Return the tile of a key, made if it is not here; not to be written to."""
        with self._lock:
            tile = self._tiles.get(key)
            if tile is not None:
                self._tiles.move_to_end(key)
                return tile
        tile = make()
        self._add(key, tile)
        return tile

    def __contains__(self, key: Hashable) -> bool:
        """Whether the tile of a key is here."""
        return key in self._tiles

    def clear(self) -> None:
        """Forget all tiles."""
        with self._lock:
            self._tiles.clear()
            self._bytes = 0

    def _add(self, key: Hashable, tile: NDArray[np.uint8]) -> None:
        if tile.nbytes > self._byte_limit:
            return
        with self._lock:
            if key in self._tiles:
                return
            self._tiles[key] = tile
            self._bytes += tile.nbytes
            while self._bytes > self._byte_limit:
                self._bytes -= self._tiles.popitem(last=False)[1].nbytes


def read_box(
    shape: tuple[int, int],
    tile_yx: tuple[int, int],
    box: tuple[int, int, int, int],
    get_tile: Callable[[int, int], NDArray[np.uint8]],
) -> NDArray[np.uint8]:
    """Return a box put together from the tiles that touch it.

    Parameters
    ----------
    shape : (H, W)
        Of the level.
    tile_yx : (y, x)
        Size of its tiles; the last ones may be smaller or padded.
    box : (y0, x0, y1, x1)
        Half open; what lies outside the level is `BACKGROUND`.
    get_tile : callable (row, column) -> (h, w, 3) uint8
    """
    y0, x0, y1, x1 = box
    pixels = np.full((max(y1 - y0, 0), max(x1 - x0, 0), 3), BACKGROUND, np.uint8)
    top, left, bottom, right = clip_box(box, shape)
    if top >= bottom or left >= right:
        return pixels
    height, width = tile_yx
    for row in range(top // height, -(-bottom // height)):
        upper, lower = max(row * height, top), min((row + 1) * height, bottom)
        for column in range(left // width, -(-right // width)):
            first, last = max(column * width, left), min((column + 1) * width, right)
            tile = get_tile(row, column)
            pixels[upper - y0 : lower - y0, first - x0 : last - x0] = tile[
                upper - row * height : lower - row * height,
                first - column * width : last - column * width,
            ]
    return pixels


def clip_box(
    box: tuple[int, int, int, int], shape: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Return the part of a box that lies in a level; empty ends lie at its start."""
    y0, x0, y1, x1 = box
    top, left = min(max(y0, 0), shape[0]), min(max(x0, 0), shape[1])
    return top, left, max(min(y1, shape[0]), top), max(min(x1, shape[1]), left)
