"""An image as weights see it that were made for one pixel size. Loads no torch."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.patches import PixelBox, clip_box
from napari_segmoe.data.slides.resampling import resample
from napari_segmoe.errors import ImageReadError
from napari_segmoe.types import Box, Click, PixelSource, Prompts, Spacing, Stroke

LARGEST_SPACING_UM = 1000.0
_SAME = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class ScaledImage:
    """An image at another pixel size: a `PixelSource` over the image's own pixels.

    Both grids begin at the same edge. Beyond an array's border it is mirrored; a
    region of a slide goes on there.

    Attributes
    ----------
    source : (H, W) or (H, W, 3) uint8, or PixelSource
        The image.
    step_yx : (y, x)
        Own pixels per scaled pixel.
    """

    source: NDArray[np.uint8] | PixelSource
    step_yx: tuple[float, float]

    @property
    def own_shape(self) -> tuple[int, int]:
        """Height and width in own pixels."""
        return self.source.shape[0], self.source.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in scaled pixels; the last ones may reach beyond."""
        height, width = (
            math.ceil(side / step - 1e-6)
            for side, step in zip(self.own_shape, self.step_yx, strict=True)
        )
        return height, width

    @property
    def is_same_grid(self) -> bool:
        """Whether scaled pixels are the image's own."""
        return all(step == 1 for step in self.step_yx)

    def to_scaled(self, y: float, x: float) -> tuple[float, float]:
        """Return the scaled point of a point, pixel centres whole."""
        step_y, step_x = self.step_yx
        return (y + 0.5) / step_y - 0.5, (x + 0.5) / step_x - 0.5

    def prompts_to_scaled(self, prompts: Prompts) -> Prompts:
        """Return prompts in scaled pixels."""
        box, (step_y, step_x) = prompts.box, self.step_yx
        if box is not None:
            box = Box(
                box.y0 / step_y, box.x0 / step_x, box.y1 / step_y, box.x1 / step_x
            )
        clicks = tuple(
            Click(*self.to_scaled(click.y, click.x), positive=click.positive)
            for click in prompts.clicks
        )
        strokes = tuple(
            Stroke(
                tuple(self.to_scaled(y, x) for y, x in stroke.points),
                positive=stroke.positive,
            )
            for stroke in prompts.strokes
        )
        return replace(prompts, clicks=clicks, box=box, strokes=strokes)

    def read(
        self, box: PixelBox, shape: tuple[int, int] | None = None
    ) -> NDArray[np.uint8]:
        """Return a box in scaled pixels, (h, w, 3) uint8, brought to ``shape``.

        Parameters
        ----------
        box : (y0, x0, y1, x1)
            Half open; may reach beyond the image.
        shape : (h, w), optional
            By default that of the box.
        """
        y0, x0, y1, x1 = box
        height, width = shape if shape is not None else (y1 - y0, x1 - x0)
        is_array = isinstance(self.source, np.ndarray)
        rows, columns = (
            _Axis.over(low, high, count, own_step, merging=not is_array)
            for low, high, count, own_step in (
                (y0, y1, height, self.step_yx[0]),
                (x0, x1, width, self.step_yx[1]),
            )
        )
        own = (rows.low, columns.low, rows.high, columns.high)
        if isinstance(self.source, np.ndarray):
            pixels = _mirrored(self.source, own)
        else:
            pixels = self.source.read(own, (rows.count, columns.count))
        return resample(
            pixels,
            start_yx=(rows.start, columns.start),
            step_yx=(rows.step, columns.step),
            shape=(height, width),
        )


@dataclass(frozen=True, slots=True)
class _Axis:
    """What is read along one axis, and the grid on it.

    Attributes
    ----------
    low, high : int
        Own pixels, half open.
    count : int
        Pixels that are asked for; fewer than own ones where the grid is coarse.
    start, step : float
        The grid, in pixels asked for.
    """

    low: int
    high: int
    count: int
    start: float
    step: float

    @classmethod
    def over(
        cls, low: int, high: int, count: int, own_step: float, *, merging: bool
    ) -> "_Axis":
        begin, end = low * own_step, high * own_step
        step = (end - begin) / count
        # A slide's coarser levels are read for less than all of its pixels.
        merged = max(math.floor(step + 1e-6), 1) if merging else 1
        # Linear interpolation looks at a neighbour beyond each end.
        beyond = 0 if step >= 1 else 1
        first = math.floor(begin / merged + 1e-6) - beyond
        last = max(math.ceil(end / merged - 1e-6), first + 1) + beyond
        return cls(
            first * merged,
            last * merged,
            last - first,
            begin / merged - first,
            step / merged,
        )


def scale_to(
    image: NDArray[np.uint8] | PixelSource,
    spacing_um: Spacing,
    *,
    wanted_um: float,
) -> ScaledImage:
    """Return an image at a pixel size.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8, or PixelSource
    spacing_um : (y, x)
        Micrometres per pixel of the image.
    wanted_um : float
        Micrometres per pixel of what is returned.
    """
    step_y, step_x = (
        1.0 if abs(wanted_um / own - 1) < _SAME else wanted_um / own
        for own in spacing_um
    )
    return ScaledImage(image, (step_y, step_x))


def check_spacing(spacing_um: Spacing | None) -> None:
    """Refuse pixel sizes that nothing can have.

    Raises
    ------
    ImageReadError
        If one is not a number above 0 and at most 1000 um.
    """
    for one in spacing_um or ():
        if not 0 < one <= LARGEST_SPACING_UM:
            raise ImageReadError(
                f"A pixel size of {one:g} um cannot be; expected above 0 and at most"
                f" {LARGEST_SPACING_UM:g}. Give micrometres per pixel, such as 0.25."
            )


def _mirrored(pixels: NDArray[np.uint8], box: PixelBox) -> NDArray[np.uint8]:
    """Return a box of an array, (h, w, 3); mirrored beyond its border."""
    y0, x0, y1, x1 = box
    height, width = pixels.shape[:2]
    if clip_box(box, (height, width)) == box:
        found = pixels[y0:y1, x0:x1]
    else:
        rows, columns = _mirror(y0, y1, height), _mirror(x0, x1, width)
        found = pixels[rows[:, None], columns]
    if found.ndim == 2:
        found = np.repeat(found[..., None], 3, axis=2)
    return found


def _mirror(low: int, high: int, length: int) -> NDArray[np.intp]:
    """Return whole numbers from low to high, folded back into 0..length - 1."""
    index = np.arange(low, high) % (2 * length)
    folded: NDArray[np.intp] = np.where(index < length, index, 2 * length - 1 - index)
    return folded
