"""What can be set for a round."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_segmoe.errors import ConfigError
from napari_segmoe.training.config import Precision, first_problem


class RoundPreset(StrEnum):
    """How long a round trains."""

    QUICK = "quick"
    NORMAL = "normal"


STEPS: Mapping[RoundPreset, int] = {RoundPreset.QUICK: 12, RoundPreset.NORMAL: 28}


class RoundSettings(BaseModel):
    """Everything that decides a round, besides the project."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = Field(
        "", description="Start from a name or file; empty: the project's current ones."
    )
    preset: RoundPreset = RoundPreset.NORMAL
    minutes: float = Field(10.0, gt=0, description="The round ends after so long.")
    steps: int = Field(
        0, ge=0, description="Steps of each training; 0: as the preset says."
    )
    batch_size: int = Field(
        8, ge=2, description="Samples of a step; half of them are replay."
    )
    learning_rate: float = Field(2e-4, gt=0)
    encoder_rate_factor: float = Field(
        0.3, ge=0, description="Encoder's learning rate over that of the rest."
    )
    warmup_steps: int = Field(3, ge=0)
    ema_decay: float = Field(0.99, ge=0, lt=1)
    clip_norm: float = Field(1.0, gt=0)
    pull: float = Field(
        1e-2,
        ge=0,
        lt=1,
        description="Share of the way back to the start at each step (L2-SP).",
    )
    replay_weight: float = Field(
        3.0, ge=0, description="Loss of replay over that of corrections."
    )
    prompt_share: float = Field(
        0.5, ge=0, le=1, description="Share of samples that carry a click."
    )
    validate_every: int = Field(4, ge=1, description="Steps between two looks.")
    patience: int = Field(
        3, ge=1, description="Looks without gain before a training stops."
    )
    replay_data: Path | None = Field(
        None, description="Data folder of old images with masks, beside the replay."
    )
    replay_spacing_um: float | None = Field(
        None, gt=0, description="Its pixel size, where its files state none."
    )
    learn_classes: bool = Field(
        True, description="Whether classes are learnt; else masks alone."
    )
    class_map: dict[str, str] = Field(
        default_factory=dict,
        description="Project class: the weights' class. By default by name.",
    )
    pseudo_weight: float = Field(
        0.0,
        ge=0,
        description="Loss of pseudo-labels on unlabelled tissue over that of"
        " corrections, once the hold-out is passed; 0: none.",
    )
    least_gain: float = Field(
        0.0, ge=0, description="Hold-out Dice must rise by more than this."
    )
    worse_chance: float = Field(
        0.1, gt=0, lt=1, description="Largest chance that the gain is none."
    )
    old_domain_loss: float = Field(
        0.01, gt=0, description="Most Dice that may be lost on old images."
    )
    agreement_loss: float = Field(
        0.03,
        gt=0,
        description="The same on made-up and old-looking images, where no real old ones"
        " are known: there a better answer differs as well.",
    )
    device: str = Field("auto", description="auto, cpu, cuda:N or mps.")
    precision: Precision = Precision.AUTO
    threads: int = Field(1, ge=0, description="CPU threads; 0: as torch sees fit.")
    nice: int = Field(10, ge=0, le=19, description="How far the process steps back.")
    seed: int = 0

    @property
    def training_steps(self) -> int:
        """Steps of each training."""
        return self.steps or STEPS[self.preset]


ANY_TIME = frozenset({"minutes", "device", "precision", "threads", "nice"})


def make_settings(**values: Any) -> RoundSettings:
    """Build settings.

    Raises
    ------
    ConfigError
        If a value is unknown or out of range; names the first.
    """
    try:
        return RoundSettings(**values)
    except ValidationError as error:
        raise ConfigError(first_problem(error, whole="settings")) from error


def save_settings(settings: RoundSettings, weights: str, path: Path) -> None:
    """Write settings as YAML, without where a file or folder lies.

    Parameters
    ----------
    settings : RoundSettings
    weights : str
        A name that stands for the weights to start from.
    path : Path
        File to write.
    """
    values = settings.model_dump(mode="json")
    values |= {"weights": weights, "replay_data": None}
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def load_settings(path: Path) -> RoundSettings:
    """Read what `save_settings` wrote.

    Raises
    ------
    ConfigError
        If it cannot be read.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path.name} is not readable YAML: {error}.") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path.name} must hold `name: value` lines.")
    return make_settings(**values)
