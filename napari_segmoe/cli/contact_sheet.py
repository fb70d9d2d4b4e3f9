"""All explanations of one answer on one page."""

from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_segmoe.cli.overlay import draw_overlay
from napari_segmoe.cli.sheet_panels import draw_map_panel, draw_matrix
from napari_segmoe.data.page_layout import (
    GREY,
    PANEL_PX,
    SMALL,
    TEXT,
    TITLE,
    draw_rule,
    place_beside,
    stack,
    write_text,
)
from napari_segmoe.types import Click, Explanation, ExplanationGroup, Prediction

_COLUMNS, _MOST_COLUMNS, _GAP, _MARGIN = 4, 5, 28, 48
_HEADING = 26
_OUTLINE = "The thin line on each map is the outline of the mask."
_READING = (
    "Each map below covers the whole image; the bar under it says which colour means"
    " which number.",
    "Matrices hold one number for the whole image, so they are not drawn as maps.",
    "A map shows what the network computed, not that the network is right.",
)
_INTRODUCTIONS = {
    ExplanationGroup.GEOMETRY: "How the network sees the object's depth and edge.",
    ExplanationGroup.UNCERTAINTY: "Where the mask is undecided.",
    ExplanationGroup.ROUTING: "Whom the network asked, and how much.",
    ExplanationGroup.EXPERTS: "Which part of the network worked where.",
    ExplanationGroup.ATTENTION: "Where the network looked.",
    ExplanationGroup.TASKS: "What its tasks told each other.",
    ExplanationGroup.BRANCHES: "Near by or far around: which view counted.",
    ExplanationGroup.DEPTH: "What earlier layers saw, and what the last ones changed.",
}


def draw_contact_sheet(
    pixels: NDArray[np.uint8],
    prediction: Prediction,
    explanations: Sequence[Explanation],
    *,
    title: str,
    subtitle: str = "",
    classes: Sequence[str] = (),
    clicks: Sequence[Click] = (),
) -> NDArray[np.uint8]:
    """Draw the image with its outline, then every explanation, heading by heading.

    Parameters
    ----------
    pixels : (H, W) or (H, W, 3) uint8
        The image.
    prediction : Prediction
        Its labels give the outline.
    explanations : sequence of Explanation
    title, subtitle : str
        First two lines.
    classes : sequence of str
        Fixes the colour of each class.
    clicks : sequence of Click
        Drawn onto the image.

    Returns
    -------
    (h, w, 3) uint8
    """
    outline = prediction.labels > 0
    overlay = draw_overlay(pixels, prediction, classes=classes, clicks=clicks)
    columns = _columns_of(explanations)
    width = columns * PANEL_PX + (columns - 1) * _GAP
    sections = []
    for group in _INTRODUCTIONS:
        chosen = [one for one in explanations if one.group == group]
        if chosen:
            sections.append(_section(group, chosen, outline, columns=columns))
    head = _head((title, subtitle), overlay, prediction, width=width)
    rows = [_ruled(row, width) for row in _pack(sections, width)]
    page = stack([head, *rows], gap=40)
    size = (width + 2 * _MARGIN, page.height + 2 * _MARGIN)
    sheet = Image.new("RGB", size, (255, 255, 255))
    sheet.paste(page, (_MARGIN, _MARGIN))
    return np.asarray(sheet)


def _columns_of(explanations: Sequence[Explanation]) -> int:
    """Return 5 columns where a row needs as many, else 4."""
    maps = [_family(one) for one in explanations if one.kind != "table"]
    largest = max((maps.count(family) for family in set(maps)), default=0)
    return _MOST_COLUMNS if largest >= _MOST_COLUMNS else _COLUMNS


def _pack(sections: Sequence[Image.Image], width: int) -> list[list[Image.Image]]:
    """Put narrow neighbours into one row."""
    rows: list[list[Image.Image]] = []
    for section in sections:
        taken = sum(one.width + 2 * _GAP for one in rows[-1]) if rows else width
        if rows and taken + section.width <= width:
            rows[-1].append(section)
        else:
            rows.append([section])
    return rows


def _ruled(row: Sequence[Image.Image], width: int) -> Image.Image:
    return stack([draw_rule(width), place_beside(row, gap=2 * _GAP)], gap=20)


def _head(
    titles: tuple[str, str],
    overlay: NDArray[np.uint8],
    prediction: Prediction,
    *,
    width: int,
) -> Image.Image:
    side = 2 * PANEL_PX + _GAP
    picture = Image.fromarray(overlay)
    scale = side / max(picture.size)
    size = (round(picture.width * scale), round(picture.height * scale))
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    width = width - picture.width - _GAP
    reading = (_OUTLINE, *_READING) if prediction.mask.any() else _READING
    words = [
        write_text(titles[0], size=34, width=width),
        write_text(titles[1], size=TITLE, width=width, colour=GREY),
        write_text(say_answer(prediction), size=22, width=width),
        *(write_text(note, size=TEXT, width=width) for note in prediction.notes),
        write_text("How to read this page", size=TITLE, width=width, colour=GREY),
        *(write_text(line, size=TEXT, width=width, colour=GREY) for line in reading),
    ]
    return place_beside([picture, stack(words, gap=14)], gap=_GAP)


def say_answer(prediction: Prediction) -> str:
    """Return what was found, in one line."""
    count = len(prediction.objects)
    if not count:
        return "No object was marked."
    found = f"{count} object{'s' if count > 1 else ''} marked"
    area = 100 * float((prediction.labels > 0).mean())
    words = f"{found}, {area:.1f} % of the image"
    if not prediction.classes or prediction.class_name is None:
        return f"{words}."
    share = 100 * prediction.classes[prediction.class_name]
    doubt = "uncertain: " if prediction.is_uncertain else ""
    return f"{words}; {doubt}{prediction.class_name} {share:.0f} %."


def _section(
    group: ExplanationGroup,
    chosen: Sequence[Explanation],
    outline: NDArray[np.bool_],
    *,
    columns: int,
) -> Image.Image:
    parts = [_matrix_row(one) for one in chosen if one.kind == "table"]
    maps = sorted((one for one in chosen if one.kind != "table"), key=_rank)
    for _, family in groupby(maps, key=_family):
        panels = [draw_map_panel(one, outline) for one in family]
        parts += [place_beside(row, gap=_GAP) for row in _rows(panels, columns)]
    width = max(part.width for part in parts)
    heading = [
        write_text(str(group), size=_HEADING, width=width),
        write_text(_INTRODUCTIONS[group], size=TEXT, width=width, colour=GREY),
    ]
    return stack([stack(heading, gap=4), *parts], gap=22)


def _matrix_row(one: Explanation) -> Image.Image:
    words = [
        write_text(one.name, size=TITLE, width=PANEL_PX),
        write_text(one.description, size=SMALL, width=PANEL_PX, colour=GREY),
    ]
    return place_beside([draw_matrix(one), stack(words, gap=8)], gap=2 * _GAP)


def _rank(one: Explanation) -> int:
    """Order effects behind all counterfactuals; the others stay as they came."""
    return int(one.key.startswith("effect/"))


def _family(one: Explanation) -> str:
    """Return what maps in one row have in common."""
    kind, _, rest = one.key.partition("/")
    if kind in {"dominant", "contribution"}:
        return f"stage {rest.partition('/')[0]}"
    if kind in {"preference", "branch"}:
        return f"place {rest.partition('/')[0]}"
    if one.group == ExplanationGroup.GEOMETRY:
        return ""
    return kind


def _rows(
    panels: Sequence[Image.Image], columns: int
) -> Iterable[Sequence[Image.Image]]:
    for start in range(0, len(panels), columns):
        yield panels[start : start + columns]
