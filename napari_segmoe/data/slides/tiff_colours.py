"""Turn decoded TIFF values into 8-bit RGB: palettes, grey, 16 bits, transparency."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_segmoe.data.slides.source import BACKGROUND
from napari_segmoe.errors import SlideError

_JPEG2000_YCBC = 33003
_JPEG_LIKE = {6, 7, 33003, 33004, 33005, 34712, 34892, 33007, 50001, 50002, 52546}


@dataclass(frozen=True)
class TiffColours:
    """How the values of a page become RGB.

    Attributes
    ----------
    palette : (N, 3) uint8 or None
    is_inverted : bool
        0 is white.
    value_range : (low, high) or None
        Values that become 0 and 255; None where they are bytes already.
    alpha : int or None
        Which sample is transparency.
    is_premultiplied : bool
    is_ycbcr : bool
        The codec leaves luma and chroma.
    """

    palette: NDArray[np.uint8] | None
    is_inverted: bool
    value_range: tuple[float, float] | None
    alpha: int | None = None
    is_premultiplied: bool = False
    is_ycbcr: bool = False

    def rgb(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Return (h, w, S) values of the file as (h, w, 3) uint8."""
        if self.palette is not None:
            last = len(self.palette) - 1
            return self.palette[np.minimum(values[..., 0], last)]
        pixels = self._bytes(values)
        if self.is_inverted:
            pixels = BACKGROUND - pixels
        if self.is_ycbcr and pixels.shape[2] >= 3:
            pixels = _from_ycbcr(pixels)
        if self.alpha is not None and self.alpha < pixels.shape[2]:
            pixels = self._over_white(pixels, self.alpha)
        if pixels.shape[2] < 3:
            return np.repeat(pixels[..., :1], 3, axis=2)
        return pixels[..., :3]

    def _bytes(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        if self.value_range is None:
            return values.astype(np.uint8, copy=False)
        low, high = self.value_range
        factor = np.float32(255.0 / (high - low))
        scaled = (values.astype(np.float32) - np.float32(low)) * factor
        return np.clip(np.rint(np.nan_to_num(scaled)), 0, 255).astype(np.uint8)

    def _over_white(self, pixels: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        alpha, colours = pixels[..., index : index + 1], pixels[..., :index]
        if alpha.size == 0 or alpha.min() == BACKGROUND:
            return colours
        share = alpha.astype(np.float32) / 255
        over = colours * (1 if self.is_premultiplied else share)
        over = over + BACKGROUND * (1 - share)
        return np.clip(np.rint(over), 0, 255).astype(np.uint8)


def check_colours(name: str, page: Any) -> None:
    """Refuse colours that nothing here can show rightly.

    Raises
    ------
    SlideError
        For CMYK, CIELAB and YCbCr outside JPEG.
    """
    kind = tifffile.PHOTOMETRIC(page.photometric)
    if page.dtype is None or page.dtype.kind not in "buif":
        raise SlideError(
            f"The pixels of {name} are of type {page.dtype}; expected real numbers."
        )
    is_ycbcr = kind == tifffile.PHOTOMETRIC.YCBCR
    if is_ycbcr and page.compression in _JPEG_LIKE:
        return
    known = (
        tifffile.PHOTOMETRIC.RGB,
        tifffile.PHOTOMETRIC.MINISBLACK,
        tifffile.PHOTOMETRIC.MINISWHITE,
        tifffile.PHOTOMETRIC.PALETTE,
    )
    if kind not in known:
        raise SlideError(
            f"The colours of {name} are {kind.name}; expected grey, palette or RGB. "
            "Convert it to RGB."
        )


def colours_of(
    page: Any, samples: Iterable[NDArray[Any]], *, significant_bits: int | None
) -> tuple[TiffColours, tuple[str, ...]]:
    """Return how the values of a page become RGB, and what is to be said of it.

    Parameters
    ----------
    page : tifffile.TiffPage
    samples : iterable of arrays
        Some decoded tiles; looked at only where values are not bytes.
    significant_bits : int or None
        As the file states it.
    """
    kind = tifffile.PHOTOMETRIC(page.photometric)
    if kind == tifffile.PHOTOMETRIC.PALETTE and page.colormap is not None:
        palette = np.moveaxis(np.asarray(page.colormap), 0, -1)
        deep = palette.max() > BACKGROUND
        palette = (palette >> 8 if deep else palette).astype(np.uint8)
        return TiffColours(palette, is_inverted=False, value_range=None), ()
    value_range, notes = _range(page, samples, significant_bits)
    extra = tuple(int(value) for value in page.extrasamples or ())
    alpha = page.samplesperpixel - len(extra) if extra and extra[0] in {1, 2} else None
    colours = TiffColours(
        None,
        is_inverted=kind == tifffile.PHOTOMETRIC.MINISWHITE,
        value_range=value_range,
        alpha=alpha,
        is_premultiplied=bool(extra) and extra[0] == 1,
        is_ycbcr=page.compression == _JPEG2000_YCBC,
    )
    return colours, notes


def _range(
    page: Any, samples: Iterable[NDArray[Any]], significant_bits: int | None
) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Return which values become 0 and 255."""
    dtype, bits = page.dtype, page.bitspersample
    if dtype == np.bool_ or bits == 1:
        return (0.0, 1.0), ()
    if dtype == np.uint8:
        whole = not isinstance(bits, int) or bits == 8
        return (None if whole else (0.0, float(2**bits - 1))), ()
    low, high = 0.0, 0.0
    if significant_bits is None or dtype.kind != "u":
        finite = [part[np.isfinite(part)] for part in samples]
        low = min((float(p.min()) for p in finite if p.size), default=0.0)
        high = max((float(p.max()) for p in finite if p.size), default=0.0)
    if dtype.kind == "f" and low >= 0 and high <= 1:
        return (0.0, 1.0), ()
    if dtype.kind in "ui" and low >= 0:
        seen = max(int(high).bit_length(), 8)
        bits = significant_bits or min(seen, dtype.itemsize * 8)
        note = f"Values of type {dtype} were scaled to 8 bits: {2**bits - 1} to 255."
        return (0.0, float(2**bits - 1)), (note,)
    high = high if high > low else low + 1
    note = (
        f"Values of type {dtype} were scaled to 8 bits: {low:g} to 0 and {high:g} to "
        "255 (the extremes of some tiles, values beyond are clipped)."
    )
    return (low, high), (note,)


def _from_ycbcr(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return RGB of full-range BT.601 luma and chroma."""
    y, cb, cr = (pixels[..., n].astype(np.float32) for n in range(3))
    cb, cr = cb - 128, cr - 128
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb])
    return np.clip(np.rint(np.moveaxis(rgb, 0, -1)), 0, 255).astype(np.uint8)
