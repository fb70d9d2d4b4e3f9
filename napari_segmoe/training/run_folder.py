"""The folder of one run: configuration, events, weights, state, metrics."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from napari_segmoe.errors import RunFolderError
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.weights import save_weights
from napari_segmoe.training.config import TrainingConfig, load_config, save_config

_ANY_TIME = {"out", "epochs", "threads", "device", "devices", "precision", "patience"}


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
            save_config(config, path / "config.yaml")
        except OSError as error:
            raise RunFolderError(
                f"The run folder {path} cannot be made: {error.strerror}."
            ) from error
        return cls(path)

    @classmethod
    def resume(cls, config: TrainingConfig) -> "RunFolder":
        """Open the folder of a run that stopped.

        Raises
        ------
        RunFolderError
            If there is no finished epoch, or the configuration has changed.
        """
        path = Path(config.out)
        if not (path / "state.pt").is_file():
            raise RunFolderError(
                f"{path} has no finished epoch to resume. Start without --resume."
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
        with (self.path / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")

    def save_weights(self, kind: str, model: nn.Module, card: WeightsCard) -> None:
        """Write KIND.safetensors."""
        save_weights(self.path / f"{kind}.safetensors", model, card)

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

    def load_state(self) -> dict[str, Any]:
        """Read what `save_state` wrote.

        Raises
        ------
        RunFolderError
            If the file is damaged.
        """
        try:
            return torch.load(
                self.path / "state.pt", weights_only=True, map_location="cpu"
            )
        except (OSError, RuntimeError, EOFError) as error:
            raise RunFolderError(
                f"The state in {self.path} is damaged: {error}."
            ) from error

    def save_metrics(self, metrics: dict[str, Any]) -> None:
        """Write metrics.json, atomically."""
        partial = self.path / ".metrics.partial"
        partial.write_text(json.dumps(metrics, indent=1), encoding="utf-8")
        partial.replace(self.path / "metrics.json")
