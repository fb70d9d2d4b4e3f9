"""Read one page of a TIFF file, with the scale it states."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_segmoe.data.intensity import check_sides
from napari_segmoe.errors import ImageReadError
from napari_segmoe.types import LoadedImage, Spacing

_UM = {
    "nm": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0, "\\u00b5m": 1.0, "micron": 1.0,
    "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0, "mm": 1e3, "cm": 1e4,
    "inch": 25_400.0, "m": 1e6,
}  # fmt: skip
# Resolutions, in dots per inch, that programs write when they know none.
_PLACEHOLDER_DPI = (
    1, 72, 75, 90, 96, 100, 120, 144, 150, 180, 200, 240, 300, 350, 360, 400, 600, 1200,
)  # fmt: skip
_UM_PER_RESOLUTION_UNIT = {2: 25_400.0, 3: 10_000.0}


def read_tiff(path: Path, *, frame: int = 0) -> LoadedImage:
    """Read page ``frame`` of a TIFF file; see `read_image`."""
    from napari_segmoe.data.images import with_pixels

    with _opened(path) as tiff:
        page = _page(path, tiff, frame)
        count = len(tiff.pages)
        pixels = _colours(page, page.asarray())
        notes: tuple[str, ...] = ()
        if count > 1:
            notes = (f"The file has {count} pages; page {frame + 1} is shown.",)
        image = LoadedImage(
            np.zeros((1, 1), np.uint8),
            spacing_um=stated_spacing_um(tiff, page),
            notes=notes,
            frame_count=count,
            frame=frame,
        )
        return with_pixels(path, pixels, image)


def tiff_size(path: Path) -> tuple[int, int]:
    """Return (height, width) of the first page."""
    with _opened(path) as tiff:
        page = _page(path, tiff, 0)
        return int(page.imagelength), int(page.imagewidth)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a TIFF file; whatever its decoders raise becomes one clear sentence."""
    try:
        with tifffile.TiffFile(path) as tiff:
            yield tiff
    except ImageReadError:
        raise
    except (
        tifffile.TiffFileError, struct.error, OSError, ValueError, KeyError, IndexError,
        RuntimeError, TypeError, ArithmeticError, SyntaxError,
    ) as error:  # fmt: skip
        raise ImageReadError(
            f"{path.name} is damaged, cut short or an unusual TIFF ({error}). Copy it "
            "again, or save it as an uncompressed TIFF."
        ) from error


def _page(path: Path, tiff: Any, frame: int) -> Any:
    count = len(tiff.pages)
    if not count:
        raise ImageReadError(
            f"{path.name} is damaged or cut short: no image is found in it. Copy it"
            " again."
        )
    if not 0 <= frame < count:
        raise ImageReadError(
            f"{path.name} has {count} pages; page {frame} (from 0) was asked for."
        )
    page = tiff.pages[frame]
    check_sides(int(page.imagelength), int(page.imagewidth), path.name)
    _check_complete(path, page)
    return page


def _check_complete(path: Path, page: Any) -> None:
    """Refuse a page whose data ends beyond the file: the decoder would fill zeros."""
    pairs = zip(page.dataoffsets, page.databytecounts, strict=False)
    end = max((offset + length for offset, length in pairs), default=0)
    size = path.stat().st_size
    if end > size:
        raise ImageReadError(
            f"{path.name} is cut short: {size} bytes of at least {end}. Copy it again."
        )


def _colours(page: Any, pixels: NDArray) -> NDArray:
    """Return (H, W) or (H, W, 3|4), black is 0."""
    if page.planarconfig == 2 and pixels.ndim == 3:
        pixels = np.moveaxis(pixels, 0, -1)  # (H, W, S)
    photometric = tifffile.PHOTOMETRIC(page.photometric)
    if photometric == tifffile.PHOTOMETRIC.PALETTE and page.colormap is not None:
        return np.moveaxis(page.colormap >> 8, 0, -1)[pixels].astype(np.uint8)
    if photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        return _inverted(pixels)
    if photometric in {tifffile.PHOTOMETRIC.SEPARATED, tifffile.PHOTOMETRIC.CIELAB}:
        raise ImageReadError(
            f"The colours are {photometric.name}; expected grey, palette or RGB. "
            "Convert the image to RGB."
        )
    if pixels.ndim == 3 and pixels.shape[2] == 2:  # grey with alpha
        grey, alpha = pixels[..., 0], pixels[..., 1]
        return np.stack([grey, grey, grey, alpha], axis=-1)
    return pixels


def _inverted(pixels: NDArray) -> NDArray:
    if pixels.dtype.kind == "b":
        return ~pixels
    if pixels.dtype.kind == "u":
        return np.iinfo(pixels.dtype).max - pixels
    return -pixels


def stated_spacing_um(tiff: Any, page: Any) -> Spacing | None:
    """Return (y, x) um a pixel from OME, ImageJ or resolution tags, in this order.

    Resolutions that programs write when they know none count as missing.
    """
    if tiff.is_ome and tiff.ome_metadata:
        return _ome_spacing(tiff.ome_metadata)
    resolution = _resolution(page)
    if resolution is None:
        return None
    y, x = resolution
    if tiff.is_imagej:
        unit = str((tiff.imagej_metadata or {}).get("unit", "")).strip().lower()
        factor = _UM.get(unit)
        return None if factor is None else (factor / y, factor / x)
    tag = page.tags.get("ResolutionUnit")
    per_unit = _UM_PER_RESOLUTION_UNIT.get(int(tag.value) if tag else 2)
    if per_unit is None or is_placeholder_dpi(25_400 * x / per_unit):
        return None
    return per_unit / y, per_unit / x


def _resolution(page: Any) -> tuple[float, float] | None:
    """Return pixels per unit (y, x)."""
    values = []
    for name in ("YResolution", "XResolution"):
        tag = page.tags.get(name)
        if tag is None:
            return None
        numerator, denominator = tag.value
        if numerator <= 0 or denominator <= 0:
            return None
        values.append(numerator / denominator)
    return values[0], values[1]


def is_placeholder_dpi(dpi: float) -> bool:
    """Tell whether a resolution is one that programs write when they know none."""
    return any(abs(dpi - known) <= 0.01 * known for known in _PLACEHOLDER_DPI)


def _ome_spacing(text: str) -> Spacing | None:
    root = ElementTree.fromstring(text)
    pixels = next((node for node in root.iter() if node.tag.endswith("}Pixels")), None)
    if pixels is None:
        return None
    values = []
    for axis in "YX":
        factor = _UM.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        size = float(pixels.get(f"PhysicalSize{axis}", "0"))
        if factor is None or not 0 < size < float("inf"):
            return None
        values.append(size * factor)
    return values[0], values[1]
