"""Read one image file, whatever its kind, into 8-bit pixels with scale and notes."""

import dataclasses
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from napari_segmoe.data.intensity import as_uint8_image, check_sides, convert_to_uint8
from napari_segmoe.errors import ImageReadError
from napari_segmoe.types import LoadedImage

__all__ = ["as_uint8_image", "image_size", "read_image"]

_PILLOW_FORMATS = ("PNG", "JPEG", "BMP")
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ORIENTATION_TAG = 0x0112


def read_image(path: str | Path, *, frame: int = 0) -> LoadedImage:
    """Read one image file; its content, not its name, says of what kind it is.

    Parameters
    ----------
    path : path
        A PNG, JPEG, BMP, TIFF or DICOM file.
    frame : int
        Page of a TIFF or frame of a DICOM file, from 0.

    Returns
    -------
    LoadedImage
        (H, W) or (H, W, 3) uint8, with notes that say what was assumed.

    Raises
    ------
    ImageReadError
        If the file is missing, empty, cut short, of another kind, has no such
        frame, holds NaN, or is a slide.
    """
    path = Path(path)
    kind = _sniff(path)
    if kind == "dicom":
        from napari_segmoe.data.dicom import read_dicom

        return read_dicom(path, frame=frame)
    if kind == "tiff":
        from napari_segmoe.data.tiff import read_tiff

        return read_tiff(path, frame=frame)
    if frame != 0:
        raise ImageReadError(f"{path.name} has one frame; frame {frame} was asked for.")
    return _read_with_pillow(path)


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (height, width) of the pixels that `read_image` would return.

    Reads no more than the header, save for DICOM files.

    Raises
    ------
    ImageReadError
        As `read_image` does.
    """
    path = Path(path)
    kind = _sniff(path)
    if kind == "dicom":
        height, width = read_image(path).pixels.shape[:2]
        return height, width
    if kind == "tiff":
        from napari_segmoe.data.tiff import tiff_size

        return tiff_size(path)
    with _open(path) as image:
        turned = image.getexif().get(_ORIENTATION_TAG, 1) >= 5
        return (image.width, image.height) if turned else (image.height, image.width)


def _sniff(path: Path) -> str:
    """Return "dicom", "tiff" or "other" from the first bytes."""
    if not path.exists():
        raise ImageReadError(f"There is no file {path}. Check the path.")
    if path.is_dir():
        raise ImageReadError(f"{path} is a folder; expected one image file.")
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError as error:
        raise ImageReadError(f"{path.name} cannot be opened: {error}.") from error
    if not start:
        raise ImageReadError(f"{path.name} is empty (0 bytes). Copy it again.")
    if start[128:132] == b"DICM":
        return "dicom"
    if start[:4] in _TIFF_STARTS:
        return "tiff"
    is_other = start[:8].startswith((b"\x89PNG", b"\xff\xd8\xff", b"BM"))
    return "dicom" if path.suffix.lower() == ".dcm" and not is_other else "other"


def _open(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=_PILLOW_FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageReadError(
            f"{path.name} has too many pixels to be opened at once: it is a slide. "
            "Open it as a slide, or crop it."
        ) from error
    except UnidentifiedImageError as error:
        raise ImageReadError(
            f"{path.name} is not an image that can be read; expected PNG, JPEG, BMP, "
            "TIFF or DICOM. Convert it, or copy it again if it should be one."
        ) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageReadError(_damaged(path, error)) from error
    check_sides(image.height, image.width, path.name)
    return image


def _damaged(path: Path, error: Exception) -> str:
    return f"{path.name} is damaged or cut short ({error}). Copy it again."


def _read_with_pillow(path: Path) -> LoadedImage:
    notes: tuple[str, ...] = ()
    with _open(path) as image:
        try:
            if _is_16_bit_colour(path):
                pixels: NDArray = _decode_16_bit_png(path)
            else:
                turned = ImageOps.exif_transpose(image)
                if image.getexif().get(_ORIENTATION_TAG, 1) != 1:
                    notes = ("The image was turned as its EXIF orientation says.",)
                pixels = _to_array(turned)
        except (OSError, SyntaxError, ValueError, RuntimeError) as error:
            raise ImageReadError(_damaged(path, error)) from error
    return with_pixels(
        path, pixels, LoadedImage(np.zeros((1, 1), np.uint8), notes=notes)
    )


def with_pixels(path: Path, pixels: NDArray, image: LoadedImage) -> LoadedImage:
    """Return ``image`` with these pixels, brought to 8 bits and checked."""
    try:
        converted, more = convert_to_uint8(pixels)
    except ImageReadError as error:
        raise ImageReadError(f"{path.name}: {error}") from error
    return dataclasses.replace(image, pixels=converted, notes=(*image.notes, *more))


def _to_array(image: Image.Image) -> NDArray:
    if image.mode in {"L", "RGB", "RGBA", "1", "F", "I"} or image.mode.startswith(
        "I;16"
    ):
        has_key = "transparency" in image.info and image.mode in {"L", "RGB"}
        return np.asarray(image.convert("RGBA") if has_key else image)
    if image.mode in {"LA", "PA"} or "transparency" in image.info:
        return np.asarray(image.convert("RGBA"))
    return np.asarray(image.convert("RGB"))


def _is_16_bit_colour(path: Path) -> bool:
    """Whether this is a PNG of 16 bits with several channels (Pillow keeps 8)."""
    with path.open("rb") as file:
        start = file.read(26)
    is_png = len(start) == 26 and start.startswith(b"\x89PNG")
    return is_png and start[24] == 16 and start[25] != 0


def _decode_16_bit_png(path: Path) -> NDArray:
    from imagecodecs import png_decode

    pixels = np.asarray(png_decode(path.read_bytes()))
    if pixels.ndim == 3 and pixels.shape[2] == 2:
        grey, alpha = pixels[..., 0], pixels[..., 1]
        return np.stack([grey, grey, grey, alpha], axis=-1)
    return pixels
