"""Slides in TIFF files: OME-TIFF, SubIFDs, reduced pages, Aperio; tile by tile."""

import logging
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_segmoe.data.slides.colour import to_srgb, usable_profile
from napari_segmoe.data.slides.levels import downsample_yx, sensible_spacing
from napari_segmoe.data.slides.source import SlideLevel
from napari_segmoe.data.slides.tiff_colours import check_colours, colours_of
from napari_segmoe.data.slides.tiff_levels import TiffLevel, find_levels
from napari_segmoe.data.slides.tiff_tiles import TileReader
from napari_segmoe.data.slides.tiles import TileCache, read_box
from napari_segmoe.data.tiff import stated_spacing_um
from napari_segmoe.errors import ImageReadError, SlideError
from napari_segmoe.types import Spacing

_LARGEST_TILE_BYTES = 1_200_000_000
_KEPT_BYTES = 64 << 20
_SAMPLED_TILES = 16
_logger = logging.getLogger(__name__)


def open_tiff_slide(path: Path, *, notes: tuple[str, ...] = ()) -> "TiffSlide":
    """Open a TIFF file as a slide.

    Parameters
    ----------
    path : Path
    notes : tuple of str
        What there is to say already, as why tifffile reads it.

    Raises
    ------
    SlideError
        If it is damaged, cut short, or needs a codec that is not installed.
    """
    return TiffSlide(Path(path), notes=notes)


class TiffSlide:
    """A slide in a TIFF file; see `SlideSource`.

    Parameters
    ----------
    path : Path
    notes : tuple of str
        What there is to say already.

    Raises
    ------
    SlideError
        If it cannot be opened.
    """

    def __init__(self, path: Path, *, notes: tuple[str, ...] = ()) -> None:
        self._path = path
        # A cut file is read as far as it goes; a note or sentence says so, not a log.
        logging.getLogger("tifffile").addHandler(logging.NullHandler())
        with _one_sentence(path), tifffile.TiffFile(path) as tiff:
            self._tiff_levels, stack_notes = find_levels(path.name, tiff)
            for level in self._tiff_levels:
                _check_level(path, level)
                _load_tags(level)
            page = self._tiff_levels[0].keyframe
            stated, bits = _stated_um(tiff, page), _significant_bits(tiff)
            profile = _profile(page)
            self._reader = TileReader(path)
        self._spacing_um, spacing_notes = sensible_spacing(stated)
        base = self._tiff_levels[0].shape
        height, width = self._tiff_levels[0].tile_yx
        self._cache = TileCache(max(_KEPT_BYTES, height * width * 3))
        self._levels = tuple(
            SlideLevel(one.shape, downsample_yx(base, one.shape), one.tile_yx)
            for one in self._tiff_levels
        )
        self._profile, profile_notes = usable_profile(profile)
        self._metadata = {"compression": tifffile.COMPRESSION(page.compression).name}
        self._colours, colour_notes = colours_of(
            page, self._sampled_tiles(), significant_bits=bits
        )
        self._notes = (
            *notes, *stack_notes, *spacing_notes, *colour_notes, *profile_notes,
        )  # fmt: skip

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def backend(self) -> str:
        """Tifffile and its version."""
        return f"tifffile {tifffile.__version__}"

    @property
    def levels(self) -> tuple[SlideLevel, ...]:
        """Resolutions, finest first."""
        return self._levels

    @property
    def spacing_um(self) -> Spacing | None:
        """Micrometres per level-0 pixel, (y, x)."""
        return self._spacing_um

    @property
    def origin_yx(self) -> tuple[int, int]:
        """(0, 0): TIFF files state no bounds."""
        return 0, 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed or is missing."""
        return self._notes

    @property
    def metadata(self) -> Mapping[str, str]:
        """How the pixels are compressed."""
        return self._metadata

    @property
    def wants_copy(self) -> bool:
        """Whether the file gives level 0 in pieces too large to be kept."""
        return self._tiff_levels[0].bytes_of_tile > _KEPT_BYTES

    def read(self, level: int, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        """Return a box of a level, (h, w, 3) uint8 sRGB; see `SlideSource`.

        Raises
        ------
        SlideError
            If a tile of it is damaged.
        """
        here = self._tiff_levels[level]
        try:
            return read_box(
                here.shape,
                here.tile_yx,
                box,
                lambda row, column: self._tile(level, row, column),
            )
        except SlideError as error:
            raise SlideError(
                f"{self._path.name} cannot be read at level {level}, box {list(box)}: "
                f"{error}. Copy the file again; the rest of it stays usable."
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
        self._cache.clear()

    def forget_tiles(self) -> None:
        """Drop the decoded tiles that are kept."""
        self._cache.clear()

    def _tile(self, level: int, row: int, column: int) -> NDArray[np.uint8]:
        def make() -> NDArray[np.uint8]:
            values = self._reader.tile(self._tiff_levels[level], row, column)
            return to_srgb(self._colours.rgb(values), self._profile)

        return self._cache.get((level, row, column), make)

    def _sampled_tiles(self) -> Iterator[NDArray[Any]]:
        """Yield some decoded tiles of the coarsest level, spread over it."""
        level = self._tiff_levels[-1]
        rows = -(-level.shape[0] // level.tile_yx[0])
        columns = -(-level.shape[1] // level.tile_yx[1])
        step = max(rows * columns // _SAMPLED_TILES, 1)
        for number in range(0, rows * columns, step):
            try:
                yield self._reader.tile(level, number // columns, number % columns)
            except SlideError as error:  # said when that tile is to be shown
                _logger.info("A tile that colours are judged by: %s", error)


@contextmanager
def _one_sentence(path: Path) -> Iterator[None]:
    """Turn whatever a parser raises at a damaged file into one sentence."""
    try:
        yield
    except FileNotFoundError as error:
        raise SlideError(f"{path.name} is not there. Choose it again.") from error
    except SlideError:
        raise
    except (
        ImageReadError, tifffile.TiffFileError, struct.error, OSError, ValueError,
        KeyError, IndexError, RuntimeError, TypeError, ArithmeticError, SyntaxError,
        AttributeError, MemoryError,
    ) as error:  # fmt: skip
        raise SlideError(
            f"{path.name} is damaged, cut short or an unusual TIFF ({_brief(error)}). "
            "Copy it again."
        ) from error


def _brief(error: Exception) -> str:
    """Return a message without line breaks: tifffile's may show the whole header."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def _check_level(path: Path, level: TiffLevel) -> None:
    """Refuse a level whose tiles lie beyond the file, are too few or too large."""
    page = level.keyframe
    check_colours(path.name, page)
    _check_codec(path.name, page)
    size = path.stat().st_size
    across = -(-level.shape[1] // level.segment_yx[1])
    down = -(-level.shape[0] // level.segment_yx[0])
    for one, plane in level.planes:
        offsets, counts = one.dataoffsets, one.databytecounts
        if min(len(offsets), len(counts)) < across * down * (plane + 1):
            raise SlideError(
                f"{path.name} lists {len(offsets)} tiles of {across * down}: it is "
                "damaged. Copy it again."
            )
        ends = np.asarray(offsets, np.float64) + np.asarray(counts, np.float64)
        if ends.max(initial=0) > size:
            raise SlideError(
                f"{path.name} is cut short: {size} bytes of at least "
                f"{ends.max():.0f}. Copy it again."
            )
    if level.bytes_of_tile > _LARGEST_TILE_BYTES:
        raise SlideError(
            f"{path.name} is stored in one piece of {level.bytes_of_tile / 1e9:.1f} GB "
            "decoded; expected tiles. Save it as a tiled TIFF."
        )


def _load_tags(level: TiffLevel) -> None:
    """Read what decoding needs: tifffile would open the file again for it later."""
    level.keyframe.init_decode()
    for page in (level.keyframe, *(page for page, _ in level.planes)):
        for fact in ("colormap", "jpegtables", "jpegheader"):
            getattr(page, fact, None)


def _check_codec(name: str, page: Any) -> None:
    """Refuse a compression that nothing here decodes."""
    if page.compression == 1:
        return
    try:
        known = tifffile.COMPRESSION(page.compression).name
    except ValueError:
        known = f"number {page.compression}"
    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
    except (KeyError, ImportError) as error:
        raise SlideError(
            f"{name} is compressed with {known}, and no decoder for it is installed. "
            "Run `pip install imagecodecs`."
        ) from error


def _stated_um(tiff: Any, page: Any) -> tuple[float, float] | None:
    """Return the pixel size (y, x) as OME, Aperio or the resolution tags state it."""
    if tiff.is_svs:
        try:
            mpp = tifffile.tifffile.svs_description_metadata(page.description)["MPP"]
            return float(mpp), float(mpp)
        except (KeyError, ValueError, TypeError):
            return None
    return stated_spacing_um(tiff, page)


def _significant_bits(tiff: Any) -> int | None:
    """Return the bits in use that OME metadata states."""
    if not (tiff.is_ome and tiff.ome_metadata):
        return None
    root = ElementTree.fromstring(tiff.ome_metadata)
    for node in root.iter():
        stated = node.get("SignificantBits") if node.tag.endswith("}Pixels") else None
        if stated and stated.isdigit() and 1 <= int(stated) <= 32:
            return int(stated)
    return None


def _profile(page: Any) -> bytes | None:
    tag = page.tags.get(34675)
    return bytes(tag.value) if tag is not None and tag.value else None
