"""Label pixels as run lengths: small, exact, and checked when read."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.errors import ProjectError

Labels = NDArray[np.uint32]

_HEADER = struct.Struct("<4sIII")
_MAGIC = b"SRL1"
_MOST_PIXELS = 2**31


def encode_runs(labels: Labels) -> bytes:
    """Return label pixels, (h, w), as compressed run lengths in row order."""
    flat = np.ascontiguousarray(labels, np.uint32).ravel()
    starts = np.flatnonzero(np.diff(flat)) + 1
    edges = (
        np.concatenate(([0], starts, [flat.size])) if flat.size else np.zeros(1, int)
    )
    values = flat[edges[:-1]].astype("<u4")
    lengths = np.diff(edges).astype("<u4")
    height, width = labels.shape
    body = zlib.compress(values.tobytes() + lengths.tobytes(), level=1)
    return _HEADER.pack(_MAGIC, height, width, len(values)) + body


def decode_runs(data: bytes) -> Labels:
    """Return the label pixels, (h, w) uint32, that `encode_runs` wrote.

    Raises
    ------
    ProjectError
        If the bytes are damaged.
    """
    try:
        magic, height, width, count = _HEADER.unpack_from(data)
        if magic != _MAGIC or height * width > _MOST_PIXELS:
            raise ProjectError(_DAMAGED)
        unpacker = zlib.decompressobj()
        body = unpacker.decompress(data[_HEADER.size :], 8 * count + 1)
    except (struct.error, zlib.error) as error:
        raise ProjectError(_DAMAGED) from error
    if len(body) != 8 * count or not unpacker.eof:
        raise ProjectError(_DAMAGED)
    numbers = np.frombuffer(body, "<u4")
    values, lengths = numbers[:count], numbers[count:].astype(np.int64)
    if lengths.sum() != height * width:
        raise ProjectError(_DAMAGED)
    return np.repeat(values, lengths).astype(np.uint32).reshape(height, width)


_DAMAGED = (
    "Stored label pixels are damaged. Run `segmoe project verify` to see which, and"
    " restore a backup."
)
