"""Colour maps by matplotlib's names, from a few stops each, without matplotlib."""

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

Colour = tuple[int, int, int]

_STOPS = {
    "magma": "000004 180f3d 440f76 721f81 9e2f7f cd4071 f1605d fd9668 feca8d fcfdbf",
    "inferno": "000004 1b0c41 4a0c6b 781c6d a52c60 cf4446 ed6925 fb9b06 f7d13d fcffa4",
    "viridis": "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725",
    "Blues": "f7fbff deebf7 c6dbef 9ecae1 6baed6 4292c6 2171b5 08519c 08306b",
    "RdBu_r": "053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b"
    " 67001f",
    "PuOr": "7f3b08 b35806 e08214 fdb863 fee0b6 f7f7f7 d8daeb b2abd2 8073ac 542788"
    " 2d004b",
}
_DIVERGING = frozenset(("RdBu_r", "PuOr"))
_NONE: Colour = (58, 58, 58)
# Okabe and Ito's colours, told apart by colour-blind readers too; then two more.
_CATEGORIES: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (213, 94, 0),
    (0, 114, 178),
    (170, 170, 170),
)


def colour_values(
    values: NDArray[np.float32], value_range: tuple[float, float], colormap: str
) -> NDArray[np.uint8]:
    """Return values in the colours of a map; values outside the range are cut.

    Parameters
    ----------
    values : (...) float32
    value_range : (float, float)
        Gets the map's first and last colour.
    colormap : str
        Unknown names are drawn as viridis.

    Returns
    -------
    (..., 3) uint8
    """
    low, high = value_range
    share = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    stops = np.array(_read_stops(colormap), np.float32)
    place = share * (len(stops) - 1)
    columns = [
        np.interp(place, np.arange(len(stops)), stops[:, channel])
        for channel in range(3)
    ]
    return np.stack(columns, axis=-1).round().astype(np.uint8)


def colour_categories(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return whole numbers as colours, (..., 3) uint8; 0 is dark grey."""
    largest = int(values.max(initial=0))
    table = np.array([category_colour(n) for n in range(largest + 1)], np.uint8)
    return table[values.astype(np.intp)]


def category_colour(number: int) -> Colour:
    """Return the colour of a category; 0 stands for none."""
    return _NONE if number == 0 else _CATEGORIES[(number - 1) % len(_CATEGORIES)]


def is_diverging(colormap: str) -> bool:
    """Whether the middle of a colour map means: neither."""
    return colormap in _DIVERGING


def _read_stops(colormap: str) -> list[tuple[int, ...]]:
    words = _STOPS.get(colormap, _STOPS["viridis"]).split()
    return [ImageColor.getrgb(f"#{word}") for word in words]
