"""Chunks that must not reach their decoder: it trusts the length they state."""

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from napari_segmoe.errors import SlideError

_HEADER_BYTES = 16


def check_chunks(array: Any, index: Sequence[slice | int]) -> None:
    """Refuse chunks whose Blosc header does not agree with file and array.

    Blosc reads and writes as much as the header states: a chunk that was cut would be
    read beyond its end, and crash the process.

    Parameters
    ----------
    array : zarr.Array
        In a local folder; others are not looked at.
    index : sequence of slice or int
        What will be read, one for each axis.

    Raises
    ------
    SlideError
        Naming the first such chunk.
    """
    root = getattr(array.store_path.store, "root", None)
    if root is None or not _ends_with_blosc(array.metadata):
        return
    folder = Path(root) / array.store_path.path
    whole = int(np.prod(array.chunks)) * np.dtype(array.dtype).itemsize
    for numbers in _touched(array, index):
        key = array.metadata.encode_chunk_key(numbers)
        path = folder / key
        if path.is_file() and _stated_bytes(path) != (whole, path.stat().st_size):
            raise SlideError(
                f"The chunk {key} of {folder.parent.name} is damaged or cut short."
                " Copy the slide again."
            )


def _touched(array: Any, index: Sequence[slice | int]) -> Iterator[tuple[int, ...]]:
    ranges = []
    for wanted, length, chunk in zip(index, array.shape, array.chunks, strict=True):
        if isinstance(wanted, int):
            wanted = slice(wanted, wanted + 1)
        start, stop, _ = wanted.indices(length)
        ranges.append(range(start // chunk, -(-stop // chunk)))
    return product(*ranges)


def _stated_bytes(path: Path) -> tuple[int, int]:
    """Return the decoded and encoded lengths that a chunk's header states."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        return -1, -1
    return int.from_bytes(header[4:8], "little"), int.from_bytes(
        header[12:16], "little"
    )


def _ends_with_blosc(metadata: Any) -> bool:
    codecs = getattr(metadata, "codecs", None)
    last = codecs[-1] if codecs else getattr(metadata, "compressor", None)
    return "blosc" in type(last).__name__.lower()
