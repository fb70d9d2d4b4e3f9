"""A slide as encoded tiles: the pyramid that slide writers take."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.errors import SlideError
from napari_segmoe.types import Spacing

JPEG_QUALITY = 85
_STRIP_ROWS = 512


class SlideFormat(StrEnum):
    """Files that a slide can be written to."""

    OME_TIFF = ".ome.tif"
    OME_ZARR = ".ome.zarr"


@dataclass(frozen=True, slots=True)
class TileCodec:
    """How tiles become bytes.

    Attributes
    ----------
    format : SlideFormat
    quality : int or None
        Of the JPEG, 1 to 100; None keeps every value. OME-Zarr always does.
    """

    format: SlideFormat
    quality: int | None = JPEG_QUALITY

    def encode(self, tile: NDArray[np.uint8]) -> bytes:
        """Return a tile, (t, t, 3) uint8, as the bytes that the file holds."""
        import imagecodecs

        if self.format == SlideFormat.OME_ZARR:
            planes = np.ascontiguousarray(np.moveaxis(tile, -1, 0))
            return bytes(imagecodecs.zstd_encode(planes.tobytes(), level=3))
        if self.quality is None:
            return bytes(imagecodecs.zlib_encode(tile.tobytes(), level=6))
        return bytes(
            imagecodecs.jpeg8_encode(
                tile, level=self.quality, colorspace="RGB", outcolorspace="YCBCR",
                subsampling="420", optimize=False,
            )
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class TiledLevel:
    """One resolution, as encoded tiles.

    Attributes
    ----------
    shape : (H, W)
        In pixels.
    tiles : callable
        Returns the encoded tiles, row by row; those at the border are whole.
    """

    shape: tuple[int, int]
    tiles: Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True, eq=False)
class TiledPyramid:
    """A slide as encoded tiles: all that a writer needs.

    Attributes
    ----------
    levels : tuple of TiledLevel
        Finest first; each level's pixels are squares of twice as many.
    tile_px : int
        Side of a tile.
    spacing_um : (y, x) or None
        Micrometres per level-0 pixel.
    name : str
        Of the image; no path.
    codec : TileCodec
        What encoded the tiles.
    size_bytes : int
        Of all tiles together.
    """

    levels: tuple[TiledLevel, ...]
    tile_px: int
    spacing_um: Spacing | None
    name: str
    codec: TileCodec
    size_bytes: int

    @property
    def tile_total(self) -> int:
        """Number of tiles of all levels."""
        counts = [tile_counts(level.shape, self.tile_px) for level in self.levels]
        return sum(rows * columns for rows, columns in counts)


def format_of(path: Path) -> SlideFormat:
    """Return the format that a file name asks for.

    Raises
    ------
    SlideError
        If its ending says none.
    """
    name = path.name.lower()
    if name.endswith((".ome.tif", ".ome.tiff")):
        return SlideFormat.OME_TIFF
    if name.endswith(".ome.zarr"):
        return SlideFormat.OME_ZARR
    raise SlideError(
        f"Cannot tell the format of {path.name}; let it end in .ome.tif (OME-TIFF) or "
        ".ome.zarr (OME-Zarr)."
    )


def level_shapes(shape: tuple[int, int], smallest: int) -> list[tuple[int, int]]:
    """Return the shapes of a pyramid whose sides halve until one fits a tile."""
    shapes = [shape]
    while max(shapes[-1]) > smallest and min(shapes[-1]) >= 2:
        shapes.append((shapes[-1][0] // 2, shapes[-1][1] // 2))
    return shapes


def tile_counts(shape: tuple[int, int], tile_px: int) -> tuple[int, int]:
    """Return rows and columns of tiles."""
    return -(-shape[0] // tile_px), -(-shape[1] // tile_px)


def halve(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the means of 2 x 2 pixels; an odd last row or column is left out."""
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    means = np.empty((height, width, pixels.shape[2]), np.uint8)
    for start in range(0, height, _STRIP_ROWS):  # sums of a large image take room
        rows = pixels[2 * start : 2 * min(start + _STRIP_ROWS, height), : 2 * width]
        total = rows[::2].astype(np.uint16) + rows[1::2]
        total = total[:, ::2] + total[:, 1::2]
        means[start : start + len(total)] = (total + 2) // 4
    return means


def cut_tiles(pixels: NDArray[np.uint8], tile_px: int) -> Iterator[NDArray[np.uint8]]:
    """Return whole tiles row by row; beyond the border its pixels are repeated."""
    rows, columns = tile_counts((pixels.shape[0], pixels.shape[1]), tile_px)
    for row in range(rows):
        strip = pixels[row * tile_px : (row + 1) * tile_px]
        for column in range(columns):
            tile = strip[:, column * tile_px : (column + 1) * tile_px]
            missing = [(0, tile_px - side) for side in tile.shape[:2]]
            if any(after for _, after in missing):
                tile = np.pad(tile, (*missing, (0, 0)), mode="edge")
            yield np.ascontiguousarray(tile)
