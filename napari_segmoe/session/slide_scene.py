"""A slide that is worked on, and the regions of it that were opened: values."""

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from napari_segmoe.data.slides.region import SlideRegion
from napari_segmoe.errors import SlideError
from napari_segmoe.types import Modality, Spacing

LevelBox = tuple[float, float, float, float]

REGION_SIDE_PX = 1024
LARGEST_SIDE_PX = 4096
_SAME = 1e-3  # boxes and pixel sizes this close are the same
_LARGEST_UM = 1000.0


class SpacingSource(StrEnum):
    """Who says how large a pixel of the slide is."""

    FILE = "file"
    LAYER = "layer"
    USER = "user"
    ASSUMED = "assumed"


class RegionChoice(StrEnum):
    """What part of the slide the automatic segmentation is for."""

    FIELD_OF_VIEW = "field of view"
    RECTANGLE = "rectangle"


@dataclass(frozen=True, slots=True)
class SlideScene:
    """A slide as the session sees it; its pixels stay in the file.

    Attributes
    ----------
    key : str
        The file's fingerprint: the same key brings its regions back.
    path : Path
        File or folder; only ever handed to readers, never shown or logged.
    name : str
        Name for people.
    shape : (H, W)
        Of level 0, in pixels.
    spacing_um : (y, x) or None
        Micrometres per level-0 pixel; None where nobody said it.
    spacing_source : SpacingSource
        Who said it; ASSUMED where nobody did: the weights' own assumption holds.
    backend : str
        Library that reads it.
    notes : tuple of str
        Sentences of the reader.
    modality : Modality
        What made it.
    """

    key: str
    path: Path
    name: str
    shape: tuple[int, int]
    spacing_um: Spacing | None = None
    spacing_source: SpacingSource = SpacingSource.ASSUMED
    backend: str = ""
    notes: tuple[str, ...] = ()
    modality: Modality = Modality.HISTOLOGY

    def contains(self, y: float, x: float) -> bool:
        """Whether a level-0 point lies on the slide; pixel centres are whole."""
        height, width = self.shape
        return -0.5 <= y < height - 0.5 and -0.5 <= x < width - 0.5

    def cut(self, box: LevelBox) -> LevelBox | None:
        """Return the part of a box (level-0 edges) that lies on the slide, or None."""
        height, width = self.shape
        y0, y1 = sorted(min(max(v, 0.0), height) for v in (box[0], box[2]))
        x0, x1 = sorted(min(max(v, 0.0), width) for v in (box[1], box[3]))
        return (y0, x0, y1, x1) if y1 - y0 >= 1 and x1 - x0 >= 1 else None


@dataclass(frozen=True, slots=True)
class RegionRecord:
    """One region of a slide: an image of its own to prompts and objects.

    Attributes
    ----------
    number : int
        From 1, unique on its slide.
    key : str
        Of its `SessionImage`.
    region : SlideRegion
        Its pixels: where it lies (``region.box`` in level-0 edges), its pixel size
        in level-0 pixels (``region.step_yx``), its shape.
    spacing_um : (y, x) or None
        Micrometres per pixel of the region.
    """

    number: int
    key: str
    region: SlideRegion
    spacing_um: Spacing | None = None

    @property
    def title(self) -> str:
        """Name for people, as "Region 2"."""
        return f"Region {self.number}"

    @property
    def box(self) -> LevelBox:
        """Its edges (y0, x0, y1, x1) in level-0 pixels."""
        return self.region.box

    def holds(self, y: float, x: float) -> bool:
        """Whether a level-0 point lies on the region."""
        y0, x0, y1, x1 = self.box
        return y0 <= y + 0.5 < y1 and x0 <= x + 0.5 < x1

    def rescaled(self, slide_spacing_um: Spacing | None) -> "RegionRecord":
        """Return the same pixels under another spacing of the slide."""
        return replace(self, spacing_um=_times(slide_spacing_um, self.region.step_yx))


def step_for(scene: SlideScene, spacing_um: float | None) -> tuple[float, float]:
    """Return the level-0 pixels per region pixel at a pixel size, (y, x).

    Level-0 pixels are taken where weights or slide have no pixel size.
    """
    if spacing_um is None or scene.spacing_um is None:
        return 1.0, 1.0
    return spacing_um / scene.spacing_um[0], spacing_um / scene.spacing_um[1]


def region_in(
    scene: SlideScene, box: LevelBox, step_yx: tuple[float, float]
) -> SlideRegion:
    """Return the region of a box (level-0 edges) at a pixel size.

    Raises
    ------
    SlideError
        If the box misses the slide, or holds more pixels than a window can.
    """
    cut = scene.cut(box)
    if cut is None:
        raise SlideError(
            "That region lies outside the slide. Move the slide into view, or drag the"
            " rectangle on it."
        )
    y0, x0, y1, x1 = cut
    shape = (
        max(round((y1 - y0) / step_yx[0]), 1),
        max(round((x1 - x0) / step_yx[1]), 1),
    )
    if max(shape) > LARGEST_SIDE_PX:
        raise SlideError(
            f"That region is {shape[0]} x {shape[1]} px at the weights' resolution; the"
            f" window takes {LARGEST_SIDE_PX} x {LARGEST_SIDE_PX}. Zoom in, or run"
            " `segmoe segment --region` for larger ones."
        )
    return SlideRegion(scene.path, (y0, x0), step_yx, shape)


def box_around(
    scene: SlideScene, y: float, x: float, step_yx: tuple[float, float]
) -> LevelBox:
    """Return a box of `REGION_SIDE_PX` around a level-0 point, moved onto the slide."""
    edges = []
    for centre, step, size in zip((y, x), step_yx, scene.shape, strict=True):
        length = min(REGION_SIDE_PX * step, float(size))
        first = min(max(float(round(centre + 0.5 - length / 2)), 0.0), size - length)
        edges.append((first, first + length))
    (y0, y1), (x0, x1) = edges
    return y0, x0, y1, x1


def is_same(one: SlideRegion, other: SlideRegion) -> bool:
    """Whether two regions of one slide are the same pixels."""
    pairs = zip(
        (*one.origin_yx, *one.step_yx), (*other.origin_yx, *other.step_yx), strict=True
    )
    return one.shape == other.shape and all(abs(a - b) < _SAME for a, b in pairs)


def checked_spacing(spacing_um: float | Spacing) -> Spacing:
    """Return a pixel size as (y, x).

    Raises
    ------
    SlideError
        If it is not a length that a pixel of a slide can have.
    """
    pair = (
        (float(spacing_um),) * 2
        if isinstance(spacing_um, (int, float))
        else (float(spacing_um[0]), float(spacing_um[1]))
    )
    if not all(0 < one <= _LARGEST_UM for one in pair):
        raise SlideError(
            f"A pixel cannot be {spacing_um} µm wide. Give micrometres per pixel, as"
            " 0.25 for a 40x scan."
        )
    return pair[0], pair[1]


def _times(spacing_um: Spacing | None, step_yx: tuple[float, float]) -> Spacing | None:
    if spacing_um is None:
        return None
    return spacing_um[0] * step_yx[0], spacing_um[1] * step_yx[1]
