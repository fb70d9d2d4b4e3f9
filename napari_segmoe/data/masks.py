"""Read mask files: what their values mean is found out and said."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from napari_segmoe.data.images import image_size
from napari_segmoe.errors import DataFolderError, ImageReadError

_MAX_COLOURS = 256


class MaskKind(StrEnum):
    """What the values of a mask stand for."""

    EMPTY = "empty"
    BINARY = "binary"
    INSTANCES = "instances"
    SEMANTIC = "semantic"


_MEANING = {
    MaskKind.EMPTY: "no object (all values are 0)",
    MaskKind.BINARY: "background and foreground",
    MaskKind.INSTANCES: "one id an object",
    MaskKind.SEMANTIC: "one value a class",
}


@dataclass(frozen=True, slots=True, eq=False)
class MaskImage:
    """A mask as read from a file.

    Attributes
    ----------
    labels : (H, W) uint16 or uint32
        0 is background. Binary: 1 is the foreground. Otherwise the file's ids.
    kind : MaskKind
        What the ids stand for.
    note : str
        What was assumed, as a sentence.
    """

    labels: NDArray[np.unsignedinteger]
    kind: MaskKind
    note: str


def read_mask(
    path: str | Path,
    shape: tuple[int, int] | None = None,
    *,
    kind: MaskKind | None = None,
) -> MaskImage:
    """Read one mask file.

    Parameters
    ----------
    path : path
        A PNG (or other picture) of 0/1, 0/255, instance ids, a palette or classes.
    shape : (H, W) or None
        Size that the mask must have; None takes any.
    kind : MaskKind or None
        What the folder's masks stand for; None finds out from this one file.

    Raises
    ------
    DataFolderError
        If the file cannot be read, has another size, or too many colours.
    """
    path = Path(path)
    values, source = _read_values(path)
    if shape is not None and values.shape != tuple(shape):
        raise DataFolderError(
            f"The mask {path.name} is {values.shape[0]} x {values.shape[1]} px, its "
            f"image {shape[0]} x {shape[1]}; both must be of one size. Make the mask "
            "again at the size of the image."
        )
    found = kind if kind is not None else detect_kind(values)
    if not values.any():
        return MaskImage(
            values.astype(np.uint16), MaskKind.EMPTY, _note(source, MaskKind.EMPTY)
        )
    if found == MaskKind.BINARY:
        foreground = (
            values >= 128 if values.max() > 127 and _is_binary(values) else values > 0
        )
        values = foreground.astype(np.uint16)
    dtype = np.uint16 if values.max() < 2**16 else np.uint32
    return MaskImage(values.astype(dtype), found, _note(source, found))


def detect_kind(values: NDArray) -> MaskKind:
    """Say what the values of one mask stand for.

    0 and one of 1 or 255, or nearly only values near 0 and 255 (smoothed): binary.
    Ids 1 to n without a gap, nearly each in one piece: instances. Else: classes.
    """
    if not values.any():
        return MaskKind.EMPTY
    ids = np.unique(values)
    ids = ids[ids > 0]
    if _is_binary(values):
        return MaskKind.BINARY
    if len(ids) != ids[-1] or len(ids) == 1:
        return MaskKind.SEMANTIC
    return (
        MaskKind.INSTANCES if _share_in_one_piece(values) >= 0.8 else MaskKind.SEMANTIC
    )


def agree_on_kind(kinds: Iterable[MaskKind]) -> MaskKind:
    """Return the one kind that all masks of a folder share.

    A single mask of classes makes all of them classes: a mask with one class looks
    binary or like one instance. Instances win over binary for the same reason.
    """
    seen = set(kinds)
    for kind in (MaskKind.SEMANTIC, MaskKind.INSTANCES, MaskKind.BINARY):
        if kind in seen:
            return kind
    return MaskKind.EMPTY


def mask_kind_of(path: str | Path) -> MaskKind:
    """Say what the values of one mask file stand for."""
    return detect_kind(_read_values(Path(path))[0])


def mask_size(path: str | Path) -> tuple[int, int]:
    """Return (height, width) from the header of a mask file.

    Raises
    ------
    DataFolderError
        If the file cannot be read.
    """
    try:
        return image_size(path)
    except ImageReadError as error:
        raise DataFolderError(f"The mask cannot be read: {error}") from error


def _note(source: str, kind: MaskKind) -> str:
    return f"The mask's {source} were taken as {_MEANING[kind]}."


def _is_binary(values: NDArray) -> bool:
    high = int(values.max())
    ids = np.unique(values)
    if len(ids) <= 2:
        return high in {1, 255} and bool(len(ids) == 1 or ids[0] == 0)
    if not 200 <= high <= 255:
        return False
    near_ends = np.count_nonzero((values <= 15) | (values >= 240)) / values.size
    inner = np.count_nonzero((values > 0) & (values <= 15)) < 0.02 * values.size
    return bool(near_ends > 0.9 and inner and (values >= 240).any())


def _share_in_one_piece(values: NDArray) -> float:
    """Return the share of ids whose pixels are connected."""
    boxes = ndimage.find_objects(values.astype(np.int32))
    whole = [
        ndimage.label(values[box] == index, np.ones((3, 3)))[1] == 1
        for index, box in enumerate(boxes, 1)
        if box is not None
    ]
    return float(np.mean(whole)) if whole else 0.0


def _read_values(path: Path) -> tuple[NDArray, str]:
    """Return (H, W) non-negative ids and the word for what they were."""
    if not path.is_file():
        raise DataFolderError(f"There is no mask {path}. Check the masks folder.")
    try:
        with Image.open(path) as image:
            if image.mode in {"P", "PA"}:
                return np.asarray(
                    image.getchannel("P") if image.mode == "PA" else image
                ), "palette numbers"
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataFolderError(
            f"The mask {path.name} is damaged or no picture ({error}). Save it again "
            "as a PNG."
        ) from error
    return _ids_of(path, pixels)


def _ids_of(path: Path, pixels: NDArray) -> tuple[NDArray, str]:
    if pixels.ndim == 3 and pixels.shape[2] == 2:
        pixels = pixels[..., 0]
    if pixels.dtype.kind == "f" or (pixels.dtype.kind == "i" and pixels.min() < 0):
        raise DataFolderError(
            f"The mask {path.name} holds fractions or negative values; expected whole "
            "ids from 0. Save it as an 8- or 16-bit PNG."
        )
    if pixels.ndim == 2:
        return pixels.astype(np.uint8) if pixels.dtype == np.bool_ else pixels, "values"
    red, green, blue = (pixels[..., channel] for channel in range(3))
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return red, "values"
    return _colours_to_ids(
        path, pixels
    ), "colours (numbered by their RGB value, black is 0)"


def _colours_to_ids(path: Path, pixels: NDArray) -> NDArray:
    channels = pixels[..., :3].astype(np.uint32)
    codes = (channels[..., 0] << 16) | (channels[..., 1] << 8) | channels[..., 2]
    colours = np.union1d(codes, [0])
    if len(colours) > _MAX_COLOURS:
        raise DataFolderError(
            f"The mask {path.name} has {len(colours)} colours; expected at most "
            f"{_MAX_COLOURS}, one an object or class. Save it as a PNG of ids."
        )
    return np.searchsorted(colours, codes).astype(np.uint16)
