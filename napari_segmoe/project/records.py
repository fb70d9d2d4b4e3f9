"""What a project keeps of images, objects, tiles, classes, models and runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from napari_segmoe.project.label_runs import Labels
from napari_segmoe.types import Modality

PixelBox = tuple[int, int, int, int]


class ReviewState(StrEnum):
    """How far an object's review is; a model never touches a locked one."""

    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    REVIEWED = "reviewed"
    LOCKED = "locked"


class Provenance(StrEnum):
    """Who made an object's pixels."""

    DRAWN = "drawn"
    ACCEPTED_CLICK = "accepted_click"
    ACCEPTED_AUTOMATIC = "accepted_automatic"
    MODEL = "model"


class EventKind(StrEnum):
    """What an event records."""

    CREATED = "created"
    ANNOTATOR = "annotator"
    IMAGE = "image"
    CLICK = "click"
    COMMIT = "commit"
    CORRECT = "correct"
    ACCEPT = "accept"
    REVIEW = "review"
    FINISH_TILE = "finish_tile"
    DELETE = "delete"
    CLASS = "class"
    CLASSES = "classes"
    IMPORT = "import"
    UNDO = "undo"
    REDO = "redo"
    RUN = "run"
    PUBLISH = "publish"
    ROLLBACK = "rollback"
    REVERT = "revert"
    REJECT = "reject"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RegionPlace(_Record):
    """Where a region's pixels lie on its slide, in level-0 pixels."""

    origin_yx: tuple[float, float]
    step_yx: tuple[float, float]


class ImageRecord(_Record):
    """One image, or one region of a slide, that carries labels.

    ``name`` is a number, never a file's name: ``image-0007``. Where the file lies is
    known to `local.json` alone. ``group`` is a salted hash of the patient, so that one
    patient is never on two sides of a split. ``frame`` is that of a clip or a page.
    """

    name: str
    fingerprint: str
    shape: tuple[int, int]
    spacing_um: tuple[float, float] | None = None
    modality: Modality = Modality.UNKNOWN
    group: str | None = None
    region: RegionPlace | None = None
    frame: int = 0


class ObjectState(_Record):
    """The state of one object after an event; pixels are in the label image."""

    class_id: int | None = None
    state: ReviewState = ReviewState.PROPOSED
    provenance: Provenance = Provenance.MODEL
    source: str = "model"
    probability: float | None = None
    model_class: str | None = None
    model_version: int | None = None
    area_px: float = 0.0
    box: PixelBox = (0, 0, 0, 0)


class TileState(_Record):
    """A box in which everything that is no object is background."""

    box: PixelBox
    is_finished: bool = True


class PlaceVerdict(StrEnum):
    """What a person made of a model's answers somewhere."""

    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class ClassRecord(_Record):
    """One class of the project's list."""

    id: int
    name: str
    colour: str


def _in_order(figures: Mapping[str, float]) -> dict[str, float]:
    """Return figures as an event's payload has them: played back they are the same."""
    return dict(sorted(figures.items()))


Figures = Annotated[Mapping[str, float], AfterValidator(_in_order)]


class JudgedPlace(_Record):
    """A box of an image in which a model's answers were accepted or rejected.

    ``source`` names what proposed them: a round, or the weights that were asked. What
    was rejected counts whatever proposes it. ``figures``: objects, confidence,
    agreement, weight.
    """

    box: PixelBox
    verdict: PlaceVerdict
    source: str = ""
    figures: Figures = Field(default_factory=dict)


class ModelVersion(_Record):
    """Weights that were published, and what the guard saw."""

    number: int
    weights_sha256: str
    base: str
    is_current: bool
    figures: Figures = Field(default_factory=dict)


class RunRecord(_Record):
    """One training run."""

    name: str
    state: str
    figures: Figures = Field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class PixelPatch:
    """A change of an image's labels within one box.

    Attributes
    ----------
    box : (y0, x0, y1, x1)
        Half open.
    before, after : (h, w) uint32
    """

    box: PixelBox
    before: Labels
    after: Labels


@dataclass(frozen=True, slots=True)
class Change:
    """What an event says of the project: the new state of all that it touches.

    An undo is an event as well, with the states before; so the last word of each
    object, tile and class is its state.

    Attributes
    ----------
    image : ImageRecord or None
        A new image, in events of kind IMAGE.
    annotator : str or None
        A new pseudonym.
    objects : mapping of int to ObjectState or None
        By id; None: the object is gone.
    tiles : sequence of TileState
    places : sequence of JudgedPlace
        Pseudo-labels that were judged; proposed again where that is taken back.
    classes : sequence of ClassRecord or None
        The whole list; None: as before.
    model : ModelVersion or None
    run : RunRecord or None
    details : mapping
        Whatever else is worth knowing: prompts, figures, versions.
    """

    image: ImageRecord | None = None
    annotator: str | None = None
    objects: Mapping[int, ObjectState | None] | None = None
    tiles: tuple[TileState, ...] = ()
    places: tuple[JudgedPlace, ...] = ()
    classes: tuple[ClassRecord, ...] | None = None
    model: ModelVersion | None = None
    run: RunRecord | None = None
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ProjectEvent:
    """One event as it is stored.

    Attributes
    ----------
    number : int
        From 1, without gaps.
    time_utc : str
        ISO 8601.
    kind : EventKind
    annotator : str or None
        Pseudonym of who did it; None: the program.
    image : str or None
        Name of the image it is about.
    change : Change
    patch : PixelPatch or None
        Pixels that it changed.
    digest : str
        Of this event and all before it, hexadecimal.
    """

    number: int
    time_utc: str
    kind: EventKind
    annotator: str | None
    image: str | None
    change: Change
    patch: PixelPatch | None
    digest: str
