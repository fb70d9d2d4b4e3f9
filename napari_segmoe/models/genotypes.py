"""Genotypes: which operation stands on which edge of a cell. Loads no torch.

Liu et al. 2021, "MixSearch", section III.C and Tables I and II. The ten published
genotypes are in ``resources/genotypes``.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.genotype_trace import GenotypeTrace

NORMAL_OPS = (
    "none",
    "identity",
    "cweight",
    "dil_conv",
    "dep_conv",
    "shuffle_conv",
    "conv",
)
DOWN_OPS = (
    "avg_pool",
    "max_pool",
    "down_cweight",
    "down_dil_conv",
    "down_dep_conv",
    "down_conv",
)
UP_OPS = ("up_cweight", "up_dep_conv", "up_conv", "up_dil_conv")
# Ours: the published "shuffle_conv" never shuffles.
EXTRA_OPS = ("group_shuffle_conv",)

CELL_KINDS = ("down", "normal", "up")
CELL_NODES = 4
EDGES_PER_NODE = 2
FIRST_NODE = 2
# The input whose edges change the resolution in down and up cells.
STRIDED_INPUT = 1

Edge = tuple[str, int]
Cell = tuple[tuple[Edge, ...], ...]

_SUFFIX = ".json"


class Genotype(BaseModel):
    """The three cells of a searched network.

    A cell has the inputs 0 (same resolution) and 1 (the branch's own), and the nodes
    2 to 5; each node sums two edges ``(operation, input)``. The cell's output joins
    the four nodes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="Short name, as in resources/genotypes.")
    title: str = Field(default="", description="One line for people.")
    reference_name: str = Field(
        default="", description="Name in the authors' published list."
    )
    down: Cell
    normal: Cell
    up: Cell
    trace: GenotypeTrace | None = Field(
        default=None, description="How a search found it; the network needs it not."
    )

    @model_validator(mode="after")
    def _check_cells(self) -> "Genotype":
        for kind in CELL_KINDS:
            _check_cell(self.name, kind, self.cell(kind))
        return self

    def cell(self, kind: str) -> Cell:
        """Return the edges of the cell ``kind``: "down", "normal" or "up"."""
        cells = {"down": self.down, "normal": self.normal, "up": self.up}
        return cells[kind]

    def without_trace(self) -> "Genotype":
        """Return what a network needs of the genotype."""
        return self.model_copy(update={"trace": None})

    def to_json(self) -> str:
        """Return the genotype as JSON text, one line a cell."""
        entries = [
            f"  {json.dumps(key)}: {json.dumps(value)}"
            for key, value in self.model_dump(mode="json").items()
            if not (key == "trace" and value is None)
        ]
        return "{\n" + ",\n".join(entries) + "\n}\n"


GenotypeChoice = str | Path | Mapping[str, Any] | Genotype


def allowed_ops(kind: str, source: int) -> tuple[str, ...]:
    """Return the operations that may read input ``source`` in a cell of a kind.

    Table II of the paper; ``none`` competes in the search only.
    """
    if source == STRIDED_INPUT and kind == "down":
        return DOWN_OPS
    if source == STRIDED_INPUT and kind == "up":
        return UP_OPS
    return (*NORMAL_OPS[1:], *EXTRA_OPS)


def parse_genotype(content: str | Mapping[str, Any]) -> Genotype:
    """Return the genotype of JSON text, or of a mapping read from it.

    Raises
    ------
    ModelOptionError
        If it is no JSON, lacks a cell, or a cell has an unknown operation, a cycle or
        a wrong number of edges.
    """
    try:
        if isinstance(content, str):
            return Genotype.model_validate_json(content)
        return Genotype.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "its text"
        raise ModelOptionError(
            f"The genotype is not valid at {place}: {first['msg']}. Expected JSON with"
            " name, down, normal and up; compare resources/genotypes."
        ) from error


def list_genotypes() -> tuple[str, ...]:
    """Return the names of the published genotypes, sorted."""
    return tuple(sorted(path.stem for path in _folder().glob(f"*{_SUFFIX}")))


def load_genotype(name_or_path: str | Path) -> Genotype:
    """Return a published genotype, or the one of a JSON file.

    Raises
    ------
    ModelOptionError
        If there is neither, or the file holds no valid genotype.
    """
    known = list_genotypes()
    if str(name_or_path) in known:
        path = _folder() / f"{name_or_path}{_SUFFIX}"
    else:
        path = Path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ModelOptionError(
            f"No genotype {str(name_or_path)!r}. Give a {_SUFFIX} file or one of:"
            f" {', '.join(known)}."
        ) from error
    return parse_genotype(text)


def choose_genotype(choice: GenotypeChoice) -> Genotype:
    """Return a genotype given by name, file, JSON object or as itself.

    Raises
    ------
    ModelOptionError
        If there is no such genotype, or it is not valid.
    """
    if isinstance(choice, Genotype):
        return choice
    if isinstance(choice, Mapping):
        return parse_genotype(choice)
    return load_genotype(choice)


def _folder() -> Path:
    return Path(str(files("napari_segmoe") / "resources" / "genotypes"))


def _check_cell(name: str, kind: str, cell: Cell) -> None:
    if len(cell) != CELL_NODES:
        raise ModelOptionError(
            f"The {kind} cell of genotype {name!r} has {len(cell)} nodes; expected"
            f" {CELL_NODES}."
        )
    for node, edges in enumerate(cell, start=FIRST_NODE):
        place = f"Node {node} of the {kind} cell of genotype {name!r}"
        if len(edges) != EDGES_PER_NODE:
            raise ModelOptionError(
                f"{place} has {len(edges)} edges; expected {EDGES_PER_NODE}."
            )
        for edge in edges:
            _check_edge(place, kind, node, edge)
        if len({source for _, source in edges}) != EDGES_PER_NODE:
            raise ModelOptionError(
                f"{place} reads input {edges[0][1]} twice; expected two inputs."
            )


def _check_edge(place: str, kind: str, node: int, edge: Edge) -> None:
    op, source = edge
    if not 0 <= source < node:
        raise ModelOptionError(
            f"{place} reads node {source}, which makes a cycle; expected one of 0 to"
            f" {node - 1}."
        )
    allowed = allowed_ops(kind, source)
    if op not in allowed:
        raise ModelOptionError(
            f"{place} has the operation {op!r} on input {source}; expected one of"
            f" {', '.join(allowed)}."
        )
