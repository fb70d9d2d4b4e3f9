"""Find the echo area of an ultrasound frame, and remove what is around it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import convex_hull_image

from napari_segmoe.types import Mask

_DARK = 6
_LETTER_SHARE = 0.04
_GAP_PX = 3


def find_fan(pixels: NDArray[np.uint8]) -> Mask:
    """Return the convex hull of the largest echo area.

    Parameters
    ----------
    pixels : (H, W) or (H, W, 3) uint8
        A whole frame, with text, scales and bars around the echoes.

    Returns
    -------
    (H, W) bool
        True in the fan; True everywhere for a frame without any echo.

    Notes
    -----
    Letters are thin and stand apart: filling small gaps and removing what is thinner
    than a few pixels leaves the echoes. Of the areas left, the one with most
    pixels of different brightness counts, so that plain bars and boxes do not.
    """
    grey = pixels.max(axis=2) if pixels.ndim == 3 else pixels
    bright = ndimage.median_filter(grey, 3) > _DARK
    areas = _without_letters(bright)
    if not areas.any():
        areas = bright if bright.any() else np.ones(grey.shape, np.bool_)
    labels, count = ndimage.label(areas)
    texture = np.abs(grey.astype(np.int16) - ndimage.uniform_filter(grey, 5)) > 0
    weight = ndimage.sum_labels(texture, labels, np.arange(1, count + 1))
    size_px = ndimage.sum_labels(areas, labels, np.arange(1, count + 1))
    largest = labels == 1 + int(np.argmax(weight + 1e-3 * size_px))
    hull: Mask = np.asarray(convex_hull_image(largest), np.bool_)
    return hull


def _without_letters(bright: Mask) -> Mask:
    """Fill gaps and remove what is thinner than a line of text."""
    letter_px = max(3, round(_LETTER_SHARE * min(bright.shape)))
    padded = np.pad(bright, letter_px + _GAP_PX, mode="edge")  # the border is no edge
    closed = ndimage.binary_closing(padded, np.ones((_GAP_PX, _GAP_PX)))
    opened = ndimage.grey_opening(closed.astype(np.uint8), (letter_px, letter_px)) > 0
    inner = np.s_[letter_px + _GAP_PX : -letter_px - _GAP_PX]
    cropped: Mask = opened[inner, inner]
    return cropped


def blank_outside(
    pixels: NDArray[np.uint8], inside: Mask
) -> tuple[NDArray[Any], tuple[int, int]]:
    """Crop to the box of ``inside`` and set what is outside it to 0.

    Returns
    -------
    (h, w) or (h, w, 3) uint8
        The crop.
    (y, x)
        Where it lay in the frame, in pixels.
    """
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    crop = pixels[box].copy()
    crop[~inside[box]] = 0
    return crop, (int(rows[0]), int(columns[0]))
