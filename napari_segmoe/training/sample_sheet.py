"""Grids of samples: what the network sees, what is asked, and what is true."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from napari_segmoe.data.page_layout import (
    GREY,
    PAPER,
    SMALL,
    TEXT,
    place_beside,
    stack,
    write_text,
)
from napari_segmoe.training.samples import Sample
from napari_segmoe.types import Mask, Prompts

TRUTH, FOUND, PREVIOUS = (64, 220, 120), (255, 150, 40), (255, 235, 90)
_POSITIVE, _NEGATIVE, _BOX = (40, 200, 255), (255, 60, 90), (40, 200, 255)
_CLASSES = (
    (64, 220, 120), (240, 120, 200), (90, 160, 255), (255, 200, 60),
    (160, 110, 240), (70, 220, 220), (240, 110, 80), (190, 220, 90),
)  # fmt: skip
_PANEL_PX, _GAP, _MARGIN = 220, 14, 24
_TINT = 0.28

Colour = tuple[int, int, int]
Pixels = NDArray[np.uint8]


def draw_samples(
    samples: Sequence[Sample],
    *,
    title: str,
    classes: Sequence[str] = (),
    columns: int = 6,
) -> Image.Image:
    """Draw samples with prompts and truth, one a panel, with a line of words each.

    Parameters
    ----------
    samples : sequence of Sample
        At least one.
    title : str
        Above the grid.
    classes : sequence of str
        Names of the samples' object classes.
    """
    panels = [
        _captioned(draw_sample_panel(one), describe_sample(one, classes))
        for one in samples
    ]
    rows = [
        place_beside(panels[first : first + columns], gap=_GAP)
        for first in range(0, len(panels), columns)
    ]
    width = max(row.width for row in rows)
    reading = (
        "Green, or its class's colour: what shall be marked. Blue: click, stroke or box"
        " on it; red: click that says no. Yellow line: the answer before."
    )
    head = [
        write_text(title, size=24, width=width),
        write_text(reading, size=TEXT, width=width, colour=GREY),
    ]
    if any(one.classes is not None for one in samples):
        head += [_legend(classes, width)]
    return framed(stack([*head, *rows], gap=_GAP))


def draw_answers(rows: Iterable[tuple[Sample, Mask]], *, title: str) -> Image.Image:
    """Draw image, truth and answer of samples, two samples a row.

    Parameters
    ----------
    rows : iterable of (Sample, (n, n) bool)
        Samples with the network's masks.
    title : str
        Above the grid.
    """
    triples = []
    for sample, found in rows:
        pixels = pixels_of(sample)
        own = mark_prompts(enlarge(pixels), sample.prompts, sample.truth.shape[0])
        true = enlarge(tint(pixels, sample.truth, TRUTH))
        answer = outline(tint(pixels, found, FOUND), sample.truth, TRUTH)
        panels = [Image.fromarray(own), Image.fromarray(true), Image.fromarray(answer)]
        words = f"Dice {_dice(found, sample.truth):.2f}"
        triples.append(
            stack(
                [place_beside(panels, gap=4), write_text(words, size=SMALL, width=300)],
                gap=4,
            )
        )
    lines = [
        place_beside(triples[i : i + 2], gap=28) for i in range(0, len(triples), 2)
    ]
    width = max(line.width for line in lines)
    reading = "Image, truth (green), answer (orange) with the truth's outline."
    head = [
        write_text(title, size=24, width=width),
        write_text(reading, size=TEXT, width=width, colour=GREY),
    ]
    return framed(stack([*head, *lines], gap=_GAP))


def draw_sample_panel(sample: Sample) -> Image.Image:
    """Draw one sample: its image, the truth, the answer before and the prompts."""
    pixels = pixels_of(sample)
    if sample.classes is None:
        pixels = tint(pixels, sample.truth, TRUTH)
    else:
        for number in np.unique(sample.classes[(sample.classes > 0) & sample.truth]):
            colour = _CLASSES[(int(number) - 1) % len(_CLASSES)]
            pixels = tint(pixels, sample.classes == number, colour)
    drawn = enlarge(pixels)
    if sample.previous is not None:
        drawn = outline(drawn, sample.previous > 0.5, PREVIOUS)
    drawn = mark_prompts(drawn, sample.prompts, sample.truth.shape[0])
    return Image.fromarray(drawn)


def describe_sample(sample: Sample, classes: Sequence[str] = ()) -> str:
    """Return what is asked of a sample, in a few words."""
    prompts = sample.prompts
    if not prompts:
        asked = "everything"
    elif not sample.truth.any():
        asked = "nothing is here"
    else:
        kinds = [
            _counted(len(prompts.clicks), "click"),
            _counted(len(prompts.strokes), "stroke"),
            "box" if prompts.box is not None else "",
        ]
        asked = "object by " + " and ".join(kind for kind in kinds if kind)
    if 0 <= sample.object_class < len(classes):
        return f"{asked}; {classes[sample.object_class].replace('_', ' ')}"
    return asked


def pixels_of(sample: Sample) -> Pixels:
    """Return a sample's image, (n, n, 3)."""
    image = sample.image.clamp(0, 1).numpy().transpose(1, 2, 0)
    return (255 * image).round().astype(np.uint8)


def enlarge(pixels: Pixels) -> Pixels:
    """Return pixels as large as a panel."""
    size = (_PANEL_PX, _PANEL_PX)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


def tint(pixels: Pixels, mask: Mask, colour: Colour) -> Pixels:
    """Colour a mask, its edge fully."""
    weight = np.where(mask, _TINT, 0.0)
    weight[mask & ~ndimage.binary_erosion(mask, border_value=1)] = 1.0
    mixed = pixels * (1 - weight[..., None]) + np.array(colour) * weight[..., None]
    return mixed.round().astype(np.uint8)


def outline(pixels: Pixels, mask: Mask, colour: Colour) -> Pixels:
    """Draw a mask's edge at a panel's size, a pixel wide."""
    drawn = np.array(enlarge(pixels))
    size = (drawn.shape[1], drawn.shape[0])
    large = Image.fromarray(mask.astype(np.uint8) * 255).resize(size)
    inside = np.asarray(large) > 127
    drawn[inside & ~ndimage.binary_erosion(inside, border_value=1)] = colour
    return drawn


def mark_prompts(pixels: Pixels, prompts: Prompts, side_px: int) -> Pixels:
    """Draw clicks, strokes and box onto a panel of a sample of ``side_px``."""
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    draw, scale = ImageDraw.Draw(picture), pixels.shape[0] / side_px

    def place(y: float, x: float) -> tuple[float, float]:
        return (x + 0.5) * scale, (y + 0.5) * scale

    if prompts.box is not None:
        box = prompts.box
        corners = (
            *place(box.y0 - 0.5, box.x0 - 0.5),
            *place(box.y1 - 0.5, box.x1 - 0.5),
        )
        draw.rectangle(corners, outline=_BOX, width=2)
    for stroke in prompts.strokes:
        colour = _POSITIVE if stroke.positive else _NEGATIVE
        draw.line([place(y, x) for y, x in stroke.points], fill=colour, width=3)
    for click in prompts.clicks:
        x, y = place(click.y, click.x)
        colour = _POSITIVE if click.positive else _NEGATIVE
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour, outline=PAPER, width=1)
    return np.asarray(picture)


def framed(page: Image.Image) -> Image.Image:
    """Return a page with a margin."""
    size = (page.width + 2 * _MARGIN, page.height + 2 * _MARGIN)
    sheet = Image.new("RGB", size, PAPER)
    sheet.paste(page, (_MARGIN, _MARGIN))
    return sheet


def _legend(classes: Sequence[str], width: int) -> Image.Image:
    """Return the classes' names in their colours, four a line."""
    names = [
        write_text(
            f"\u25a0 {name.replace('_', ' ')}",
            size=TEXT,
            width=width // 4 - 4,
            colour=_darker(_CLASSES[number % len(_CLASSES)]),
        )
        for number, name in enumerate(classes)
    ]
    lines = [place_beside(names[i : i + 4], gap=4) for i in range(0, len(names), 4)]
    return stack(lines, gap=2)


def _darker(colour: Colour) -> Colour:
    red, green, blue = (round(0.75 * part) for part in colour)
    return red, green, blue


def _captioned(panel: Image.Image, words: str) -> Image.Image:
    text = write_text(words, size=SMALL, width=_PANEL_PX, colour=GREY)
    return stack([panel, text], gap=4)


def _counted(count: int, word: str) -> str:
    return "" if not count else word if count == 1 else f"{count} {word}s"


def _dice(found: Mask, truth: Mask) -> float:
    total = int(found.sum() + truth.sum())
    return 2 * int((found & truth).sum()) / total if total else 1.0
