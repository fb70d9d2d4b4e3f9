"""Bring a network's inner maps to the size of the image."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_segmoe.inference.network import WindowAnswer, WindowNetwork
from napari_segmoe.types import Explanation

Map = NDArray[np.float32]
SHARES = (0.0, 1.0)
SIGNED = (-1.0, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """One answer of a network, and the image it is explained on.

    Attributes
    ----------
    answer : WindowAnswer
        Made with ``explain=True``; of its batch the first image is explained.
    network : WindowNetwork
        Gave the answer.
    shape : (H, W)
        The image's size.
    """

    answer: WindowAnswer
    network: WindowNetwork
    shape: tuple[int, int]

    def traces(self, kind: str) -> Iterator[tuple[str, Tensor]]:
        """Yield the rest of the key, and the trace, of each trace "kind/rest"."""
        for key, trace in self.answer.output.traces.items():
            first, _, rest = key.partition("/")
            if first == kind:
                yield rest, trace

    def on_grid(self, trace: Tensor) -> Map:
        """Return a map of any resolution on the window's grid, (n, n).

        Parameters
        ----------
        trace : Tensor, (B, c, h, w)
            Of the network's input, padded or not; of several channels the norm is
            taken.
        """
        trace = trace[:1].float()
        if trace.shape[1] > 1:
            trace = trace.norm(dim=1, keepdim=True)
        grid_px = self.answer.window.grid_px
        padded_px = self.network.padded_px(grid_px)
        side = covered_px(trace.shape[-1], grid_px=grid_px, padded_px=padded_px)
        large = F.interpolate(trace, size=(side, side), mode="bilinear")
        return large[0, 0, :grid_px, :grid_px].cpu().numpy()

    def paint(self, values: Map, *, outside: float = 0.0) -> Map:
        """Return grid values, (n, n), on the image, (H, W)."""
        window = self.answer.window
        return self.network.enlarge(values, window, self.shape, outside=outside)

    def strength(self, key: str, name: str, trace: Tensor, **words: str) -> Explanation:
        """Make the map of a strength: 0 or more, its range ends at its largest value.

        Parameters
        ----------
        key, name : str
            Stable name, and title for people.
        trace : Tensor, (B, c, h, w)
        **words : str
            The other words of the `Explanation`.
        """
        values = self.paint(self.on_grid(trace))
        return make_map(key, name, values, value_range=up_to(values), **words)


def covered_px(side: int, *, grid_px: int, padded_px: int) -> int:
    """Return how many pixels of a network's input a map of some side covers.

    Parameters
    ----------
    side : int
        Of the map.
    grid_px, padded_px : int
        Sides of the input before and after padding.

    Returns
    -------
    int
        ``padded_px`` where a whole stride leads from the padded input to the map;
        else the map was cut to the input, and what it covers is rounded up.
    """
    if side == grid_px:
        return grid_px
    if padded_px % side == 0:
        return padded_px
    return side * max(round(grid_px / side), 1)


def make_map(
    key: str,
    name: str,
    values: Map,
    *,
    value_range: tuple[float, float],
    group: str,
    description: str,
    colormap: str = "magma",
) -> Explanation:
    """Make a map of numbers; ``values`` themselves are cut to their range.

    Parameters
    ----------
    key, name : str
        Stable name, and title for people.
    values : (H, W) float32
    value_range, group, description, colormap
        As in `Explanation`.
    """
    return Explanation(
        kind="map",
        name=name,
        values=np.clip(values, *value_range, out=values),
        labels=(),
        value_range=value_range,
        description=description,
        key=key,
        group=group,
        colormap=colormap,
    )


def up_to(*maps: Map) -> tuple[float, float]:
    """Return the range from 0 to the largest value of some maps (1 if all are 0)."""
    largest = max((float(values.max(initial=0.0)) for values in maps), default=0.0)
    return 0.0, largest or 1.0


def leading(
    maps: dict[str, Map],
    *,
    key: str,
    name: str,
    group: str,
    description: str,
) -> Explanation:
    """Make a map of which of several maps is largest at each place.

    Category 0, "none", stands where all are zero.
    """
    largest: Map = np.zeros_like(next(iter(maps.values())))
    best = np.zeros_like(largest)
    for number, values in enumerate(maps.values(), start=1):
        leads = values > largest
        best[leads] = number
        np.maximum(largest, values, out=largest)
    return Explanation(
        kind="categories",
        name=name,
        values=best,
        labels=("none", *maps),
        value_range=(0.0, float(len(maps))),
        description=description,
        key=key,
        group=group,
        colormap="tab10",
    )
