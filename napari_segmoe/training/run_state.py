"""What a run knows, and how it is kept for resuming."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(slots=True)
class Progress:
    """What a run knows besides its tensors.

    Attributes
    ----------
    stage : int
        Which of the recipe's stages.
    epoch, stage_epoch : int
        Finished epochs of the run and of the stage.
    best_score, best_epoch, best_figures : float, int, dict
        The best validation of the stage.
    stale : int
        Validations since.
    pieces : int
        In how many pieces a process takes its share of a step; 0: as configured. More
        after memory ran out.
    """

    stage: int = 0
    epoch: int = 0
    stage_epoch: int = 0
    best_score: float = -math.inf
    best_epoch: int = -1
    stale: int = 0
    pieces: int = 0
    best_figures: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers by name."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Progress":
        """Read what `as_dict` returned; numbers of older versions may be missing."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})
