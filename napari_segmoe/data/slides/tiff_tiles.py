"""Decode single tiles and strips of a TIFF file, never more than asked for."""

import struct
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_segmoe.data.slides.codestreams import codestream_size
from napari_segmoe.data.slides.source import BACKGROUND
from napari_segmoe.data.slides.tiff_levels import TiffLevel
from napari_segmoe.errors import SlideError

_JPEG = {6, 7, 34892, 33007}
_SLACK_BYTES = 1 << 16


class TileReader:
    """Reads tiles of a TIFF file; several threads may use it.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._file = path.open("rb")
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def tile(self, level: TiffLevel, row: int, column: int) -> NDArray[Any]:
        """Return a tile (see `TiffLevel.tile_yx`), (h, w, S) of the file's type.

        At the lower and right border it may be smaller.

        Raises
        ------
        SlideError
            If it cannot be decoded.
        """
        try:
            planes = [
                self._rows(level, page, plane, row)
                if level.is_raw
                else self._segments(level, page, plane, row=row, column=column)
                for page, plane in level.planes
            ]
        except SlideError:
            raise
        except (
            tifffile.TiffFileError, struct.error, OSError, ValueError, KeyError,
            IndexError, RuntimeError, TypeError, ArithmeticError, MemoryError,
        ) as error:  # fmt: skip
            raise SlideError(f"a tile cannot be decoded ({error})") from error
        return planes[0] if len(planes) == 1 else np.concatenate(planes, axis=-1)

    def _rows(self, level: TiffLevel, page: Any, plane: int, row: int) -> NDArray[Any]:
        """Return the rows of a tile that lie in the file uncompressed."""
        keyframe = page.keyframe
        (height, width), rows = level.shape, level.segment_yx[0]
        samples = 1 if keyframe.planarconfig == 2 else int(keyframe.samplesperpixel)
        dtype = np.dtype(keyframe.parent.byteorder + keyframe.dtype.char)
        row_bytes = width * samples * dtype.itemsize
        strips = -(-height // rows)
        start, end = row * level.tile_yx[0], min((row + 1) * level.tile_yx[0], height)
        pieces = []
        while start < end:
            strip = start // rows
            stop = min((strip + 1) * rows, end)
            offset = page.dataoffsets[plane * strips + strip]
            count = (stop - start) * row_bytes
            if offset == 0:
                pieces.append(b"\xff" * count)
            else:
                place = offset + (start - strip * rows) * row_bytes
                pieces.append(self._bytes(place, count))
            start = stop
        values = np.frombuffer(b"".join(pieces), dtype)
        return values.reshape(-1, width, samples).astype(dtype.newbyteorder("="))

    def _segments(
        self, level: TiffLevel, page: Any, plane: int, *, row: int, column: int
    ) -> NDArray[Any]:
        """Return a decoded tile, or the decoded strips of one, below each other."""
        across = -(-level.shape[1] // level.segment_yx[1])
        down = -(-level.shape[0] // level.segment_yx[0])
        together = level.tile_yx[0] // level.segment_yx[0]
        first = row * together
        pieces = [
            self._decoded(level, page, (plane * down + number) * across + column)
            for number in range(first, min(first + together, down))
        ]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=0)

    def _decoded(self, level: TiffLevel, page: Any, index: int) -> NDArray[Any]:
        """Return segment ``index`` of a page, (h, w, S)."""
        keyframe = page.keyframe
        offset, count = page.dataoffsets[index], page.databytecounts[index]
        samples = 1 if keyframe.planarconfig == 2 else int(keyframe.samplesperpixel)
        if offset == 0 or count == 0:  # left out: nothing was scanned there
            shape = (*level.segment_yx, samples)
            return np.full(shape, _white(keyframe), keyframe.dtype)
        decoded_bytes = level.segment_yx[0] * level.segment_yx[1] * samples * 8
        if count > decoded_bytes * 2 + _SLACK_BYTES:
            raise SlideError(f"a tile is stated to have {count} bytes")
        data = self._bytes(offset, count)
        options: dict[str, Any] = {}
        if keyframe.compression in _JPEG:
            options = {"jpegtables": page.jpegtables, "jpegheader": keyframe.jpegheader}
        if not options.get("jpegheader"):
            _check_size(data, level.segment_yx)
        pixels, _, _ = keyframe.decode(data, index, **options)
        return np.asarray(pixels).reshape(pixels.shape[-3:])

    def _bytes(self, offset: int, count: int) -> bytes:
        with self._lock:
            self._file.seek(offset)
            data = self._file.read(count)
        if len(data) < count:
            raise SlideError(f"the file ends {count - len(data)} bytes too early")
        return data


def _white(page: Any) -> int:
    """Return what shows as the background where nothing is stored."""
    if page.photometric in {0, 3} or page.dtype.kind not in "uib":
        return 0
    return BACKGROUND if page.dtype.itemsize == 1 else int(np.iinfo(page.dtype).max)


def _check_size(data: bytes, segment_yx: tuple[int, int]) -> None:
    """Refuse a tile whose own header states another size: it would fill memory."""
    if not data.startswith((b"\xff\xd8", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP")):
        return
    height, width, channels = codestream_size(data)
    if height > segment_yx[0] or width > segment_yx[1] or not 0 < channels <= 4:
        raise SlideError(
            f"a tile of {segment_yx[0]} x {segment_yx[1]} px states "
            f"{height} x {width} px and {channels} channels in its own header"
        )
