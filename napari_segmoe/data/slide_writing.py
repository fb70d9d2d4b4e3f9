"""Write a pyramid of encoded tiles as a slide: OME-TIFF or OME-Zarr, in a stream."""

import errno
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data import ome_zarr
from napari_segmoe.data.slide_writing_tiles import (
    JPEG_QUALITY,
    SlideFormat,
    TileCodec,
    TiledLevel,
    TiledPyramid,
    cut_tiles,
    format_of,
    halve,
    level_shapes,
    tile_counts,
)
from napari_segmoe.errors import SlideError
from napari_segmoe.types import Spacing

_LARGEST_TIFF = 2**32 - 2**26  # offsets beyond need BigTIFF
_REPORT_EVERY = 512


@dataclass(frozen=True, slots=True)
class WritingStep:
    """Progress of a long piece of writing."""

    done: int
    total: int
    name: str


def write_pixels(
    path: Path,
    pixels: NDArray[np.uint8],
    spacing_um: Spacing | None,
    *,
    tile_px: int = 256,
    quality: int | None = JPEG_QUALITY,
) -> Path:
    """Write an image that is in memory as a slide with a pyramid.

    Parameters
    ----------
    path : Path
        Ends in .ome.tif or .ome.zarr; must not exist.
    pixels : (H, W, 3) uint8
    spacing_um : (y, x) or None
    tile_px : int
        Side of a tile, a multiple of 16.
    quality : int or None
        Of the JPEG in an OME-TIFF; None keeps every value.

    Raises
    ------
    SlideError
        If the file exists or cannot be written.
    """
    codec = TileCodec(format_of(path), quality)
    levels, size = [], 0
    while True:
        encoded = [codec.encode(tile) for tile in cut_tiles(pixels, tile_px)]
        size += sum(map(len, encoded))
        shape = (pixels.shape[0], pixels.shape[1])
        levels.append(TiledLevel(shape, lambda tiles=encoded: iter(tiles)))  # type: ignore[misc]
        if len(level_shapes(shape, tile_px)) == 1:
            break
        pixels = halve(pixels)
    pyramid = TiledPyramid(
        tuple(levels), tile_px, spacing_um, path.name.split(".")[0], codec, size
    )
    with finished_files(path) as (unfinished,):
        for _ in write_pyramid(unfinished, pyramid):
            continue
    return path


def write_pyramid(
    path: Path, pyramid: TiledPyramid
) -> Generator[WritingStep, None, None]:
    """Write a slide, yielding progress.

    Parameters
    ----------
    path : Path
        Written as it stands; see `finished_files`.
    pyramid : TiledPyramid

    Raises
    ------
    OSError
        If the disk is full or may not be written to.
    """
    if pyramid.codec.format == SlideFormat.OME_TIFF:
        yield from _write_tiff(path, pyramid)
    else:
        yield from _write_zarr(path, pyramid)


@contextmanager
def finished_files(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Give names to write under, and the final names once all is written.

    Parameters
    ----------
    *paths : Path
        Files or folders; none may exist.

    Raises
    ------
    SlideError
        If one exists, or cannot be written. Nothing unfinished stays behind.
    """
    for path in paths:
        if path.exists() or path.is_symlink():
            raise SlideError(
                f"{path} exists already; give another name or remove it first."
            )
    folder = paths[0].parent
    work: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder))
        unfinished = tuple(work / path.name for path in paths)
        yield unfinished
        for made, path in zip(unfinished, paths, strict=True):
            made.rename(path)
    except OSError as error:
        raise SlideError(_explain(error, paths[0])) from error
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)


def _explain(error: OSError, path: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"The disk is full, so {path.name} was not written; make room, or write "
            "it elsewhere."
        )
    return (
        f"Cannot write {path.name} into {path.parent}: "
        f"{error.strerror or error}. Choose a folder that you may write to."
    )


def _write_tiff(
    path: Path, pyramid: TiledPyramid
) -> Generator[WritingStep, None, None]:
    """Write an OME-TIFF: the levels are SubIFDs of the first image."""
    import tifffile

    total, done = pyramid.tile_total, 0
    options: dict[str, Any] = {
        "dtype": np.uint8, "tile": (pyramid.tile_px, pyramid.tile_px),
        "planarconfig": "contig", "metadata": None, "software": "napari-segmoe",
    }  # fmt: skip
    if pyramid.codec.quality is None:
        options |= {"compression": "adobe_deflate", "photometric": "rgb"}
    else:
        options |= {
            "compression": "jpeg", "photometric": "ycbcr", "subsampling": (2, 2),
        }  # fmt: skip
    big = pyramid.size_bytes + 64 * total > _LARGEST_TIFF
    with tifffile.TiffWriter(path, bigtiff=big, ome=False) as tiff:
        for number, level in enumerate(pyramid.levels):
            if number == 0:
                own: dict[str, Any] = {
                    "subifds": len(pyramid.levels) - 1,
                    "description": ome_xml(pyramid),
                }
            else:
                own = {"subfiletype": 1}
            tiff.write(
                level.tiles(), shape=(*level.shape, 3), **options, **own,
                **_resolution(pyramid.spacing_um, 2**number),
            )  # fmt: skip
            done += int(np.prod(tile_counts(level.shape, pyramid.tile_px)))
            yield WritingStep(done, total, f"level {number}")


def _resolution(spacing_um: Spacing | None, step: int) -> dict[str, Any]:
    if spacing_um is None:
        return {}
    per_centimetre = tuple(1e4 / (side * step) for side in spacing_um[::-1])
    return {"resolution": per_centimetre, "resolutionunit": "CENTIMETER"}


def ome_xml(pyramid: TiledPyramid) -> bytes:
    """Return the OME-XML of a slide; the same slide has the same text."""
    height, width = pyramid.levels[0].shape
    size = ""
    if pyramid.spacing_um is not None:
        y, x = pyramid.spacing_um
        size = (
            f' PhysicalSizeX="{x!r}" PhysicalSizeXUnit="&#181;m"'
            f' PhysicalSizeY="{y!r}" PhysicalSizeYUnit="&#181;m"'
        )
    schema = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<OME xmlns="{schema}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:schemaLocation="{schema} {schema}/ome.xsd" Creator="napari-segmoe">'
        f'<Image ID="Image:0" Name={quoteattr(pyramid.name)}>'
        '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" '
        'SignificantBits="8" Interleaved="true" '
        f'SizeX="{width}" SizeY="{height}" SizeC="3" SizeZ="1" SizeT="1"{size}>'
        '<Channel ID="Channel:0:0" SamplesPerPixel="3"><LightPath/></Channel>'
        '<TiffData IFD="0" PlaneCount="1"/>'
        "</Pixels></Image></OME>"
    ).encode()


def _write_zarr(
    path: Path, pyramid: TiledPyramid
) -> Generator[WritingStep, None, None]:
    """Write an OME-Zarr of version 0.4: (c, y, x), a tile a chunk."""
    total, done, side = pyramid.tile_total, 0, pyramid.tile_px
    root = ome_zarr.open_root(path)
    for number, level in enumerate(pyramid.levels):
        ome_zarr.create_array(
            root, str(number), (3, *level.shape), (3, side, side), np.uint8
        )
        folder = path / str(number) / "0"
        columns = tile_counts(level.shape, side)[1]
        for index, tile in enumerate(level.tiles()):
            row, column = divmod(index, columns)
            if column == 0:
                (folder / str(row)).mkdir(parents=True)
            (folder / str(row) / str(column)).write_bytes(tile)
            done += 1
            if done % _REPORT_EVERY == 0:
                yield WritingStep(done, total, f"level {number}")
    steps = [2**number for number in range(len(pyramid.levels))]
    scales = ome_zarr.pyramid_scales("cyx", pyramid.spacing_um, steps)
    ome_zarr.write_multiscales(root, scales)
    ome_zarr.write_rgb_channels(root, scales.version)
    yield WritingStep(total, total, "metadata")
