"""Find the resolutions of a slide among the pages of a TIFF file."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_segmoe.errors import SlideError

# Pictures around the tissue, named by scanners; they may show a patient's name.
_NEVER = ("label", "macro", "thumbnail", "overview")
# Axes that choose one plane of a stack, and which plane is shown.
_STACK_AXES = {"Z": "depth", "T": "time", "C": "channel"}
_STRIP_ROWS = 64
_GROUP_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class TiffLevel:
    """One resolution of a TIFF file.

    Attributes
    ----------
    planes : tuple of (page, plane)
        One page with all colours, or a page (and plane of it) for each colour.
    shape : (H, W)
    segment_yx : (y, x)
        Size of the file's own tiles or strips.
    tile_yx : (y, x)
        What is decoded and kept together: a tile, or some strips.
    is_raw : bool
        Rows lie in the file as they are, so that any of them can be read alone.
    """

    planes: tuple[tuple[Any, int], ...]
    shape: tuple[int, int]
    segment_yx: tuple[int, int]
    tile_yx: tuple[int, int]
    is_raw: bool

    @property
    def keyframe(self) -> Any:
        """The page that describes the pixels."""
        return self.planes[0][0].keyframe

    @property
    def bytes_of_tile(self) -> int:
        """Bytes of a decoded tile as the file's number type."""
        page = self.keyframe
        samples = page.samplesperpixel if page.planarconfig == 1 else 1
        values = self.tile_yx[0] * self.tile_yx[1] * samples * len(self.planes)
        return int(values * np.dtype(page.dtype or np.uint8).itemsize)


def find_levels(name: str, tiff: Any) -> tuple[list[TiffLevel], tuple[str, ...]]:
    """Return the levels of the largest image, finest first, and what was chosen.

    Parameters
    ----------
    name : str
        Of the file, for messages.
    tiff : tifffile.TiffFile

    Raises
    ------
    SlideError
        If no page is an image.
    """
    series = [one for one in tiff.series if _is_picture(one)]
    if not series:
        raise SlideError(
            f"{name} holds no picture that could be a slide: it is cut short, damaged "
            "or of another kind. Copy it again."
        )
    first = max(series, key=lambda one: _area(one.keyframe))
    found = [_stack(level) for level in first.levels if _is_picture(level)]
    if len(found) == 1:
        others = [_stack(one) for one in series if one is not first]
        found += [pages for pages in others if _is_reduced(found[0], pages)]
    found.sort(key=lambda planes: -_area(planes[0][0].keyframe))
    levels = [_level(planes) for planes in found]
    return _shrinking(levels), _chosen(first)


def _is_picture(series: Any) -> bool:
    name = str(getattr(series, "name", "") or "").lower()
    page = series.keyframe
    described = str(getattr(page, "description", "") or "").lower()
    last_words = described[-400:] if page.is_reduced else ""
    named = any(word in name or word in last_words for word in _NEVER)
    return not named and {"Y", "X"} <= set(series.axes) and _area(page) > 0


def _area(page: Any) -> int:
    return int(page.imagewidth) * int(page.imagelength)


def _stack(series: Any) -> tuple[tuple[Any, int], ...]:
    """Return the page, or pages, that make one picture of a series."""
    axes, shape = series.axes, series.shape
    position = {"Z": shape[axes.index("Z")] // 2} if "Z" in axes else {}
    outer = [
        (axis, n) for axis, n in zip(axes, shape, strict=True) if axis not in "YXS"
    ]
    is_colour = dict(outer).get("C") == 3 and "S" not in axes
    keyframe = series.keyframe
    numbers = []
    for colour in range(3 if is_colour else 1):
        number = 0
        for axis, count in outer:
            number = number * count + position.get(axis, colour if axis == "C" else 0)
        numbers.append(number)
    pages = [series.pages[number] for number in numbers]
    if any(page is None for page in pages):
        raise SlideError("A page of the slide is missing in the file. Copy it again.")
    if keyframe.planarconfig == 2 and keyframe.samplesperpixel > 1:
        return tuple((pages[0], n) for n in range(min(keyframe.samplesperpixel, 4)))
    return tuple((page, 0) for page in pages)


def _is_reduced(
    base: tuple[tuple[Any, int], ...], planes: tuple[tuple[Any, int], ...]
) -> bool:
    """Whether a picture is a smaller copy of another."""
    large, small = base[0][0].keyframe, planes[0][0].keyframe
    alike = all(
        getattr(large, fact) == getattr(small, fact)
        for fact in ("dtype", "samplesperpixel", "photometric", "is_tiled")
    )
    y, x = large.imagelength / small.imagelength, large.imagewidth / small.imagewidth
    # A pixel more or less makes this much of a difference.
    slack = 0.005 + 1 / small.imagelength + 1 / small.imagewidth
    same_form = abs(y / x - 1) <= slack
    return alike and same_form and min(y, x) >= 1.5 and len(base) == len(planes)


def _shrinking(levels: list[TiffLevel]) -> list[TiffLevel]:
    """Leave out levels that are no smaller than the one before."""
    kept = levels[:1]
    for level in levels[1:]:
        before = kept[-1].shape
        if all(a < b or a == b == 1 for a, b in zip(level.shape, before, strict=True)):
            kept.append(level)
    return kept


def _level(planes: tuple[tuple[Any, int], ...]) -> TiffLevel:
    page = planes[0][0].keyframe
    height, width = int(page.imagelength), int(page.imagewidth)
    if page.is_tiled:
        tile = (int(page.tilelength), int(page.tilewidth))
        return TiffLevel(planes, (height, width), tile, tile, is_raw=False)
    rows = max(min(int(page.rowsperstrip), height), 1)
    raw = _has_raw_rows(page)
    itemsize = np.dtype(page.dtype or np.uint8).itemsize
    row_bytes = width * int(page.samplesperpixel) * itemsize
    group = max(min(_STRIP_ROWS, _GROUP_BYTES // max(row_bytes, 1)), 1)
    if not raw:
        group = max(group // rows, 1) * rows
    return TiffLevel(planes, (height, width), (rows, width), (group, width), raw)


def _has_raw_rows(page: Any) -> bool:
    whole_bytes = page.bitspersample in {8, 16, 32, 64}
    plain = page.compression == 1 and page.predictor == 1 and page.fillorder == 1
    return bool(whole_bytes and plain)


def _chosen(series: Any) -> tuple[str, ...]:
    """Return which plane of a stack is shown."""
    notes = []
    for axis, count in zip(series.axes, series.shape, strict=True):
        colours = axis == "C" and count == 3 and "S" not in series.axes
        if axis in "YXS" or count == 1 or colours:
            continue
        shown = count // 2 + 1 if axis == "Z" else 1
        kind = _STACK_AXES.get(axis, "page")
        notes.append(
            f"The slide has {count} planes along {kind}; number {shown} is shown."
        )
    return tuple(notes)
