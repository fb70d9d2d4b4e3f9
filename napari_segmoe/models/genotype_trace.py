"""How a genotype was found: ranked operations, entropies, branch weights."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class RankedEdge(BaseModel):
    """One edge of a searched cell and what competed on it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: int = Field(description="Input 0, 1 or an earlier node.")
    node: int
    operations: tuple[tuple[str, float], ...] = Field(
        description="Operations with their softmax weights, weightiest first."
    )
    score: float = Field(
        description="What the edge is ranked by: weight of its best connecting"
        " operation, scaled where tables differ in size."
    )
    kept: bool = Field(description="Whether the edge is in the genotype.")


class GenotypeTrace(BaseModel):
    """Everything that decided a genotype."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    down: tuple[RankedEdge, ...]
    normal: tuple[RankedEdge, ...]
    up: tuple[RankedEdge, ...]
    betas: dict[str, dict[str, float]] = Field(
        default_factory=dict,
        description="Weights of the branches of each map, by layer_depth.",
    )
    entropies: tuple[dict[str, float], ...] = Field(
        default=(),
        description="Of each epoch: mean entropy of each table, 1 is undecided.",
    )
    search: dict[str, Any] = Field(
        default_factory=dict, description="Settings, data and seed of the search."
    )
