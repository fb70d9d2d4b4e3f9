"""Pages made of pictures: text, and pictures below or beside each other."""

from collections.abc import Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont

PANEL_PX = 300
INK, GREY, FAINT = (26, 26, 30), (92, 92, 100), (206, 206, 212)
PAPER = (255, 255, 255)
TITLE, TEXT, SMALL = 19, 16, 15


@cache
def font_of(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font; nothing need be installed."""
    return ImageFont.load_default(size=size)


def write_text(
    text: str,
    *,
    size: int,
    width: int,
    colour: tuple[int, int, int] = INK,
) -> Image.Image:
    """Return a picture of text, wrapped at words to a width."""
    font, step = font_of(size), round(size * 1.35)
    lines = _wrap(text, width, size)
    picture = Image.new("RGB", (width, step * len(lines)), PAPER)
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        draw.text((0, number * step), line, fill=colour, font=font)
    return picture


def stack(pictures: Sequence[Image.Image], *, gap: int) -> Image.Image:
    """Return pictures below each other, flush left."""
    width = max(one.width for one in pictures)
    height = sum(one.height for one in pictures) + gap * (len(pictures) - 1)
    page = Image.new("RGB", (width, height), PAPER)
    top = 0
    for one in pictures:
        page.paste(one, (0, top))
        top += one.height + gap
    return page


def place_beside(pictures: Sequence[Image.Image], *, gap: int) -> Image.Image:
    """Return pictures beside each other, flush at the top."""
    width = sum(one.width for one in pictures) + gap * (len(pictures) - 1)
    page = Image.new("RGB", (width, max(one.height for one in pictures)), PAPER)
    left = 0
    for one in pictures:
        page.paste(one, (left, 0))
        left += one.width + gap
    return page


def draw_rule(width: int) -> Image.Image:
    """Return a thin line."""
    return Image.new("RGB", (width, 2), FAINT)


def _wrap(text: str, width: int, size: int) -> list[str]:
    font = font_of(size)
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines or [""]
