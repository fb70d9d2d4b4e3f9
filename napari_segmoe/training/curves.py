"""Line charts drawn by Pillow, so that a report needs no plotting library."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from napari_segmoe.data.page_layout import (
    FAINT,
    GREY,
    INK,
    PAPER,
    font_of,
)

COLOURS = (
    (0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167),
    (86, 180, 233), (230, 159, 0), (120, 94, 240), (90, 90, 90),
)  # fmt: skip
_FINE = 2  # drawn larger, then reduced: smooth lines
_WIDTH, _HEIGHT = 620, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 16, 40, 62

Line = Sequence[tuple[float, float]]


def draw_chart(
    title: str, lines: Mapping[str, Line], *, x_name: str = "epoch"
) -> Image.Image:
    """Draw lines over one axis, with a legend below.

    Parameters
    ----------
    title : str
        Above the chart.
    lines : mapping of str to sequence of (x, y)
        At least one point in all; values that are no numbers are left out.
    x_name : str
        What the x axis counts.

    Returns
    -------
    Image, 620 px wide
    """
    kept = {
        name: [(x, y) for x, y in line if np.isfinite(y)]
        for name, line in lines.items()
    }
    kept = {name: line for name, line in kept.items() if line}
    points = [point for line in kept.values() for point in line]
    x_range = _range([x for x, _ in points] or [0.0, 1.0], whole=True)
    y_range = _range([y for _, y in points] or [0.0, 1.0])
    rows = -(-len(kept) // 4)
    size = (_FINE * _WIDTH, _FINE * (_HEIGHT + 20 * max(rows - 1, 0)))
    picture = Image.new("RGB", size, PAPER)
    chart = _Chart(ImageDraw.Draw(picture), x_range, y_range)
    chart.text(title, (_LEFT, 8), size=17)
    chart.frame(x_name)
    for number, (name, line) in enumerate(kept.items()):
        colour = COLOURS[number % len(COLOURS)]
        chart.line(line, colour)
        chart.legend(number, name, colour)
    return picture.resize(
        (size[0] // _FINE, size[1] // _FINE), Image.Resampling.LANCZOS
    )


class _Chart:
    """Draws in a chart's own coordinates."""

    def __init__(
        self,
        draw: ImageDraw.ImageDraw,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
    ) -> None:
        self.draw, self.x_range, self.y_range = draw, x_range, y_range

    def place(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x_range[0]) / (self.x_range[1] - self.x_range[0])
        up = (y - self.y_range[0]) / (self.y_range[1] - self.y_range[0])
        left = _LEFT + across * (_WIDTH - _LEFT - _RIGHT)
        top = _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)
        return _FINE * left, _FINE * top

    def frame(self, x_name: str) -> None:
        for y in _ticks(*self.y_range):
            left, top = self.place(self.x_range[0], y)
            right, _ = self.place(self.x_range[1], y)
            self.draw.line((left, top, right, top), fill=FAINT, width=_FINE)
            self.text(f"{y:.4g}", (left / _FINE - 8, top / _FINE), anchor="rm")
        for x in _ticks(*self.x_range, whole=True):
            left, top = self.place(x, self.y_range[0])
            self.draw.line((left, top, left, top + 4 * _FINE), fill=GREY, width=_FINE)
            self.text(f"{x:g}", (left / _FINE, top / _FINE + 6), anchor="ma")
        right, bottom = self.place(self.x_range[1], self.y_range[0])
        self.text(x_name, (right / _FINE, bottom / _FINE - 4), anchor="rd")

    def line(self, line: Line, colour: tuple[int, int, int]) -> None:
        places = [self.place(x, y) for x, y in line]
        if len(places) > 1:
            self.draw.line(places, fill=colour, width=2 * _FINE, joint="curve")
        radius = 2.5 * _FINE if len(places) < 40 else 0
        for x, y in places if radius else ():
            box = (x - radius, y - radius, x + radius, y + radius)
            self.draw.ellipse(box, fill=colour)

    def legend(self, number: int, name: str, colour: tuple[int, int, int]) -> None:
        column, row = number % 4, number // 4
        left = _LEFT + column * (_WIDTH - _LEFT - _RIGHT) / 4
        top = _HEIGHT - 26 + 20 * row
        box = [_FINE * side for side in (left, top + 3, left + 10, top + 13)]
        self.draw.rectangle(box, fill=colour)
        self.text(name, (left + 15, top + 8), anchor="lm", colour=INK)

    def text(
        self,
        words: str,
        place: tuple[float, float],
        *,
        size: int = 13,
        anchor: str = "la",
        colour: tuple[int, int, int] = GREY,
    ) -> None:
        at = (_FINE * place[0], _FINE * place[1])
        font = font_of(_FINE * size)
        self.draw.text(at, words, fill=colour, font=font, anchor=anchor)


def _range(values: Sequence[float], *, whole: bool = False) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:
        return (low - 1, high + 1) if whole else (low - 0.5, high + 0.5)
    reach = 0.0 if whole else 0.05 * (high - low)
    return low - reach, high + reach


def _ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Return about five round numbers within a range."""
    rough = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * one for one in (1, 2, 5, 10) if power * one >= rough)
    if whole:
        step = max(round(step), 1)
    first = int(np.ceil(low / step))
    count = int(np.floor(high / step)) - first + 1
    return [round((first + number) * step, 10) for number in range(count)]
