"""The folder of one run: configuration, events, weights, state, metrics."""

import json
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from napari_segmoe.errors import RunFolderError
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.weights import save_weights
from napari_segmoe.training.config import TrainingConfig, load_config, save_config

_ANY_TIME = {
    "out",
    "epochs",
    "threads",
    "device",
    "devices",
    "precision",
    "patience",
    "domain_guard",
    "accumulate",
    "workers",
    "deterministic",
}


_EVENTS = "events.jsonl"
_ENDINGS = ("failed", "done", "stopped")


class RunFolder:
    """`config.yaml events.jsonl last/best.safetensors state.pt metrics.json`.

    Parameters
    ----------
    path : Path
        The folder; exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, config: TrainingConfig) -> "RunFolder":
        """Make a new folder.

        Raises
        ------
        RunFolderError
            If it holds a run already or cannot be made.
        """
        path = Path(config.out)
        if (path / "config.yaml").exists():
            raise RunFolderError(
                f"{path} holds a run already. Resume it with --resume, or choose"
                " another folder."
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
            partial = path / ".config.partial"
            save_config(config, partial)
            partial.replace(path / "config.yaml")
        except OSError as error:
            raise RunFolderError(
                f"The run folder {path} cannot be made: {error.strerror}."
            ) from error
        return cls(path)

    @classmethod
    def resume(cls, config: TrainingConfig) -> "RunFolder":
        """Open the folder of a run that stopped, perhaps before its first epoch ended.

        Raises
        ------
        RunFolderError
            If there is no run, or the configuration has changed.
        """
        path = Path(config.out)
        if not (path / "config.yaml").is_file():
            raise RunFolderError(
                f"{path} holds no run to resume. Start without --resume."
            )
        was, wanted = (
            load_config(path / "config.yaml").model_dump(),
            config.model_dump(),
        )
        changed = sorted(
            name for name in was if name not in _ANY_TIME and was[name] != wanted[name]
        )
        if changed:
            raise RunFolderError(
                f"{path} was started with other values of {', '.join(changed)}. Use"
                " the same, or another folder."
            )
        return cls(path)

    def log(self, event: dict[str, Any]) -> None:
        """Append an event to events.jsonl."""
        with (self.path / _EVENTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")

    def read_events(self) -> list[dict[str, Any]]:
        """Return the events so far; a line that was being written is left out."""
        path = self.path / _EVENTS
        if not path.is_file():
            return []
        text = path.read_text(encoding="utf-8", errors="replace")
        lines = text[: text.rfind("\n") + 1].splitlines()
        return [json.loads(line) for line in lines]

    def forget_events(self, epoch: int) -> None:
        """Drop what was told of unfinished epochs, and files that were half written.

        Parameters
        ----------
        epoch : int
            The epoch that a run goes on with: it will tell of that one again.
        """
        events = self.read_events()
        kept = [event for event in events if not _is_of_epoch(event, epoch)]
        if (self.path / _EVENTS).exists():
            partial = self.path / ".events.partial"
            text = "".join(json.dumps(event) + "\n" for event in kept)
            partial.write_text(text, encoding="utf-8")
            partial.replace(self.path / _EVENTS)
        for path in self.path.glob(".*.partial"):
            path.unlink()

    def save_weights(self, kind: str, model: nn.Module, card: WeightsCard) -> None:
        """Write KIND.safetensors, atomically.

        Raises
        ------
        RunFolderError
            If it cannot be written.
        """
        try:
            save_weights(self.path / f"{kind}.safetensors", model, card)
        except (OSError, SafetensorError) as error:
            raise RunFolderError(
                f"The weights cannot be written to {self.path}: {error}. Free space,"
                " then resume."
            ) from error

    def save_state(self, state: dict[str, Any]) -> None:
        """Write everything that resuming needs, atomically."""
        partial = self.path / ".state.partial"
        try:
            torch.save(state, partial)
            partial.replace(self.path / "state.pt")
        except (OSError, RuntimeError) as error:
            partial.unlink(missing_ok=True)
            raise RunFolderError(
                f"The state of the run cannot be written to {self.path}: {error}."
                " Free space, then resume."
            ) from error

    def load_state(self) -> dict[str, Any] | None:
        """Read what `save_state` wrote; None before the first epoch's end.

        Raises
        ------
        RunFolderError
            If the file is damaged.
        """
        if not (self.path / "state.pt").is_file():
            return None
        try:
            return torch.load(
                self.path / "state.pt", weights_only=True, map_location="cpu"
            )
        except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
            raise RunFolderError(
                f"The state in {self.path} is damaged: {error}. Train anew, from"
                " last.safetensors with start_from."
            ) from error

    def save_metrics(self, metrics: dict[str, Any]) -> None:
        """Write metrics.json, atomically."""
        partial = self.path / ".metrics.partial"
        partial.write_text(json.dumps(metrics, indent=1), encoding="utf-8")
        partial.replace(self.path / "metrics.json")


def _is_of_epoch(event: dict[str, Any], epoch: int) -> bool:
    """Return whether an event tells of this epoch or of later ones."""
    kind = event.get("event")
    if kind == "start":
        return False
    if kind == "stage":  # told after that many epochs: it will be told again
        return event["epoch"] >= epoch
    return kind in _ENDINGS or event.get("epoch", 0) >= epoch
