"""Square windows of an image and their network-sized grids."""

from dataclasses import dataclass, replace

import numpy as np

from napari_segmoe.data.patches import PixelBox
from napari_segmoe.types import Box, Click, Prompts, Stroke

ZOOM = 1.4
SMALLEST_SIDE_PX = 96
MARGIN = 1 / 16  # of the network's input, around what its window must hold


@dataclass(frozen=True, slots=True)
class Window:
    """A square of whole pixels, which may reach beyond the image.

    Attributes
    ----------
    y0, x0 : int
        Top left corner, full-resolution pixels.
    side : int
        Length of each side, full-resolution pixels.
    grid_px : int
        Side of the network's input for this window.
    """

    y0: int
    x0: int
    side: int
    grid_px: int

    @property
    def scale(self) -> float:
        """Grid pixels per full-resolution pixel."""
        return self.grid_px / self.side

    @property
    def box(self) -> PixelBox:
        """Its edges (y0, x0, y1, x1), half open."""
        return self.y0, self.x0, self.y0 + self.side, self.x0 + self.side

    def to_grid(self, y: float, x: float) -> tuple[float, float]:
        """Return where a full-resolution point lies on the grid."""
        return (
            (y - self.y0 + 0.5) * self.scale - 0.5,
            (x - self.x0 + 0.5) * self.scale - 0.5,
        )

    def prompts_to_grid(self, prompts: Prompts) -> Prompts:
        """Return prompts in grid pixels."""
        box = prompts.box
        if box is not None:
            corner, opposite = (
                self.to_grid(box.y0, box.x0),
                self.to_grid(box.y1, box.x1),
            )
            box = Box(*corner, *opposite)
        return replace(
            prompts,
            clicks=tuple(
                Click(*self.to_grid(click.y, click.x), positive=click.positive)
                for click in prompts.clicks
            ),
            strokes=tuple(
                Stroke(
                    tuple(self.to_grid(y, x) for y, x in stroke.points),
                    positive=stroke.positive,
                )
                for stroke in prompts.strokes
            ),
            box=box,
        )

    def overlap(self, shape: tuple[int, int]) -> tuple[tuple[slice, slice], ...]:
        """Return the part inside an image, in image and in window coordinates."""
        y0, x0 = max(self.y0, 0), max(self.x0, 0)
        y1, x1 = min(self.y0 + self.side, shape[0]), min(self.x0 + self.side, shape[1])
        return (
            (slice(y0, max(y1, y0)), slice(x0, max(x1, x0))),
            (
                slice(y0 - self.y0, max(y1, y0) - self.y0),
                slice(x0 - self.x0, max(x1, x0) - self.x0),
            ),
        )


def whole_window(shape: tuple[int, int], grid_px: int) -> Window:
    """Return the smallest centred square that holds the whole image."""
    side = max(shape)
    return Window(-((side - shape[0]) // 2), -((side - shape[1]) // 2), side, grid_px)


def zoom_window(
    found: PixelBox | None,
    prompts: Prompts,
    *,
    shape: tuple[int, int],
    grid_px: int,
) -> Window:
    """Return a square around an object and its prompts, 1.4 times their extent.

    At least 96 px and at most as wide as the whole image's window, which is returned
    where there is nothing to zoom to.

    Parameters
    ----------
    found : (y0, x0, y1, x1) or None
        Bounding box of the object as it is.
    prompts : Prompts
    shape : (H, W)
        The image's size.
    grid_px : int
        Side of the network's input.
    """
    whole = whole_window(shape, grid_px)
    if found is None and prompts.box is None:
        return whole
    y0, x0, y1, x1 = _extent(found, prompts)
    side = int(np.ceil(max(y1 - y0, x1 - x0) * ZOOM))
    side = max(side, SMALLEST_SIDE_PX)
    if side >= whole.side:
        return whole
    return Window(
        int(np.floor((y0 + y1 - side) / 2)),
        int(np.floor((x0 + x1 - side) / 2)),
        side,
        grid_px,
    )


def physical_window(
    found: PixelBox | None, prompts: Prompts, *, grid_px: int
) -> Window:
    """Return the square that weights made for one pixel size look at.

    It has their own size and the first click in its middle; it is moved, and where
    it must be enlarged, to hold the object and all prompts with a margin.

    Parameters
    ----------
    found : (y0, x0, y1, x1) or None
        Bounding box of the object as it is, in pixels of the weights' size.
    prompts : Prompts
        At least one, in the same pixels.
    grid_px : int
        Side of the network's input.
    """
    y0, x0, y1, x1 = _extent(found, prompts)
    margin = grid_px * MARGIN
    low = (y0 - margin, x0 - margin)
    high = (y1 + 1 + margin, x1 + 1 + margin)
    side = max(grid_px, int(np.ceil(max(high[0] - low[0], high[1] - low[1]))))
    middle = ((y0 + y1 + 1) / 2, (x0 + x1 + 1) / 2)
    if prompts.clicks:
        first = prompts.clicks[0]
        middle = (first.y + 0.5, first.x + 0.5)
    top, left = (
        int(np.floor(np.clip(centre - side / 2, end - side, start) + 0.5))
        for centre, start, end in zip(middle, low, high, strict=True)
    )
    return Window(top, left, side, grid_px)


def _extent(
    found: PixelBox | None, prompts: Prompts
) -> tuple[float, float, float, float]:
    corners: list[tuple[float, float]] = []
    if found is not None:
        corners += [(found[0], found[1]), (found[2], found[3])]
    if prompts.box is not None:
        box = prompts.box
        corners += [(box.y0, box.x0), (box.y1, box.x1)]
    corners += [(click.y, click.x) for click in prompts.clicks]
    corners += [point for stroke in prompts.strokes for point in stroke.points]
    ys, xs = zip(*corners, strict=True)
    return min(ys), min(xs), max(ys), max(xs)
