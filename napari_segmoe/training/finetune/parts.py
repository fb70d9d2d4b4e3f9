"""The trainings of a round, and the best that one of them saw."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from napari_segmoe.project.hold_out import HoldOutMode
from napari_segmoe.training.finetune.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Part:
    """One training: which fold it leaves out, and whether it may be published."""

    number: int
    held: int | None
    is_final: bool


def parts_of(snapshot: Snapshot) -> tuple[Part, ...]:
    """Return the trainings: one, or one for each fold and one on all."""
    if snapshot.mode is HoldOutMode.QUARANTINE:
        return (Part(0, 0, True),)
    folds = snapshot.folds
    parts = [Part(number, fold, False) for number, fold in enumerate(folds)]
    return (*parts, Part(len(folds), None, True))


class Best:
    """The best of a training's looks at the hold-out."""

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._score = -1.0
        self._state: dict[str, torch.Tensor] | None = None
        self._since = 0

    @property
    def is_stale(self) -> bool:
        """Whether so many looks brought no gain that training ends."""
        return self._since >= self._patience

    def state_dict(self) -> dict[str, Any]:
        """Return what resuming needs."""
        return {"score": self._score, "since": self._since, "state": self._state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict` returned."""
        self._score, self._since = state["score"], state["since"]
        self._state = state["state"]

    def take(self, score: float, model: nn.Module) -> bool:
        """Keep a network that is better than all before."""
        if score <= self._score:
            self._since += 1
            return False
        self._score, self._since = score, 0
        self._state = {
            name: value.detach().clone() for name, value in model.state_dict().items()
        }
        return True

    def restore(self, model: nn.Module) -> None:
        """Give a network the best tensors; without a look it stays as it is."""
        if self._state is not None:
            model.load_state_dict(self._state)
