"""OME-Zarr images of several resolutions, read by zarr a chunk at a time."""

import struct
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.slides.levels import downsample_yx, sensible_spacing
from napari_segmoe.data.slides.source import SlideLevel
from napari_segmoe.data.slides.tiles import TileCache, clip_box, read_box
from napari_segmoe.data.slides.zarr_metadata import (
    ZarrImage,
    ZarrLevel,
    is_image_group,
    read_zarr_image,
)
from napari_segmoe.data.slides.zarr_plane import ZarrPlane
from napari_segmoe.errors import SlideError
from napari_segmoe.types import Spacing

_ERRORS = (
    OSError, EOFError, ValueError, LookupError, AttributeError, TypeError, RuntimeError,
    ArithmeticError, MemoryError, struct.error, AssertionError, ImportError,
)  # fmt: skip
_LARGEST_CHUNK_BYTES = 256 << 20
_LARGEST_SIDE = 1 << 31
_SMALLEST_TILE_PX = 256
_SAMPLE_PX = 2048
_MOST_TOGETHER_PX = 8 << 20
_PERCENTILES = (0.1, 99.9)


def open_zarr_slide(path: Path) -> "ZarrSource":
    """Open an OME-Zarr image, version 0.1 to 0.5.

    Raises
    ------
    SlideError
        If it holds no multiscale image (labels and plates are none), or is damaged.
    """
    return ZarrSource(Path(path))


def is_zarr_image(path: Path) -> bool:
    """Whether a folder is an OME-Zarr image (not labels); reads metadata only."""
    return is_image_group(path)


class ZarrSource:
    """An OME-Zarr image; see `SlideSource`. Chunks not stored have the fill value.

    Parameters
    ----------
    path : Path
        The folder of the image.

    Raises
    ------
    SlideError
        As `open_zarr_slide`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cache = TileCache()
        image = read_zarr_image(path)
        self._folder = image.folder
        with warnings.catch_warnings(), self._sentences("opened"):
            warnings.simplefilter("ignore")
            notes: list[str] = []
            found = _open_levels(path, image, notes)
            self._names = [stated.path for stated, _ in found]
            self._planes = [plane for _, plane in found]
            self._levels = tuple(_levels(path, found))
            self._windows = _windows(image, self._planes, notes)
            spacing, spacing_notes = sensible_spacing(_spacing_um(image, found[0][0]))
        self._spacing_um = spacing
        self._notes = (*notes, *spacing_notes)
        self._metadata = {
            "OME-Zarr": image.version,
            "axes": "".join(image.axes),
            "pixel type": str(self._planes[0].array.dtype),
        }

    @property
    def path(self) -> Path:
        """The folder that was asked for."""
        return self._path

    @property
    def backend(self) -> str:
        """Zarr and its version."""
        import zarr

        return f"zarr {zarr.__version__}"

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
        """The whole array is shown."""
        return 0, 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed, left out or is missing."""
        return self._notes

    @property
    def metadata(self) -> Mapping[str, str]:
        """Version, axes and pixel type; no names."""
        return self._metadata

    def read(self, level: int, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        """Return a box of a level, (h, w, 3) uint8; see `SlideSource`.

        Raises
        ------
        SlideError
            If that part is damaged or the folder is gone.
        """
        here = self._levels[level]
        self._read_together(level, clip_box(box, here.shape))
        return read_box(
            here.shape,
            here.tile_yx,
            box,
            lambda row, column: self._cache.get(
                (level, row, column), lambda: self._tiles(level, (row, column))
            ),
        )

    def close(self) -> None:
        """Forget what was read; the files are open only while they are read."""
        self._cache.clear()

    def _read_together(self, level: int, box: tuple[int, int, int, int]) -> None:
        """Bring the tiles of a box into the cache at once: zarr decodes them together.

        One at a time they cost 5 times as much.
        """
        (h, w), (y0, x0, y1, x1) = self._levels[level].tile_yx, box
        if y0 == y1 or x0 == x1:
            return
        wanted = [
            (row, column)
            for row in range(y0 // h, -(-y1 // h))
            for column in range(x0 // w, -(-x1 // w))
            if (level, row, column) not in self._cache
        ]
        if not 1 < len(wanted) <= _MOST_TOGETHER_PX // (h * w):
            return
        first = wanted[0][0], min(column for _, column in wanted)
        last = wanted[-1][0], max(column for _, column in wanted)
        pixels = self._tiles(level, first, last)
        for row, column in wanted:
            y, x = (row - first[0]) * h, (column - first[1]) * w
            part = pixels[y : y + h, x : x + w]
            self._cache.get((level, row, column), part.copy)

    def _tiles(
        self, level: int, first: tuple[int, int], last: tuple[int, int] | None = None
    ) -> NDArray[np.uint8]:
        """Return a rectangle of tiles, from the (row, column) of one to another's."""
        here, plane = self._levels[level], self._planes[level]
        (height, width), (h, w) = here.shape, here.tile_yx
        row, column = first if last is None else last
        y0, x0 = first[0] * h, first[1] * w
        y1, x1 = min((row + 1) * h, height), min((column + 1) * w, width)
        at = self._folder / self._names[level]
        if not any((at / name).is_file() for name in ("zarr.json", ".zarray")):
            # To zarr, a chunk that is gone is one that was never written.
            raise SlideError(
                f"{self._path.name} is no longer there, or a part of it was moved. Put "
                "it back, or open another slide."
            )
        with self._sentences(f"read at level {level}, box {[y0, x0, y1, x1]}"):
            return _colours(plane.read(y0, x0, y1, x1), self._windows)

    @contextmanager
    def _sentences(self, action: str) -> Iterator[None]:
        """Turn whatever zarr and its codecs raise into one sentence."""
        try:
            yield
        except SlideError:
            raise
        except _ERRORS as error:
            reason = (str(error).splitlines() or [""])[0] or type(error).__name__
            raise SlideError(
                f"The OME-Zarr {self._path.name} cannot be {action}: {reason[:200]}. "
                "It is damaged, incomplete or needs a codec that zarr does not have; "
                "copy it again, or write it with the codec zstd."
            ) from error


def _open_levels(
    path: Path, image: ZarrImage, notes: list[str]
) -> list[tuple[ZarrLevel, ZarrPlane]]:
    """Return the levels that show the same area, finest first."""
    import zarr

    group = zarr.open_group(image.folder, mode="r")
    found = []
    for stated in image.levels:
        array = group[stated.path]
        if not isinstance(array, zarr.Array) or array.ndim != len(image.axes):
            raise SlideError(
                f"Level {stated.path} of {path.name} does not have the axes "
                f"{''.join(image.axes)} that its metadata state. Write it again."
            )
        found.append((stated, _plane(path, array, image)))
    found.sort(key=lambda item: item[1].shape, reverse=True)
    kept = [item for item in found if _is_aligned(found[0], item)]
    if len(kept) < len(found):
        notes.append(
            f"{len(found) - len(kept)} of {len(found)} levels do not lie on the finest "
            "one; they are not used."
        )
    notes.extend(_plane_notes(kept[0][1]))
    return kept


def _plane(path: Path, array: Any, image: ZarrImage) -> ZarrPlane:
    lengths = dict(zip(image.axes, (int(n) for n in array.shape), strict=True))
    if min(lengths.values()) < 1 or max(lengths.values()) >= _LARGEST_SIDE:
        raise SlideError(
            f"{path.name} states a shape of {tuple(lengths.values())}, which no image "
            "has: it is damaged. Write it again."
        )
    if np.dtype(array.dtype).kind not in "buif":
        raise SlideError(
            f"The pixels of {path.name} are of type {array.dtype}; expected real "
            "numbers. Convert them to uint8 or uint16."
        )
    channels = image.channel_order if lengths.get("c") in {3, 4} else (0,)
    planes = {
        axis: min(max(image.planes.get(axis, 0), 0), length - 1)
        for axis, length in lengths.items()
        if axis not in {"y", "x", "c"}
    }
    plane = ZarrPlane(array, image.axes, planes, channels)
    if plane.chunk_bytes > _LARGEST_CHUNK_BYTES or min(plane.chunk) < 1:
        raise SlideError(
            f"The chunks of {path.name} are {tuple(array.chunks)}, too large to be "
            "read one at a time; write it with chunks of 256 to 2048 px a side."
        )
    return plane


def _plane_notes(plane: ZarrPlane) -> Iterator[str]:
    lengths = dict(zip(plane.axes, plane.array.shape, strict=True))
    for axis, index in plane.planes.items():
        if lengths[axis] > 1:
            yield f"Of {lengths[axis]} planes along {axis}, number {index} is shown."
    channels = lengths.get("c", 1)
    if channels != len(plane.channels):
        shown = "first three are" if len(plane.channels) == 3 else "first is"
        yield f"Of {channels} channels the {shown} shown."


def _is_aligned(
    finest: tuple[ZarrLevel, ZarrPlane], other: tuple[ZarrLevel, ZarrPlane]
) -> bool:
    """Whether a level shows the area of the finest, up to a pixel of its own."""
    (base, base_plane), (stated, plane) = finest, other
    for axis in range(2):
        if not 0 < base.scale_yx[axis] <= stated.scale_yx[axis] < float("inf"):
            # No scales are stated (versions before 0.4): sizes alone must do.
            continue
        step = stated.scale_yx[axis] / base.scale_yx[axis]
        if step > 1 and abs(plane.shape[axis] - base_plane.shape[axis] / step) > 2:
            return False
        shift = stated.translation_yx[axis] - base.translation_yx[axis]
        centred = base.scale_yx[axis] * (step - 1) / 2
        if min(abs(shift), abs(shift - centred)) > 0.75 * stated.scale_yx[axis]:
            return False
    return _has_same_aspect(base_plane.shape, plane.shape)


def _has_same_aspect(base: tuple[int, int], shape: tuple[int, int]) -> bool:
    expected = base[1] * shape[0] / base[0]
    return shape[1] <= base[1] and abs(shape[1] - expected) <= max(0.05 * expected, 2)


def _levels(
    path: Path, found: list[tuple[ZarrLevel, ZarrPlane]]
) -> Iterator[SlideLevel]:
    base = found[0][1].shape
    for _, plane in found:
        chunk_y, chunk_x = plane.chunk
        tile_yx = (
            chunk_y * max(_SMALLEST_TILE_PX // chunk_y, 1),
            chunk_x * max(_SMALLEST_TILE_PX // chunk_x, 1),
        )
        yield SlideLevel(plane.shape, downsample_yx(base, plane.shape), tile_yx)


def _spacing_um(image: ZarrImage, finest: ZarrLevel) -> Spacing | None:
    if image.unit_um_yx is None:
        return None
    (y, x), (unit_y, unit_x) = finest.scale_yx, image.unit_um_yx
    return y * unit_y, x * unit_x


def _windows(
    image: ZarrImage, planes: list[ZarrPlane], notes: list[str]
) -> tuple[tuple[float, float], ...]:
    """Return the values of each shown channel that become 0 and 255."""
    dtype, channels = np.dtype(planes[0].array.dtype), planes[0].channels
    if dtype == np.uint8:
        return ()
    if dtype.kind == "b":
        return ((0.0, 1.0),) * len(channels)
    if len(image.windows) > max(channels):
        notes.append("The display range stated in the file was applied.")
        return tuple(image.windows[channel] for channel in channels)
    low, high = _range(planes[-1])
    notes.append(
        f"Values of type {dtype} were scaled to 8 bits: {low:g} to 0, {high:g} to 255."
    )
    return ((low, high),) * len(channels)


def _range(plane: ZarrPlane) -> tuple[float, float]:
    """Return the range of values in the middle of the coarsest level."""
    y0, x0 = (max((length - _SAMPLE_PX) // 2, 0) for length in plane.shape)
    sample = plane.read(y0, x0, y0 + _SAMPLE_PX, x0 + _SAMPLE_PX).astype(np.float64)
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return 0.0, 1.0
    if sample.min() >= 0 and sample.max() <= 255 and plane.array.dtype.kind in "iu":
        return 0.0, 255.0
    low, high = (float(value) for value in np.percentile(sample, _PERCENTILES))
    return (low, high) if high > low else (float(sample.min()), low + 1)


def _colours(
    stored: NDArray[Any], windows: tuple[tuple[float, float], ...]
) -> NDArray[np.uint8]:
    """Return (h, w, 3) uint8 of (h, w, 1 or 3) stored values."""
    if windows:
        low = np.array([window[0] for window in windows], np.float32)
        span = np.array([window[1] for window in windows], np.float32) - low
        scaled = (stored.astype(np.float32) - low) * (255 / span)
        stored = np.clip(np.rint(np.nan_to_num(scaled)), 0, 255)
    pixels = stored.astype(np.uint8)
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    return np.ascontiguousarray(pixels)
