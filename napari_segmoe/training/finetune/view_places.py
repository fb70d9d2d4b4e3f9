"""Where a view lies in its image, and what was said of it in the image's own pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.project.records import ImageRecord, PixelBox
from napari_segmoe.training.sources import Source


@dataclass(frozen=True, slots=True)
class ViewPlace:
    """Where a square view lies, that was neither turned nor bent.

    Attributes
    ----------
    record : ImageRecord
    part : (y0, x0, y1, x1)
        Of the image, that the view was read from; beyond it the view shows nothing
        of its own.
    centre_yx : (float, float)
        Of the view, in pixels of that part.
    side : float
        Of the view, in the same pixels.
    """

    record: ImageRecord
    part: PixelBox
    centre_yx: tuple[float, float]
    side: float

    @property
    def box(self) -> PixelBox:
        """The pixels of the image that it shows."""
        found: list[int] = []
        for axis in (0, 1):
            first, last = self.part[axis], self.part[axis + 2]
            low = first + self.centre_yx[axis] - self.side / 2 + 0.5
            found += [
                min(max(round(low), first), last - 1),
                max(min(round(low + self.side), last), first + 1),
            ]
        return found[0], found[2], found[1], found[3]

    def to_image(
        self, values: NDArray[np.generic], *, order: int
    ) -> NDArray[np.float32]:
        """Return a view's values, (n, n), at each pixel of its box.

        Parameters
        ----------
        values : (n, n)
        order : int
            0: the nearest; 1: in between.
        """
        count = values.shape[0]
        axes = []
        y0, x0, y1, x1 = self.box
        for axis, (first, last) in enumerate(((y0, y1), (x0, x1))):
            pixels = np.arange(first, last) - self.part[axis]
            offset = (pixels - self.centre_yx[axis]) / self.side
            axes.append((offset + 0.5) * count - 0.5)
        grid = np.meshgrid(*axes, indexing="ij")
        found: NDArray[np.float32] = ndimage.map_coordinates(
            values.astype(np.float32), grid, order=order, mode="nearest"
        )
        return found


def leave_out(source: Source, part: PixelBox, boxes: Sequence[PixelBox]) -> Source:
    """Return a source of a part of an image that tells nothing of its own in boxes.

    There a model's answers were rejected: they do not count, as where the truth is
    known.

    Parameters
    ----------
    source : Source
        With its ids.
    part : (y0, x0, y1, x1)
        Which part of the image it is.
    boxes : sequence of (y0, x0, y1, x1)
        In the image's pixels.
    """
    if not boxes:
        return source
    ids = source.labels[0].clone()
    top, left = part[:2]
    for y0, x0, y1, x1 in boxes:
        rows = slice(max(y0 - top, 0), max(y1 - top, 0))
        columns = slice(max(x0 - left, 0), max(x1 - left, 0))
        inner = ids[rows, columns]
        ids[rows, columns] = torch.where(inner < 0, torch.zeros_like(inner), inner)
    return replace(source, labels=(ids,))
