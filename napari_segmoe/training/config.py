"""What can be set for a training run."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from napari_segmoe.errors import ConfigError
from napari_segmoe.models.genotypes import choose_genotype, list_genotypes
from napari_segmoe.types import Modality

Positive = Annotated[float, Field(gt=0)]


class Precision(StrEnum):
    """Arithmetic of a run; AUTO takes bf16 where the device gains from it."""

    AUTO = "auto"
    FP32 = "32-true"
    BF16 = "bf16-mixed"
    FP16 = "16-mixed"


class RecipeName(StrEnum):
    """Training procedures."""

    MULTITASK = "multitask"
    SEMI_SUPERVISED = "semi_supervised"
    SUPERVISED = "supervised"
    TWO_STAGE = "two_stage"


_MASK_RECIPES = (RecipeName.SUPERVISED, RecipeName.TWO_STAGE)


class ClassLoss(StrEnum):
    """Loss of the image head: one class an image, or several at once."""

    FOCAL = "focal"
    MULTI_LABEL = "multi_label"


class TrainingConfig(BaseModel):
    """Everything that decides a training run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Field(description="Data folder (images, masks, labels.csv).")
    more_data: tuple[Path, ...] = Field(
        (), description="Further data folders, each split by itself; see `folders`."
    )
    out: Path = Field(description="Run folder to make.")
    model: str = Field("decoder_interaction_lite", description="Preset.")
    model_options: dict[str, Any] = Field(default_factory=dict)
    recipe: RecipeName = Field(RecipeName.MULTITASK, description="Training recipe.")
    name: str = Field("unnamed", description="Name in the weights' card.")
    title: str = Field("", description="One line for people, in the card.")
    modality: Modality = Field(Modality.UNKNOWN, description="What made the images.")
    organ: str = ""
    licence: str = ""
    split: str = Field("train", description="Split to train on.")
    validation_fraction: float = Field(0.15, gt=0, lt=1)
    folds: int = Field(
        0, ge=0, description="Validate on one of so many folds; 0: on the share above."
    )
    fold: int = Field(0, ge=0, description="Which fold validates, from 0.")
    split_seed: int | None = Field(
        None, description="Chooses the validation images; empty: `seed` does."
    )
    exclude: dict[str, str] = Field(
        default_factory=dict, description="Rows left out, by labels.csv column = value."
    )
    label_fraction: float = Field(
        1.0, gt=0, le=1, description="Share of the training images whose masks count."
    )
    labelled_list: str = Field(
        "", description="Or a file that names those images, one a line."
    )
    unlabelled: Path | None = Field(
        None, description="More images, without masks, for semi_supervised."
    )
    mask_classes: tuple[str, ...] = Field(
        (), description="Names of the masks' values 1, 2, ...; empty: the folder's."
    )
    merge_classes: dict[str, str] = Field(
        default_factory=dict,
        description="Mask class: what it counts as (or 'background', 'unknown').",
    )
    rare_below: float = Field(
        0.0, ge=0, le=1, description="Repeat images of rarer mask classes; 0: none."
    )
    empty_class: str | None = Field(
        None, description="Image class without objects, e.g. normal."
    )
    encoder_weights: str = Field(
        "", description="'imagenet' (Lite0, extra `pretrained`), a file, or nothing."
    )
    start_from: str = Field("", description="Weights to start from; name or file.")
    input_px: int = Field(256, ge=32, description="Side of the network input.")
    spacing_um: float | None = Field(
        None, gt=0, description="Pixel size of the samples; empty: the whole image."
    )
    data_spacing_um: Positive | dict[str, Positive] | None = Field(
        None,
        description="Pixel size of the files, or one for each data folder by its name;"
        " labels.csv's column spacing_um wins.",
    )
    samples_per_image: int = Field(1, ge=1, description="In each epoch.")
    image_head: bool = Field(True, description="Whether whole images get a class.")
    object_head: bool = Field(True, description="Whether objects get a class.")
    epochs: int = Field(100, ge=1)
    batch_size: int = Field(
        8, ge=2, description="Samples of one step, over all processes and pieces."
    )
    accumulate: int = Field(
        1, ge=1, description="Pieces in which a process takes its share of a step."
    )
    workers: int = Field(
        0, ge=0, description="Processes that draw samples ahead; 0: none."
    )
    learning_rate: float = Field(3e-4, gt=0)
    encoder_rate_factor: float = Field(
        1.0, ge=0, description="Encoder's learning rate over that of the rest."
    )
    warmup_steps: int = Field(100, ge=0)
    final_rate_fraction: float = Field(
        0.005, ge=0, le=1, description="Cosine ends here (1.5e-6 of 3e-4)."
    )
    weight_decay: float = Field(0.0, ge=0, description="0: Adam; above: AdamW.")
    clip_norm: float = Field(1.0, gt=0)
    ema_decay: float = Field(0.998, ge=0, lt=1)
    patience: int = Field(
        10, ge=1, description="Validations without gain before the run stops."
    )
    validate_every: int = Field(1, ge=1, description="Epochs between validations.")
    domain_guard: bool = Field(
        True,
        description="Whether the best weights learn in the end to tell images unlike"
        " the training images, which then get no class.",
    )
    prompt_share: float = Field(
        0.5, ge=0, le=1, description="Share of samples that carry a prompt."
    )
    background_share: float = Field(
        0.15, ge=0, le=1, description="Share of prompts that click where nothing is."
    )
    segmentation_weight: float = Field(0.8, ge=0, description="Paper: 0.80.")
    class_weight: float = Field(0.2, ge=0, description="Paper: 0.20.")
    class_loss: ClassLoss = Field(
        ClassLoss.FOCAL, description="multi_label: mask classes in an image."
    )
    mask_class_weight: float = Field(
        0.5, ge=0, description="Dice and cross-entropy of the masks' classes."
    )
    object_class_weight: float = Field(0.1, ge=0, description="Region head.")
    false_positive_weight: float = Field(0.3, ge=0, description="Tversky alpha.")
    false_negative_weight: float = Field(0.7, ge=0, description="Tversky beta.")
    tversky_gamma: float = Field(0.75, gt=0)
    boundary_weight: float = Field(0.25, ge=0)
    texture_weight: float = Field(0.15, ge=0)
    cross_entropy_weight: float = Field(
        0.0, ge=0, description="Pixel-wise binary cross-entropy; not in the paper."
    )
    dice_weight: float = Field(
        1.0, ge=0, description="Dice loss of `supervised` and `two_stage`."
    )
    pixel_weight: float = Field(
        1.0, ge=0, description="Cross-entropy over pixels of these two."
    )
    auxiliary_weight: float = Field(
        1.0, ge=0, description="Each deep-supervision head of these two."
    )
    first_stage_epochs: int = Field(
        50, ge=1, description="two_stage: with plain skips, before the other epochs."
    )
    first_stage: str = Field(
        "", description="two_stage: weights in place of the first stage; name or file."
    )
    expert_variance_weight: float = Field(
        1e-3, ge=0, description="two_stage: experts used unequally. Paper: 1e-3."
    )
    ask_unused_experts: bool = Field(
        True, description="two_stage: experts that no image asks join one image."
    )
    distance_weight: float = Field(
        0.0, ge=0, description="Signed distance, where a network predicts one."
    )
    distance_limit_px: float = Field(
        16.0, gt=0, description="Largest distance told apart, network pixels."
    )
    ring_weight: float = Field(
        0.0, ge=0, description="Ring around objects, where a network predicts one."
    )
    expert_weight: float = Field(
        0.0, ge=0, description="Experts' own outputs, over the gates'."
    )
    unsupervised_weight: float = Field(
        0.5, ge=0, description="semi_supervised: weight of pseudo-labels; paper: 0.5."
    )
    unsupervised_ramp: float = Field(
        1.0, ge=0, le=1, description="Share of the run over which it rises from 0."
    )
    unlabelled_batch_size: int = Field(
        0, ge=0, description="Images without masks in a step; 0: as batch_size."
    )
    adaptive_objectives: bool = Field(
        True, description="semi_supervised: mask, distance and ring weigh themselves."
    )
    ema_teacher: bool = Field(
        False, description="Pseudo-labels of a running average of the network."
    )
    teacher_decay: float = Field(0.99, ge=0, lt=1)
    confidence_gate: float = Field(
        0.0, ge=0, lt=1, description="Surer pixels teach, others do not; 0: all do."
    )
    weak_to_strong: bool = Field(
        False, description="Pseudo-labels of plain views teach changed, mixed ones."
    )
    consistency_weight: float = Field(
        0.0, ge=0, description="Mask against distance on images without masks."
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Of image and object classes; not in the paper."
    )
    warp_reach: float = Field(
        1.0, ge=0, description="Multiplies rotation, scale, shift and elastic warps."
    )
    largest_zoom: float = Field(
        1.25, ge=1, description="Scale jitter of samples at a pixel size, either way."
    )
    scanner_augmentation: bool = Field(
        False,
        description="Histology at a pixel size: glass beside tissue, colour cast, focus"
        " and JPEG, over changes of the stain.",
    )
    device: str = Field("auto", description="auto, cpu, cuda:N or mps.")
    devices: int = Field(1, ge=1, description="Processes (with torchrun: its count).")
    precision: Precision = Precision.AUTO
    deterministic: bool = Field(
        False, description="Only operations that repeat bit by bit, where slower too."
    )
    threads: int = Field(0, ge=0, description="CPU threads; 0: as torch sees fit.")
    seed: int = 0

    @field_validator("model_options")
    @classmethod
    def _put_genotype_in_place(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Read a genotype's file, so that weights can be loaded without it."""
        choice = options.get("genotype")
        if choice is None or choice in list_genotypes():
            return options
        genotype = choose_genotype(choice).without_trace()
        content = genotype.model_dump(mode="json", exclude={"trace"})
        return {**options, "genotype": content}

    @model_validator(mode="before")
    @classmethod
    def _leave_out_image_head(cls, values: Any) -> Any:
        """Recipes of papers without an image head build one only where asked to."""
        if isinstance(values, dict) and values.get("recipe") in _MASK_RECIPES:
            return {"image_head": False, **values}
        return values

    @model_validator(mode="after")
    def _check_spacing(self) -> "TrainingConfig":
        if self.data_spacing_um is not None and self.spacing_um is None:
            raise ValueError(
                "data_spacing_um says how large the files' pixels are; give spacing_um,"
                " the pixel size to train at, as well"
            )
        return self

    @property
    def folders(self) -> tuple[Path, ...]:
        """All data folders, the first first."""
        return (self.data, *self.more_data)


def load_config(path: Path) -> TrainingConfig:
    """Read a configuration from YAML.

    Raises
    ------
    ConfigError
        If the file is no YAML mapping or a value is unknown or out of range.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is not readable YAML: {error}.") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold `name: value` lines.")
    return make_config(**values)


def make_config(**values: Any) -> TrainingConfig:
    """Build a configuration.

    Raises
    ------
    ConfigError
        If a value is unknown or out of range; names the first.
    """
    try:
        return TrainingConfig(**values)
    except ValidationError as error:
        raise ConfigError(first_problem(error, whole="configuration")) from error


def first_problem(error: ValidationError, *, whole: str) -> str:
    """Return what is wrong with the first value; ``whole`` names all of them."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or whole
    return f"{place}: {first['msg']}."


def save_config(config: TrainingConfig, path: Path) -> None:
    """Write a configuration as YAML."""
    values = config.model_dump(mode="json")
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
