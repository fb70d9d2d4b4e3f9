"""Give a slide the coarse resolutions that its file lacks; made when first read."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.slides.pyramid_cache import cache_folder
from napari_segmoe.data.slides.resampling import resample
from napari_segmoe.data.slides.source import BACKGROUND, SlideLevel, SlideSource
from napari_segmoe.data.slides.tiles import clip_box
from napari_segmoe.errors import SlideError
from napari_segmoe.types import Spacing

_STEP = 4
_SMALL_PX = 4096  # an overview of this size is read at once
_CHUNK_PX = 512
_PIECE_PX = 4 << 20
_logger = logging.getLogger(__name__)


def with_pyramid(source: SlideSource) -> SlideSource:
    """Return a slide with coarser resolutions where its coarsest one is large.

    Parameters
    ----------
    source : SlideSource
        Given back as it is where its coarsest level has at most 4096 px a side and
        its tiles are small.
    """
    copies_base = bool(getattr(source, "wants_copy", False))
    if max(source.levels[-1].shape) <= _SMALL_PX and not copies_base:
        return source
    return PyramidSlide(source, copies_base=copies_base)


@dataclass(frozen=True)
class _Made:
    """A level that is made from the one before and kept on disk."""

    name: str
    shape: tuple[int, int]
    step: int
    finer_shape: tuple[int, int]
    read_finer: Callable[[tuple[int, int, int, int]], NDArray[np.uint8]]
    is_wide: bool  # the finer level is read in full rows

    @property
    def bands(self) -> int:
        """How many rows of chunks it has."""
        return -(-self.shape[0] // _CHUNK_PX)


class PyramidSlide:
    """A slide with made resolutions beyond those of its file; see `SlideSource`.

    A band of chunks is made when it is first read, from the next finer level, and
    kept in the cache on disk; memory is bounded by such a band.

    Parameters
    ----------
    source : SlideSource
    copies_base : bool
        Level 0 is kept on disk too: the file gives it in one piece only.
    """

    def __init__(self, source: SlideSource, *, copies_base: bool = False) -> None:
        self._source = source
        self._lock = threading.RLock()
        self._incomplete: set[tuple[str, int]] = set()
        self._copied = 0
        self._damaged: list[str] = []
        self._made: dict[int, _Made] = {}
        self._arrays: dict[str, Any] = {}
        self._levels = list(source.levels)
        if copies_base:
            self._add(0, 1)
            tile = (_CHUNK_PX, _CHUNK_PX)
            self._levels[0] = SlideLevel(self._levels[0].shape, (1.0, 1.0), tile)
        while max(self._levels[-1].shape) > _SMALL_PX // 2:
            self._add(len(self._levels), _STEP)

    @property
    def path(self) -> Path:
        """The file."""
        return self._source.path

    @property
    def backend(self) -> str:
        """What reads the file."""
        return self._source.backend

    @property
    def levels(self) -> tuple[SlideLevel, ...]:
        """Resolutions, finest first: the file's own, then those made."""
        return tuple(self._levels)

    @property
    def spacing_um(self) -> Spacing | None:
        """Micrometres per level-0 pixel, (y, x)."""
        return self._source.spacing_um

    @property
    def origin_yx(self) -> tuple[int, int]:
        """Where our pixel (0, 0) lies in the file's frame."""
        return self._source.origin_yx

    @property
    def notes(self) -> tuple[str, ...]:
        """Those of the file, and what was made."""
        made = "The overview is made when it is first shown, and kept in the cache."
        return (*self._source.notes, made, *self._damaged)

    @property
    def metadata(self) -> Mapping[str, str]:
        """Technical facts of the file."""
        return self._source.metadata

    def read(self, level: int, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        """Return a box of a level, (h, w, 3) uint8 sRGB; see `SlideSource`.

        Raises
        ------
        SlideError
            If that part cannot be read, or the cache cannot be written.
        """
        made = self._made.get(level)
        if made is None:
            return self._source.read(level, box)
        pixels = np.full((box[2] - box[0], box[3] - box[1], 3), BACKGROUND, np.uint8)
        top, left, bottom, right = clip_box(box, made.shape)
        if top < bottom and left < right:
            for band in range(top // _CHUNK_PX, -(-bottom // _CHUNK_PX)):
                self._prepare(made, band)
            with _disk_errors(self.path):
                part = self._array(made)[top:bottom, left:right]
            pixels[top - box[0] : bottom - box[0], left - box[1] : right - box[1]] = (
                np.asarray(part)
            )
        return pixels

    def make_all(self) -> Iterator[float]:
        """Make what is missing, band by band, and yield the share that is done.

        Raises
        ------
        SlideError
            If the cache cannot be written.
        """
        work = [
            (made, band) for made in self._made.values() for band in range(made.bands)
        ]
        pixels = [made.shape[0] * made.shape[1] / made.bands for made, _ in work]
        done = 0.0
        for (made, band), share in zip(work, pixels, strict=True):
            self._prepare(made, band)
            done += share
            yield done / sum(pixels)

    def close(self) -> None:
        """Close the file; the made levels stay on disk."""
        self._source.close()

    def _add(self, number: int, step: int) -> None:
        """Add a level made from the one before (level 0: from the file)."""
        if step == 1:
            finer, shape = self._levels[0], self._levels[0].shape
        else:
            finer = self._levels[-1]
            height, width = finer.shape
            shape = (-(-height // step), -(-width // step))
            down = (finer.downsample_yx[0] * step, finer.downsample_yx[1] * step)
            self._levels.append(SlideLevel(shape, down, (_CHUNK_PX, _CHUNK_PX)))
        below = number - 1 if step > 1 else 0
        read = self._source.read if step == 1 else self.read
        self._made[number] = _Made(
            name=f"level-{number}",
            shape=shape,
            step=step,
            finer_shape=finer.shape,
            read_finer=lambda box: read(below, box),
            is_wide=finer.tile_yx[1] >= finer.shape[1],
        )

    @cached_property
    def _folder(self) -> Path:
        return cache_folder(self.path)

    def _array(self, made: _Made) -> Any:
        """Return the zarr array of a made level; it begins as background."""
        import zarr

        array = self._arrays.get(made.name)
        if array is None:
            array = zarr.open_array(
                str(self._folder / made.name),
                mode="a",
                shape=(*made.shape, 3),
                chunks=(_CHUNK_PX, _CHUNK_PX, 3),
                dtype="uint8",
                fill_value=BACKGROUND,
            )
            self._arrays[made.name] = array
        return array

    def _prepare(self, made: _Made, band: int) -> None:
        """Make a band of chunks unless it is there."""
        marker = self._folder / f"{made.name}-{band:05d}"
        if marker.exists() or (made.name, band) in self._incomplete:
            return
        with self._lock, _disk_errors(self.path):
            if marker.exists():
                return
            if self._make(made, band):
                marker.touch()
            else:
                self._incomplete.add((made.name, band))
            if made.step == 1:
                self._forget_copied(made)

    def _make(self, made: _Made, band: int) -> bool:
        """Make a band and write it; whether all of it could be read."""
        rows = (band * _CHUNK_PX, min((band + 1) * _CHUNK_PX, made.shape[0]))
        pixels = np.empty((rows[1] - rows[0], made.shape[1], 3), np.uint8)
        failed = []
        for y0, x0, y1, x1 in _pieces(made, rows):
            try:
                piece = _reduced(made, (y0, x0, y1, x1))
            except SlideError as error:
                if made.step == 1:
                    raise
                _logger.warning("A part of an overview is left out: %s", error)
                failed.append((y0, x0, y1, x1))
                piece = np.full((y1 - y0, x1 - x0, 3), BACKGROUND, np.uint8)
            pixels[y0 - rows[0] : y1 - rows[0], x0:x1] = piece
        self._array(made)[rows[0] : rows[1]] = pixels
        note = "Damaged parts of the slide are white in the overview."
        if failed and note not in self._damaged:
            self._damaged.append(note)
        return not failed

    def _forget_copied(self, made: _Made) -> None:
        """Let go of the decoded picture once all of it is on disk."""
        self._copied += 1
        if self._copied >= made.bands:
            forget = getattr(self._source, "forget_tiles", None)
            if forget is not None:
                forget()


def _pieces(made: _Made, rows: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Yield boxes of a made level, each read from the finer one at once."""
    width = made.shape[1]
    across = width if made.is_wide else max(2048 // made.step, 1)
    down = max(_PIECE_PX // (min(across, width) * made.step**2), 1)
    for y0 in range(rows[0], rows[1], down):
        for x0 in range(0, width, across):
            yield y0, x0, min(y0 + down, rows[1]), min(x0 + across, width)


def _reduced(made: _Made, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Return a box of a made level as means of the finer one."""
    step = made.step
    shape = (box[2] - box[0], box[3] - box[1])
    y0, x0 = box[0] * step, box[1] * step
    y1 = min(box[2] * step, made.finer_shape[0])
    x1 = min(box[3] * step, made.finer_shape[1])
    finer = made.read_finer((y0, x0, y1, x1))
    if step == 1:
        return finer
    lacking = (shape[0] * step - (y1 - y0), shape[1] * step - (x1 - x0))
    if any(lacking):
        finer = np.pad(finer, ((0, lacking[0]), (0, lacking[1]), (0, 0)), mode="edge")
    return resample(finer, start_yx=(0, 0), step_yx=(step, step), shape=shape)


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SlideError(
            f"The overview of {path.name} cannot be kept in the cache folder "
            f"({error.strerror or error}). Make room there, or name another folder in "
            "SEGMOE_CACHE."
        ) from error
