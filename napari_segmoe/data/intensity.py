"""Turn pixels of any number type into the 8 bits that networks and window share."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.errors import ImageReadError

MAX_SIDE_PX = 30_000
_PERCENTILES = (0.1, 99.9)


def as_uint8_image(array: Any) -> NDArray[np.uint8]:
    """Check an array and bring it to 8 bits.

    Parameters
    ----------
    array : (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), any real number type
        Grey, RGB or RGBA. Floats in 0..1 are multiplied by 255.

    Returns
    -------
    (H, W) or (H, W, 3) uint8
        A fourth channel is taken as alpha, over black.

    Raises
    ------
    ImageReadError
        If the shape or type is another, a side is 0 or too long, or a value is NaN
        or infinite.
    """
    return convert_to_uint8(array)[0]


def convert_to_uint8(array: Any) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Do as `as_uint8_image`, and return what was done in sentences too."""
    pixels = _check_shape(np.asarray(array))
    scaled, notes = _scale(pixels)
    if scaled.ndim == 3 and scaled.shape[2] == 4:
        scaled, note = _remove_alpha(scaled)
        notes = (*notes, note)
    if not scaled.any():
        notes = (*notes, "The image is entirely black.")
    return np.ascontiguousarray(scaled), notes


def check_sides(height: int, width: int, name: str = "The image") -> None:
    """Refuse an image without pixels, and one that is a slide.

    Raises
    ------
    ImageReadError
        If a side is 0, or at least 30 000 pixels.
    """
    if height < 1 or width < 1:
        raise ImageReadError(
            f"{name} is {height} x {width} px and has no pixels; each side needs "
            "at least one. Choose another image."
        )
    if max(height, width) >= MAX_SIDE_PX:
        raise ImageReadError(
            f"{name} is {height} x {width} px; images end below {MAX_SIDE_PX} px a "
            "side and larger ones are slides. Open it as a slide, or crop it."
        )


def _check_shape(pixels: NDArray[Any]) -> NDArray[Any]:
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim not in {2, 3} or (
        pixels.ndim == 3 and pixels.shape[2] not in {3, 4}
    ):
        raise ImageReadError(
            f"The array has shape {pixels.shape}; expected (H, W), (H, W, 3) or "
            "(H, W, 4). Choose one plane of a stack."
        )
    check_sides(pixels.shape[0], pixels.shape[1])
    if pixels.dtype.kind not in "buif":
        raise ImageReadError(
            f"The pixels are of type {pixels.dtype}; expected real numbers. "
            "Convert them to integers or floats."
        )
    return pixels


def _scale(pixels: NDArray[Any]) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False), ()
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255), ()
    _check_finite(pixels)
    low, high = float(pixels.min()), float(pixels.max())
    if pixels.dtype.kind in "iu" and low >= 0 and high <= 255:
        return pixels.astype(np.uint8), ()
    if pixels.dtype.kind == "f" and low >= 0 and high <= 1:
        return _to_bytes(pixels, 0.0, 1.0), ()
    low, high = _display_range(pixels, low, high)
    return _to_bytes(pixels, low, high), (
        f"Values of type {pixels.dtype} were scaled to 8 bits: {low:g} to 0 and "
        f"{high:g} to 255 (the 0.1 and 99.9 percentiles, values beyond are clipped).",
    )


def _check_finite(pixels: NDArray[Any]) -> None:
    if pixels.dtype.kind != "f":
        return
    bad = int(np.count_nonzero(~np.isfinite(pixels)))
    if bad:
        raise ImageReadError(
            f"{bad} of {pixels.size} values are NaN or infinite; expected finite "
            "numbers. Replace them, for example with 0, and try again."
        )


def _display_range(
    pixels: NDArray[Any], low: float, high: float
) -> tuple[float, float]:
    """Return the percentiles of the colour values, or the extremes where they meet."""
    colours = pixels[..., :3] if pixels.ndim == 3 else pixels
    inner_low, inner_high = np.percentile(colours.astype(np.float64), _PERCENTILES)
    if inner_high > inner_low:
        return float(inner_low), float(inner_high)
    return low, high


def _to_bytes(pixels: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    span = high - low
    if span <= 0 or not np.isfinite(span):
        return np.zeros(pixels.shape, np.uint8)
    scaled = (pixels.astype(np.float64) - low) * (255.0 / span)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _remove_alpha(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], str]:
    alpha = pixels[..., 3]
    if (alpha == 255).all():
        return pixels[..., :3], "The opaque alpha channel was dropped."
    colours = pixels[..., :3].astype(np.float32) * (alpha[..., None] / np.float32(255))
    return np.rint(colours).astype(np.uint8), "Transparent pixels were put over black."
