"""What can be set for an architecture search."""

from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_segmoe.errors import ConfigError
from napari_segmoe.training.config import first_problem


class Weighting(StrEnum):
    """How the weights of mixed images are drawn.

    SOFTMAX is the paper's Eq. (3): a softmax over k values of Beta(mu, mu). DIRICHLET
    is ordinary mixup for k = 2, as the released code does it there, and its like for
    more.
    """

    SOFTMAX = "softmax"
    DIRICHLET = "dirichlet"


class SearchConfig(BaseModel):
    """Everything that decides a search and the trainings that judge it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: tuple[Path, ...] = Field(description="Data folders to mix.")
    out: Path = Field(description="Run folder to make.")
    model: str = Field(
        "mixsearch_lite", description="Preset to search for: its stem and lattice."
    )
    split: str = Field("", description="Empty: train where there is one, else all.")
    held_out_fraction: float = Field(
        0.2, gt=0, lt=1, description="Share of groups that only scores networks."
    )
    images_per_set: int = Field(0, ge=0, description="0: all.")
    input_px: int = Field(96, ge=16, description="All images are resized to it.")
    k: int = Field(2, ge=1, description="Images mixed; 1: none. Paper: 2, 3, 4.")
    mu: float = Field(0.5, gt=0, description="Of Beta(mu, mu). Paper: 0.5, 1.")
    weighting: Weighting = Weighting.SOFTMAX
    clean_share: float = Field(
        0.5, ge=0, le=1, description="Share of samples left unmixed."
    )
    layers: int = Field(7, description="Of the second stage and of the networks.")
    first_layers: int = Field(5, description="Of the first stage.")
    width: int = Field(8, ge=1, description="Channels of a node at depth 0.")
    partial_channels: int = Field(
        1, ge=1, description="Of P, a P-th of the channels is searched (PC-DARTS)."
    )
    edge_normalisation: bool = Field(False, description="Weights of edges (PC-DARTS).")
    epochs: int = Field(20, ge=1, description="Of each stage. Paper: 80.")
    steps_per_epoch: int = Field(20, ge=1)
    warmup_share: float = Field(
        0.25,
        ge=0,
        lt=1,
        description="Epochs of weights only. Code: 10 of 80; short searches need more,"
        " or what has no weights wins.",
    )
    batch_size: int = Field(8, ge=1)
    weight_rate: float = Field(
        0.1, gt=0, description="SGD; cosine. Paper: 0.025, over far more steps."
    )
    final_weight_rate: float = Field(1e-5, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(3e-4, ge=0)
    architecture_rate: float = Field(
        6e-3, gt=0, description="Adam. Paper: 2e-4, over far more steps."
    )
    architecture_decay: float = Field(1e-3, ge=0)
    clip_norm: float = Field(5.0, gt=0)
    cross_entropy_weight: float = Field(0.5, ge=0, description="Code: 0.5.")
    dice_weight: float = Field(1.0, ge=0, description="Code: 1.")
    random_genotypes: int = Field(
        3, ge=0, description="Drawn at random and trained alike, to compare."
    )
    unet: bool = Field(True, description="Whether a U-Net of that size competes too.")
    train_epochs: int = Field(20, ge=1, description="Of each network compared.")
    train_rate: float = Field(2e-3, gt=0, description="AdamW; cosine.")
    train_decay: float = Field(1e-4, ge=0)
    minutes: float | None = Field(
        None, gt=0, description="Time for all; decides epochs and train_epochs."
    )
    seed: int = Field(0, ge=0)
    threads: int = Field(0, ge=0, description="CPU threads; 0: as torch sees fit.")
    device: str = Field("auto", description="auto, cpu, cuda:N or mps.")

    @model_validator(mode="after")
    def _check_sizes(self) -> "SearchConfig":
        if not self.data:
            raise ValueError("a search needs at least one data folder")
        if not self.cross_entropy_weight + self.dice_weight:
            raise ValueError("one of cross_entropy_weight and dice_weight must be > 0")
        return self


def make_search_config(**values: Any) -> SearchConfig:
    """Build a configuration.

    Raises
    ------
    ConfigError
        If a value is unknown or out of range; names the first.
    """
    try:
        return SearchConfig(**values)
    except ValidationError as error:
        raise ConfigError(first_problem(error, whole="search")) from error


def load_search_config(path: Path) -> SearchConfig:
    """Read the configuration of a run folder.

    Raises
    ------
    ConfigError
        If the file is no YAML mapping or a value is unknown or out of range.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is not readable YAML: {error}.") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold `name: value` lines.")
    return make_search_config(**values)


def save_search_config(config: SearchConfig, path: Path) -> None:
    """Write a configuration as YAML."""
    values = config.model_dump(mode="json")
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
