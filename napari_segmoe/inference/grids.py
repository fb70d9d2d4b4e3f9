"""Windows of an image on the network's grid, and back."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_segmoe.data.patches import Patch, clip_box
from napari_segmoe.data.windows import Window
from napari_segmoe.types import PixelSource

_KEPT = 4


class WindowReader:
    """Reads windows of one image at the size of the network's input.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8, or PixelSource
        Of a source no more is read than the windows asked for.
    """

    def __init__(self, image: NDArray[np.uint8] | PixelSource) -> None:
        self._source: PixelSource | None = None
        self._planes: Tensor | None = None
        self._grids: dict[Window, Tensor] = {}
        if isinstance(image, np.ndarray):
            planes = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
            self._planes = torch.from_numpy(np.array(planes, order="C"))
        else:
            self._source = image

    def grid(self, window: Window) -> Tensor:
        """Return a window, (1, 3, n, n) float32 in 0..1; the last few are kept.

        Of an array what lies outside is black; a source says what is there.
        """
        if window not in self._grids:
            if len(self._grids) >= _KEPT:
                self._grids.pop(next(iter(self._grids)))
            self._grids[window] = self._read(window)
        return self._grids[window]

    def inside(self, window: Window) -> Tensor:
        """Return how much of each pixel of a window shows the image, (1, 1, n, n)."""
        if self._planes is None:
            return torch.ones((1, 1, window.grid_px, window.grid_px))
        rows, columns = (
            _covered(start, length, window)
            for start, length in zip(
                (window.y0, window.x0), self._planes.shape[1:], strict=True
            )
        )
        return (rows[:, None] * columns)[None, None]

    def _read(self, window: Window) -> Tensor:
        size = (window.grid_px, window.grid_px)
        if self._source is not None:
            pixels = np.ascontiguousarray(self._source.read(window.box, size))
            return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
        if self._planes is None:
            raise RuntimeError("a reader has an array or a source")
        channels, height, width = self._planes.shape
        in_image, in_window = window.overlap((height, width))
        square = torch.zeros((1, channels, window.side, window.side))
        square[0][(slice(None), *in_window)] = self._planes[
            (slice(None), *in_image)
        ].float()
        small = F.interpolate(square / 255, size=size, mode="bilinear", antialias=True)
        return small.clamp(0, 1).expand(1, 3, *size)


def _covered(start: int, length: int, window: Window) -> Tensor:
    """Return how much of each pixel of a grid lies in an image, along an axis."""
    edges = torch.arange(window.grid_px + 1) / window.scale + start
    inside = edges.clamp(0, length)
    return (inside[1:] - inside[:-1]) * window.scale


def shrink(patch: Patch, window: Window) -> NDArray[np.float32]:
    """Return a part of an image on a window's grid, (n, n) float32."""
    square = np.array(patch.cut(window.box), np.float32)
    size = (window.grid_px, window.grid_px)
    return F.interpolate(
        torch.from_numpy(square)[None, None],
        size=size,
        mode="bilinear",
        antialias=True,
    )[0, 0].numpy()


def spread(
    values: NDArray[np.float32], window: Window, shape: tuple[int, int]
) -> Patch:
    """Return grid values, (n, n), over the part of a window that lies in an image.

    Parameters
    ----------
    values : (n, n) float32
    window : Window
    shape : (H, W)
        The image's size.
    """
    side = (window.side, window.side)
    large = F.interpolate(
        torch.from_numpy(values)[None, None], size=side, mode="bilinear"
    )
    _, in_window = window.overlap(shape)
    y0, x0, _, _ = clip_box(window.box, shape)
    return Patch(large[0, 0].numpy()[in_window], y0, x0)
