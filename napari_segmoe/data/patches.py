"""Parts of image-sized arrays, so that work on one object costs what it covers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PixelBox = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A rectangle of an image-sized array; the rest of that array is zero.

    Attributes
    ----------
    values : (h, w) array
    y0, x0 : int
        Where its first pixel lies in the image.
    """

    values: NDArray[Any]
    y0: int = 0
    x0: int = 0

    @property
    def box(self) -> PixelBox:
        """Its edges (y0, x0, y1, x1), half open."""
        height, width = self.values.shape
        return self.y0, self.x0, self.y0 + height, self.x0 + width

    def cut(self, box: PixelBox) -> NDArray[Any]:
        """Return the values in any box, (h, w); zero where the patch has none."""
        y0, x0, y1, x1 = box
        shifted = (y0 - self.y0, x0 - self.x0, y1 - self.y0, x1 - self.x0)
        return cut(self.values, shifted)

    def as_type(self, dtype: type[np.generic]) -> "Patch":
        """Return the patch with values of another type."""
        return Patch(self.values.astype(dtype), self.y0, self.x0)

    def with_part(self, part: "Patch") -> "Patch":
        """Return the patch, grown to hold another that is written onto it.

        Where it need not grow, its own values are written to.
        """
        y0, x0, y1, x1 = self.box
        low_y, low_x = min(y0, part.y0), min(x0, part.x0)
        high_y, high_x = max(y1, part.box[2]), max(x1, part.box[3])
        joined = self.cut((low_y, low_x, high_y, high_x))
        height, width = part.values.shape
        top, left = part.y0 - low_y, part.x0 - low_x
        joined[top : top + height, left : left + width] = part.values
        return Patch(joined, low_y, low_x)

    def on(self, shape: tuple[int, int]) -> NDArray[Any]:
        """Return the whole array; zeros that nobody touches cost no memory."""
        if self.box == (0, 0, *shape):
            return self.values
        full = np.zeros(shape, self.values.dtype)
        self.write_to(full)
        return full

    def write_to(self, full: NDArray[Any]) -> None:
        """Write what lies in the image onto an image-sized array."""
        y0, x0, y1, x1 = clip_box(self.box, (full.shape[0], full.shape[1]))
        full[y0:y1, x0:x1] = self.cut((y0, x0, y1, x1))


def cut(values: NDArray[Any], box: PixelBox) -> NDArray[Any]:
    """Return a box of an array, which may reach beyond it; zero there."""
    y0, x0, y1, x1 = box
    low_y, low_x, high_y, high_x = clip_box(box, (values.shape[0], values.shape[1]))
    inside = values[low_y:high_y, low_x:high_x]
    if inside.shape == (y1 - y0, x1 - x0):
        return inside
    found = np.zeros((y1 - y0, x1 - x0), values.dtype)
    found[low_y - y0 : high_y - y0, low_x - x0 : high_x - x0] = inside
    return found


def clip_box(box: PixelBox, shape: tuple[int, int]) -> PixelBox:
    """Return the part of a box inside an image; perhaps of no extent."""
    y0, x0 = (min(max(low, 0), side) for low, side in zip(box, shape, strict=False))
    y1, x1 = (
        min(max(high, low), side)
        for high, low, side in zip(box[2:], (y0, x0), shape, strict=True)
    )
    return y0, x0, y1, x1


def mask_box(mask: NDArray[np.bool_]) -> PixelBox | None:
    """Return the bounding box of a mask, None where it is empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return None
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
