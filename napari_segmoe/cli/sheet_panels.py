"""The pieces of a contact sheet: text, pictures, maps with colour bars, matrices."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from napari_segmoe.cli.colormaps import (
    category_colour,
    colour_categories,
    colour_values,
    is_diverging,
)
from napari_segmoe.data.page_layout import (
    GREY,
    INK,
    PANEL_PX,
    PAPER,
    SMALL,
    TEXT,
    TITLE,
    font_of,
    stack,
    write_text,
)
from napari_segmoe.types import Explanation, Mask

_BAR_PX, _CHIP_PX, _CELL_PX = 12, 14, 40


def draw_map_panel(one: Explanation, outline: Mask) -> Image.Image:
    """Return a map with title, colour bar or legend, and caption.

    Parameters
    ----------
    one : Explanation
        Of kind "map" or "categories".
    outline : (H, W) bool
        Its edge is drawn onto the map.
    """
    return stack(
        [
            write_text(one.name, size=TITLE, width=PANEL_PX),
            fit_picture(colour_map(one), outline, dark_line=is_diverging(one.colormap)),
            _legend(one.labels) if one.kind == "categories" else _bar(one),
            write_text(one.description, size=SMALL, width=PANEL_PX, colour=GREY),
        ],
        gap=7,
    )


def colour_map(one: Explanation) -> NDArray[np.uint8]:
    """Return a map in its colours, (H, W, 3)."""
    if one.kind == "categories":
        return colour_categories(one.values)
    return colour_values(one.values, one.value_range, one.colormap)


def fit_picture(
    pixels: NDArray[np.uint8],
    outline: Mask,
    *,
    dark_line: bool = False,
    side: int = PANEL_PX,
) -> Image.Image:
    """Return pixels, (H, W, 3), fitted into a square's width, with an outline.

    The outline is dark, and white within unless ``dark_line``: the middle of
    diverging colours is nearly white.
    """
    height, width = outline.shape
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    small = Image.fromarray(outline.astype(np.uint8) * 255)
    inside = np.asarray(small.resize(size, Image.Resampling.BILINEAR)) > 127
    drawn = np.array(picture)
    # A dark line around a white one is seen on any colour.
    drawn[ndimage.binary_dilation(inside) & ~inside] = INK
    if not dark_line:
        drawn[inside & ~ndimage.binary_erosion(inside, border_value=1)] = PAPER
    canvas = Image.new("RGB", (side, size[1]), PAPER)
    canvas.paste(Image.fromarray(drawn), ((side - size[0]) // 2, 0))
    return canvas


def draw_matrix(one: Explanation) -> Image.Image:
    """Return a table as a matrix of coloured cells with their numbers."""
    font = font_of(TEXT)
    widest = max(font.getlength(name) for name in one.labels)
    cell = max(84, int(widest) + 24)
    margin = int(max(font.getlength(name) for name in one.row_labels)) + 16
    rows, columns = one.values.shape
    size = (margin + columns * cell + 1, (rows + 1) * _CELL_PX + 1)
    picture = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(picture)
    colours = colour_values(one.values, one.value_range, one.colormap)
    for column, name in enumerate(one.labels):
        _centre(draw, name, (margin + (column + 0.5) * cell, _CELL_PX / 2), INK)
    for row, name in enumerate(one.row_labels):
        top = (row + 1) * _CELL_PX
        middle = top + _CELL_PX / 2
        draw.text((margin - 10, middle), name, fill=INK, font=font, anchor="rm")
        for column in range(columns):
            left = margin + column * cell
            red, green, blue = (int(part) for part in colours[row, column])
            box = (left, top, left + cell, top + _CELL_PX)
            draw.rectangle(box, fill=(red, green, blue), outline=PAPER, width=2)
            dark = 0.3 * red + 0.6 * green + 0.1 * blue < 140
            number = f"{one.values[row, column]:.2f}"
            _centre(draw, number, (left + cell / 2, middle), PAPER if dark else INK)
    return picture


def draw_legend(entries: Sequence[tuple[str, tuple[int, int, int]]]) -> Image.Image:
    """Return names behind squares of their colours, wrapped to a panel's width."""
    font, step = font_of(SMALL), _CHIP_PX + 8
    places, left, top = [], 0, 0
    for name, _ in entries:
        width = _CHIP_PX + 6 + int(font.getlength(name)) + 16
        if left and left + width - 16 > PANEL_PX:
            left, top = 0, top + step
        places.append((left, top))
        left += width
    picture = Image.new("RGB", (PANEL_PX, top + step), PAPER)
    draw = ImageDraw.Draw(picture)
    for (name, colour), (x, y) in zip(entries, places, strict=True):
        draw.rectangle((x, y + 3, x + _CHIP_PX, y + 3 + _CHIP_PX), fill=colour)
        middle = y + 3 + _CHIP_PX / 2
        draw.text((x + _CHIP_PX + 6, middle), name, fill=INK, font=font, anchor="lm")
    return picture


def _legend(labels: Sequence[str]) -> Image.Image:
    chosen = [(name, category_colour(n)) for n, name in enumerate(labels)]
    return draw_legend(chosen[1:])


def _bar(one: Explanation) -> Image.Image:
    """Return a colour bar with the numbers at its ends, and 0 where it diverges."""
    low, high = one.value_range
    ramp = np.linspace(low, high, PANEL_PX, dtype=np.float32)[None]
    colours = colour_values(ramp.repeat(_BAR_PX, 0), one.value_range, one.colormap)
    picture = Image.new("RGB", (PANEL_PX, _BAR_PX + 22), PAPER)
    picture.paste(Image.fromarray(colours), (0, 0))
    draw = ImageDraw.Draw(picture)
    font, top = font_of(SMALL), _BAR_PX + 4
    draw.text((0, top), format_number(low), fill=INK, font=font)
    draw.text((PANEL_PX, top), format_number(high), fill=INK, font=font, anchor="ra")
    if is_diverging(one.colormap):
        draw.text((PANEL_PX / 2, top), "0", fill=INK, font=font, anchor="ma")
    return picture


def format_number(value: float) -> str:
    """Return a number with at most three digits, very small ones as powers of ten."""
    if value != 0 and abs(value) < 1e-3:
        mantissa, _, power = f"{value:.1e}".partition("e")
        return f"{mantissa}e{int(power)}"
    return f"{value:.3g}"


def _centre(
    draw: ImageDraw.ImageDraw,
    text: str,
    place: tuple[float, float],
    colour: tuple[int, int, int],
) -> None:
    draw.text(place, text, fill=colour, font=font_of(TEXT), anchor="mm")
