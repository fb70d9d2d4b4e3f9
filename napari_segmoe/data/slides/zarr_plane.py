"""The picture in an array of many axes: which channels and planes are shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.slides.zarr_chunks import check_chunks


@dataclass(frozen=True, slots=True, eq=False)
class ZarrPlane:
    """The picture that one level of an OME-Zarr shows.

    Attributes
    ----------
    array : zarr.Array
    axes : tuple of str
        Of the array, as ("c", "y", "x").
    planes : mapping of str to int
        Index along each axis but "y", "x" and "c".
    channels : tuple of int
        The one or three that are shown.
    """

    array: Any
    axes: tuple[str, ...]
    planes: Mapping[str, int]
    channels: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self._of(self.array.shape)

    @property
    def chunk(self) -> tuple[int, int]:
        """Height and width of what is stored together."""
        return self._of(self.array.chunks)

    @property
    def chunk_bytes(self) -> int:
        """Memory that one chunk takes when it is read."""
        size = int(np.dtype(self.array.dtype).itemsize)
        for length in self.array.chunks:
            size *= int(length)
        return size

    def read(self, y0: int, x0: int, y1: int, x1: int) -> NDArray[Any]:
        """Return (h, w, channels) as stored.

        Raises
        ------
        SlideError
            If a chunk is damaged so that its decoder could crash.
        """
        index = tuple(
            {"y": slice(y0, y1), "x": slice(x0, x1), "c": slice(None)}.get(
                axis, self.planes.get(axis, 0)
            )
            for axis in self.axes
        )
        check_chunks(self.array, index)
        stored = np.asarray(self.array[index])
        kept = [axis for axis in self.axes if axis in {"y", "x", "c"}]
        if "c" not in kept:
            return stored.transpose(kept.index("y"), kept.index("x"))[..., None]
        order = [kept.index(axis) for axis in ("y", "x", "c")]
        return stored.transpose(order)[..., list(self.channels)]

    def _of(self, lengths: Any) -> tuple[int, int]:
        return int(lengths[self.axes.index("y")]), int(lengths[self.axes.index("x")])
