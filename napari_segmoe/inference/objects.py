"""Measurements of one object's mask. Loads no torch."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from skimage.measure import approximate_polygon, find_contours, label, regionprops

from napari_segmoe.data.patches import mask_box
from napari_segmoe.types import Mask, SegmentedObject, Spacing

# A point for each pixel of the outline makes the answer of a slide megabytes long.
_OUTLINE_SLACK_PX = 0.5


def describe_object(
    mask: Mask,
    spacing_um: Spacing | None,
    *,
    origin_yx: tuple[int, int] = (0, 0),
    object_id: int = 1,
    class_name: str | None = None,
    probabilities: Mapping[str, float] | None = None,
) -> SegmentedObject:
    """Measure an object.

    Parameters
    ----------
    mask : (H, W) bool
        Its pixels.
    spacing_um : (y, x) or None
        Micrometres per pixel; areas in um^2 are None without it.
    origin_yx : (y, x)
        Where the mask's first pixel lies in the image.
    object_id : int
        Value of its pixels in the label image.
    class_name : str or None
        Its class; None where withheld. With ``probabilities`` alone, the largest.
    probabilities : mapping of str to float, or None
        Calibrated probability of each class.

    Returns
    -------
    SegmentedObject
        Axes are those of the ellipse with the same second moments, in pixels.

    Raises
    ------
    ValueError
        If the mask is empty.
    """
    box = mask_box(mask)
    if box is None:
        raise ValueError("The mask is empty; an object has at least one pixel.")
    crop = mask[box[0] : box[2], box[1] : box[3]]
    y0, x0 = box[0] + origin_yx[0], box[1] + origin_yx[1]
    y1, x1 = y0 + crop.shape[0], x0 + crop.shape[1]
    region = regionprops(crop.astype(np.uint8))[0]
    spacing_y, spacing_x = spacing_um or (1.0, 1.0)
    area_px = float(crop.sum())
    if class_name is None and probabilities:
        class_name = max(probabilities, key=lambda name: probabilities[name])
    return SegmentedObject(
        id=object_id,
        class_name=class_name,
        probabilities=probabilities,
        area_px=area_px,
        area_um2=area_px * spacing_y * spacing_x if spacing_um else None,
        box=(y0, x0, y1, x1),
        polygon=_outline(crop, y0, x0),
        long_axis_px=float(region.axis_major_length),
        short_axis_px=float(region.axis_minor_length),
        width_height_ratio=(x1 - x0) * spacing_x / ((y1 - y0) * spacing_y),
    )


def _outline(crop: NDArray[np.bool_], y0: int, x0: int) -> tuple:
    parts = label(crop)
    largest = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    padded = np.pad(largest, 1).astype(np.float32)
    outlines = find_contours(padded, 0.5)
    longest = approximate_polygon(max(outlines, key=len), _OUTLINE_SLACK_PX)
    return tuple((float(y) - 1 + y0, float(x) - 1 + x0) for y, x in longest)
