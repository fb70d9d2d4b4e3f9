"""Make answers small for a pipe: large arrays that are mostly zero. Loads no torch."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.patches import Patch, mask_box
from napari_segmoe.types import Prediction

_SMALL = 4096  # elements; less is sent as it is


@dataclass(frozen=True, slots=True, eq=False)
class PackedArray:
    """An (H, W) array as the box outside which it is zero.

    Attributes
    ----------
    shape : (H, W)
    dtype : str
        Of the whole array; ids are sent in fewer bytes where they fit.
    patch : Patch
        What is not zero; bits where the array is of bool.
    width : int
        Of the box.
    """

    shape: tuple[int, int]
    dtype: str
    patch: Patch
    width: int


@dataclass(frozen=True, slots=True, eq=False)
class PackedPrediction:
    """A prediction whose arrays are packed."""

    bare: Prediction
    mask: PackedArray
    probability: PackedArray
    labels: PackedArray


def pack(value: Any) -> Any:
    """Return what to send for a prediction or (H, W) array; all else as it is."""
    if isinstance(value, Prediction):
        return PackedPrediction(
            bare=replace(
                value,
                mask=np.zeros((0, 0), bool),
                probability=np.zeros((0, 0), np.float32),
                labels=np.zeros((0, 0), np.uint32),
            ),
            mask=_pack(value.mask),
            probability=_pack(value.probability),
            labels=_pack(value.labels),
        )
    if isinstance(value, np.ndarray) and value.ndim == 2 and value.size > _SMALL:
        return _pack(value)
    return value


def unpack(value: Any) -> Any:
    """Return what `pack` was given."""
    if isinstance(value, PackedPrediction):
        return replace(
            value.bare,
            mask=_unpack(value.mask),
            probability=_unpack(value.probability),
            labels=_unpack(value.labels),
        )
    if isinstance(value, PackedArray):
        return _unpack(value)
    return value


def _pack(array: NDArray[Any]) -> PackedArray:
    y0, x0, y1, x1 = mask_box(array) or (0, 0, 0, 0)
    found = array[y0:y1, x0:x1]
    if found.dtype == np.bool_:
        found = np.packbits(found, axis=1)
    elif found.dtype.kind == "u":
        found = found.astype(np.min_scalar_type(int(found.max(initial=0))))
    shape = (array.shape[0], array.shape[1])
    patch = Patch(np.ascontiguousarray(found), y0, x0)
    return PackedArray(shape, array.dtype.str, patch, x1 - x0)


def _unpack(packed: PackedArray) -> NDArray[Any]:
    values, dtype = packed.patch.values, np.dtype(packed.dtype)
    if dtype == np.bool_:
        values = np.unpackbits(values, axis=1, count=packed.width)
    full = np.zeros(packed.shape, dtype)
    y0, x0 = packed.patch.y0, packed.patch.x0
    full[y0 : y0 + values.shape[0], x0 : x0 + packed.width] = values
    return full
