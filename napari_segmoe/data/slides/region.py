"""A rectangle of a slide at one resolution, read a window at a time."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.slides.opening import open_shared
from napari_segmoe.data.slides.resampling import resample
from napari_segmoe.data.slides.source import SlideSource
from napari_segmoe.types import Spacing

_ALMOST = 1.01  # a level this little too coarse still serves


@dataclass(frozen=True, slots=True)
class SlideRegion:
    """An image that lies in a slide; pixels are read when they are asked for.

    It is small and can be pickled: another process opens the slide by its path.

    Attributes
    ----------
    path : Path
        Of the slide.
    origin_yx : (y, x)
        Edge at which it begins, in level-0 pixels (0 is the upper edge of pixel 0).
    step_yx : (y, x)
        Level-0 pixels per pixel of the region.
    shape : (H, W)
        In pixels of the region.
    """

    path: Path
    origin_yx: tuple[float, float]
    step_yx: tuple[float, float]
    shape: tuple[int, int]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Its edges (y0, x0, y1, x1) in level-0 pixels."""
        (y0, x0), (sy, sx), (height, width) = self.origin_yx, self.step_yx, self.shape
        return y0, x0, y0 + height * sy, x0 + width * sx

    def to_slide(self, y: float, x: float) -> tuple[float, float]:
        """Return the level-0 point of a point of the region, pixel centres whole."""
        (y0, x0), (sy, sx) = self.origin_yx, self.step_yx
        return y0 + (y + 0.5) * sy - 0.5, x0 + (x + 0.5) * sx - 0.5

    def from_slide(self, y: float, x: float) -> tuple[float, float]:
        """Return the point of the region at a level-0 point."""
        (y0, x0), (sy, sx) = self.origin_yx, self.step_yx
        return (y + 0.5 - y0) / sy - 0.5, (x + 0.5 - x0) / sx - 0.5

    def read(
        self, box: tuple[int, int, int, int], shape: tuple[int, int] | None = None
    ) -> NDArray[np.uint8]:
        """Return a box of the region, (h, w, 3) uint8.

        Parameters
        ----------
        box : (y0, x0, y1, x1)
            Half open, in the region's pixels. It may reach beyond the region: the
            slide goes on there.
        shape : (h, w), optional
            Size to bring it to; by default that of the box.

        Raises
        ------
        SlideError
            If the slide cannot be read there.
        """
        y0, x0, y1, x1 = box
        height, width = shape if shape is not None else (y1 - y0, x1 - x0)
        (top, left), (sy, sx) = self.origin_yx, self.step_yx
        return read_area(
            open_shared(self.path),
            start_yx=(top + y0 * sy, left + x0 * sx),
            step_yx=((y1 - y0) * sy / height, (x1 - x0) * sx / width),
            shape=(height, width),
        )


def region_at(
    source: SlideSource,
    box: tuple[float, float, float, float],
    *,
    spacing_um: float | None,
    slide_spacing_um: Spacing | None,
) -> SlideRegion:
    """Return the region that covers a box at a pixel size.

    Parameters
    ----------
    source : SlideSource
    box : (y0, x0, y1, x1)
        Edges in level-0 pixels; cut to the slide.
    spacing_um : float or None
        Pixel size of the region; None takes the slide's own.
    slide_spacing_um : (y, x) or None
        Micrometres per level-0 pixel, as the user, the layer or the file says;
        where unknown the region has level-0 pixels.
    """
    step = (1.0, 1.0)
    if spacing_um is not None and slide_spacing_um is not None:
        step = (spacing_um / slide_spacing_um[0], spacing_um / slide_spacing_um[1])
    height, width = source.levels[0].shape
    y0, x0 = max(box[0], 0.0), max(box[1], 0.0)
    y1, x1 = min(box[2], float(height)), min(box[3], float(width))
    shape = (
        max(round((y1 - y0) / step[0]), 1),
        max(round((x1 - x0) / step[1]), 1),
    )
    return SlideRegion(source.path, (y0, x0), step, shape)


def read_area(
    source: SlideSource,
    *,
    start_yx: tuple[float, float],
    step_yx: tuple[float, float],
    shape: tuple[int, int],
) -> NDArray[np.uint8]:
    """Read a grid of pixels from the coarsest level that is fine enough.

    Parameters
    ----------
    source : SlideSource
    start_yx : (y, x)
        Edge at which the grid begins, in level-0 pixels.
    step_yx : (y, x)
        Level-0 pixels per pixel of the grid.
    shape : (H, W)
        Size of the grid.

    Returns
    -------
    (H, W, 3) uint8
    """
    number = level_for(source, min(step_yx))
    down = source.levels[number].downsample_yx
    starts = tuple(s / d for s, d in zip(start_yx, down, strict=True))
    steps = tuple(s / d for s, d in zip(step_yx, down, strict=True))
    # Interpolation looks at a neighbour: the same one, wherever a box ends.
    around = [1 if step < 1 else 0 for step in steps]
    low = [math.floor(s + 1e-6) - a for s, a in zip(starts, around, strict=True)]
    high = [
        max(math.ceil(s + n * step - 1e-6), math.floor(s + 1e-6) + 1) + a
        for s, n, step, a in zip(starts, shape, steps, around, strict=True)
    ]
    pixels = source.read(number, (low[0], low[1], high[0], high[1]))
    return resample(
        pixels,
        start_yx=(starts[0] - low[0], starts[1] - low[1]),
        step_yx=(steps[0], steps[1]),
        shape=shape,
    )


def level_for(source: SlideSource, step: float) -> int:
    """Return the coarsest level with no fewer pixels than a grid of ``step``."""
    fine = [
        number
        for number, level in enumerate(source.levels)
        if max(level.downsample_yx) <= step * _ALMOST
    ]
    return fine[-1] if fine else 0
