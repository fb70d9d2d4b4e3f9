"""The words that all rooms share: frozen values and enums.

Coordinates are (y, x) in full-resolution pixels everywhere; pixel (0, 0) covers the
square from (-0.5, -0.5) to (0.5, 0.5), as in napari. Boxes are [y0, x0, y1, x1],
half open. Spacing is (y, x) micrometres per pixel, or None where it is unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Spacing = tuple[float, float]
Mask = NDArray[np.bool_]


class Modality(StrEnum):
    """What made an image; weights are made for some of them."""

    ULTRASOUND = "ultrasound"
    HISTOLOGY = "histology"
    OCT = "oct"
    ENDOSCOPY = "endoscopy"
    DERMOSCOPY = "dermoscopy"
    OTHER = "other"
    UNKNOWN = "unknown"


class PromptKind(StrEnum):
    """The kinds of prompt a user can give."""

    POINT = "point"
    BOX = "box"
    STROKE = "stroke"


class ExplanationGroup(StrEnum):
    """The headings under which explanations are shown."""

    GEOMETRY = "Distance and boundary"
    UNCERTAINTY = "Uncertainty"
    EXPERTS = "Experts"
    ROUTING = "Routing"
    ATTENTION = "Attention"
    TASKS = "Tasks"
    BRANCHES = "Branches"
    DEPTH = "Depth"


class PixelSource(Protocol):
    """An image that is read a window at a time: a region of a slide.

    It can be pickled, and read in another process.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        ...

    def read(
        self, box: tuple[int, int, int, int], shape: tuple[int, int] | None = None
    ) -> NDArray[np.uint8]:
        """Return a box [y0, x0, y1, x1], (h, w, 3), brought to ``shape``.

        The box may reach beyond the image: what lies around it comes back.
        """
        ...


@dataclass(frozen=True, slots=True)
class Click:
    """One point prompt, in full-resolution pixels."""

    y: float
    x: float
    positive: bool = True


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, half open, in full-resolution pixels."""

    y0: float
    x0: float
    y1: float
    x1: float

    @property
    def height(self) -> float:
        """Length of the vertical side, in pixels."""
        return self.y1 - self.y0

    @property
    def width(self) -> float:
        """Length of the horizontal side, in pixels."""
        return self.x1 - self.x0


@dataclass(frozen=True, slots=True)
class Stroke:
    """A drawn line through ``points`` ((y, x), ...), in full-resolution pixels."""

    points: tuple[tuple[float, float], ...]
    positive: bool = True


@dataclass(frozen=True, slots=True)
class Prompts:
    """All prompts of one object, in the order in which they were given.

    ``order`` names the kind of each prompt given, oldest first.
    """

    clicks: tuple[Click, ...] = ()
    box: Box | None = None
    strokes: tuple[Stroke, ...] = ()
    order: tuple[PromptKind, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any prompt."""
        return bool(self.clicks or self.strokes or self.box is not None)


@dataclass(frozen=True, slots=True)
class Explanation:
    """One picture or table that says why the network answered as it did.

    Attributes
    ----------
    kind : str
        "map" for an (H, W) array, "categories" for an (H, W) array of whole numbers
        that index ``labels``, "table" for rows of numbers.
    name : str
        Title for people.
    values : float32 array
        (H, W) for a map, (rows, columns) for a table.
    labels : tuple of str
        Column labels of a table, names of the categories; empty for a map.
    value_range : (float, float)
        Smallest and largest value that can occur, for colour scales.
    description : str
        One sentence that says what it shows.
    key : str
        Stable name for programs, e.g. "distance" or "contribution/T1/expert 2".
    group : str
        Heading under which it is shown, an `ExplanationGroup`, e.g. "Experts".
    row_labels : tuple of str
        Row labels of a table.
    colormap : str
        Colour map that suits it, by matplotlib's name.
    """

    kind: str
    name: str
    values: NDArray[np.float32]
    labels: tuple[str, ...]
    value_range: tuple[float, float]
    description: str
    key: str = ""
    group: str = ""
    row_labels: tuple[str, ...] = ()
    colormap: str = "magma"


@dataclass(frozen=True, slots=True)
class Steering:
    """Experts that a user pins or vetoes.

    Attributes
    ----------
    pinned, vetoed : mapping of str to tuple of str
        Experts by stage; the stage "*" stands for all stages. Where experts are
        pinned, only they are asked; a veto beats a pin.
    """

    pinned: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    vetoed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, stage: str) -> tuple[frozenset[str], frozenset[str]]:
        """Return the experts pinned and vetoed at a stage."""
        return (
            frozenset((*self.pinned.get("*", ()), *self.pinned.get(stage, ()))),
            frozenset((*self.vetoed.get("*", ()), *self.vetoed.get(stage, ()))),
        )


@dataclass(frozen=True, slots=True)
class SegmentedObject:
    """One object found by a prediction or committed by a user.

    Attributes
    ----------
    id : int
        Value of the object's pixels in the label image, from 1.
    class_name : str or None
        Most probable class; None where the class is withheld or unknown.
    probabilities : mapping of str to float, or None
        Calibrated probability of each class.
    area_px, area_um2 : float
        Area in pixels, and in um^2 where the spacing is known (else None).
    box : (y0, x0, y1, x1)
        Bounding box, half open, full-resolution pixels.
    polygon : tuple of (y, x)
        Outer outline of the largest component.
    long_axis_px, short_axis_px : float
        Axes of the ellipse with the same second moments.
    width_height_ratio : float
        Width of the box over its height (below 1: taller than wide), in um where
        the spacing is known, else in pixels.
    """

    id: int
    class_name: str | None
    probabilities: Mapping[str, float] | None
    area_px: float
    area_um2: float | None
    box: tuple[int, int, int, int]
    polygon: tuple[tuple[float, float], ...]
    long_axis_px: float = 0.0
    short_axis_px: float = 0.0
    width_height_ratio: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The answer to one question put to a predictor.

    Attributes
    ----------
    mask : (H, W) bool
        The clicked object; in the automatic mode all objects. May be empty: "no
        object here" is an answer.
    probability : (H, W) float32
        Foreground probability.
    labels : (H, W) uint32
        One id an object; with prompts, 1 on ``mask``.
    objects : tuple of SegmentedObject
        One for each id in ``labels``.
    classes : mapping of str to float, or None
        Calibrated class probabilities of the clicked object or, in the automatic
        mode, of the image. None where the class is withheld (see ``notes``).
    is_uncertain : bool
        True where the largest class probability is below the card's threshold.
    explanations : tuple of Explanation
        Filled when asked for.
    notes : tuple of str
        Sentences for the user: why there is no class, what was changed, and so on.
    distance : (H, W) float, or None
        Signed distance that the network predicts, positive inside; None unless asked
        for in the automatic mode of a network that has one.
    """

    mask: Mask
    probability: NDArray[np.float32]
    labels: NDArray[np.uint32]
    objects: tuple[SegmentedObject, ...] = ()
    classes: Mapping[str, float] | None = None
    is_uncertain: bool = False
    explanations: tuple[Explanation, ...] = ()
    notes: tuple[str, ...] = ()
    distance: NDArray[np.floating] | None = None

    @property
    def class_name(self) -> str | None:
        """The most probable class, or None where there is none."""
        if not self.classes:
            return None
        return max(self.classes, key=lambda name: self.classes[name])  # type: ignore[index]


@dataclass(frozen=True, slots=True)
class RegionEstimate:
    """What the automatic segmentation of an image will cost.

    Attributes
    ----------
    windows : int
        Network windows to run.
    seconds : float or None
        Expected time; None before anything was measured.
    memory_bytes : int
        Expected memory of the answer and the work on it.
    """

    windows: int
    seconds: float | None
    memory_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class RegionProgress:
    """How far the automatic segmentation of an image is.

    Attributes
    ----------
    done, total : int
        Network windows.
    seconds_left : float or None
        Expected, from the windows so far.
    box : (y0, x0, y1, x1) or None
        The part that is ready now, in the image's pixels.
    mask : (h, w) bool or None
        What was found in it; objects get their ids and classes at the end.
    """

    done: int
    total: int
    seconds_left: float | None = None
    box: tuple[int, int, int, int] | None = None
    mask: Mask | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LoadedImage:
    """An image as read from a file.

    Attributes
    ----------
    pixels : (H, W) or (H, W, 3) uint8
        What the networks see and the window shows.
    spacing_um : (y, x) or None
        Micrometres per pixel where the file states them.
    modality : Modality
        From the file's own words (DICOM), else UNKNOWN.
    notes : tuple of str
        What was assumed or left out, in whole sentences.
    regions : tuple of Box
        Ultrasound regions in which measurements hold; empty where none are stated.
    frame_count : int
        Number of frames in the file; ``pixels`` is frame ``frame``.
    metadata : mapping of str to str
        Technical facts of the file; never names, dates or numbers of a patient.
    origin_yx : (int, int)
        Where pixel (0, 0) of ``pixels`` lies in the file's own frame, in pixels:
        add it to a coordinate to return to the file's frame.
    """

    pixels: NDArray[np.uint8]
    spacing_um: Spacing | None = None
    modality: Modality = Modality.UNKNOWN
    notes: tuple[str, ...] = ()
    regions: tuple[Box, ...] = ()
    frame_count: int = 1
    frame: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)
    origin_yx: tuple[int, int] = (0, 0)
