"""Cards: what a weights file says of itself. Loads no torch."""

import json
import struct
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_segmoe.errors import WeightsError
from napari_segmoe.types import Modality

CARD_KEY = "segmoe_card"
SUFFIX = ".safetensors"
_LARGEST_HEADER = 16 * 2**20


class DomainCard(BaseModel):
    """The domain guard of a weights file; its tensors are among the file's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: int = Field(gt=0, description="Pooled numbers of an image.")
    components: int = Field(gt=0, description="Principal components of their cloud.")
    limit: float = Field(
        gt=0, description="Domain score above which no class is given."
    )
    images: int = Field(gt=0, description="Training images that it was fitted on.")
    false_alarms: float = Field(
        ge=0,
        le=1,
        description="Share above the limit of validation images and of training images"
        " left out of the fit.",
    )


class WeightsCard(BaseModel):
    """What a weights file was made for, from what, and how good it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="Short name, as in resources/weights.")
    title: str = Field(default="", description="One line for people.")
    model: str = Field(description="Preset that `create_model` knows.")
    options: dict[str, Any] = Field(default_factory=dict)
    classes: tuple[str, ...] = Field(
        default=(), description="Classes of the image head, in order of its scores."
    )
    object_classes: tuple[str, ...] = Field(
        default=(), description="Classes of the region head, in order of its scores."
    )
    mask_classes: tuple[str, ...] = Field(
        default=(),
        description="Classes of the mask's scores after the background, where they are"
        " told apart; those of the region head.",
    )
    merged_classes: dict[str, str] = Field(
        default_factory=dict,
        description="What other names in data folders' masks count as.",
    )
    multi_label: bool = Field(
        default=False, description="Whether an image can be of several classes at once."
    )
    empty_class: str | None = Field(
        default=None, description="Image class that means: nothing to mark."
    )
    modality: Modality = Modality.UNKNOWN
    organ: str = ""
    spacing_um: float | None = Field(
        default=None, description="Pixel size it was trained at; None: whole image."
    )
    assumed_spacing_um: float | None = Field(
        default=None,
        description="Pixel size taken, and said, for an image that states none: that"
        " of the training images' files.",
    )
    input_px: int = Field(default=256, gt=0, description="Side of the network input.")
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    prompt_channels: int = Field(default=0, description="0: takes no prompts.")
    disk_radius_px: int = Field(default=5, description="Click disk, network pixels.")
    mask_threshold: float = 0.5
    smoothing_px: float = Field(
        default=0.0,
        ge=0,
        description="Gaussian on the mask scores, network pixels: transposed"
        " convolutions leave a comb along edges.",
    )
    smallest_object_fraction: float = Field(
        default=5e-4, description="Objects below this share of the image are dropped."
    )
    part_below: float = Field(
        default=0.75,
        gt=0,
        le=0.95,
        description="Touching objects are parted where the predicted distance between"
        " them falls below this share of the lower one's largest.",
    )
    keep_above: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Automatic mode: an object is kept where its mean probability is"
        " at least this.",
    )
    empty_class_above: float = Field(
        default=1.0,
        description="Automatic mode marks nothing above this empty-class probability.",
    )
    refuse_below: float = Field(
        default=0.5,
        description="First click: peak probability below which no object is there.",
    )
    image_temperature: float = Field(default=1.0, gt=0)
    object_temperature: float = Field(default=1.0, gt=0)
    uncertain_below: float = 0.6
    domain: DomainCard | None = Field(
        default=None, description="Detector of images unlike the training images."
    )
    seed: int | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    split: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)
    licence: str = ""
    intended_use: str = "Research use only, not a medical device."
    tensors_sha256: str = Field(default="", description="Hash over names and bytes.")
    version: str = "1"


def read_card(path: Path) -> WeightsCard:
    """Read the card of a weights file; reads only the file's header.

    Raises
    ------
    WeightsError
        If the file is missing, is not safetensors, is cut short or has no card.
    """
    metadata = _read_metadata(Path(path))
    if CARD_KEY not in metadata:
        raise WeightsError(
            f"{path.name} has no card, so its network is unknown. Use weights that"
            " `segmoe train` wrote."
        )
    try:
        return WeightsCard.model_validate_json(metadata[CARD_KEY])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise WeightsError(
            f"The card of {path.name} is not valid: {place}: {first['msg']}."
        ) from error


def list_weights() -> tuple[tuple[str, Path], ...]:
    """Return name and path of each weights file shipped with the package."""
    folder = Path(str(files("napari_segmoe") / "resources" / "weights"))
    return tuple((path.stem, path) for path in sorted(folder.glob(f"*{SUFFIX}")))


def find_weights(name_or_path: str | Path) -> Path:
    """Return the path of shipped weights or of the file at ``name_or_path``.

    Raises
    ------
    WeightsError
        If there is neither.
    """
    shipped = dict(list_weights())
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    path = Path(name_or_path)
    if path.is_file():
        return path
    known = ", ".join(shipped) or "none"
    raise WeightsError(
        f"No weights {str(name_or_path)!r}. Give a {SUFFIX} file or one of: {known}."
    )


def _read_metadata(path: Path) -> Mapping[str, str]:
    if not path.is_file():
        raise WeightsError(f"No weights file at {path}.")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if start[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04"):
            raise WeightsError(
                f"{path.name} is a pickle, which can run code when opened. Convert it"
                " to safetensors where it was made."
            )
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(_LARGEST_HEADER, size - 8):
            raise WeightsError(
                f"{path.name} is not a safetensors file or is cut short."
                " Copy or download it again."
            )
        header = file.read(length)
    try:
        content = json.loads(header)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise WeightsError(
            f"{path.name} is not a safetensors file: its header cannot be read."
        ) from error
    _check_length(path, content, expected=size - 8 - length)
    return content.get("__metadata__") or {}


def _check_length(path: Path, header: Mapping[str, Any], *, expected: int) -> None:
    ends = [
        entry["data_offsets"][1]
        for name, entry in header.items()
        if name != "__metadata__"
    ]
    needed = max(ends, default=0)
    if needed != expected:
        raise WeightsError(
            f"{path.name} holds {expected} bytes of tensors, its header promises"
            f" {needed}: it is cut short. Copy or download it again."
        )
