"""Losses and figures for TensorBoard, where it is installed."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_WRITERS = (
    ("tensorboard", "torch.utils.tensorboard"),
    ("tensorboardX", "tensorboardX"),
)


class TensorBoardLog:
    """Writes a run's events into `tensorboard/` of its folder; else does nothing.

    Parameters
    ----------
    path : Path
        The run folder.
    first_step : int
        Steps of the run before; a resumed run hides what came after it.
    """

    def __init__(self, path: Path, *, first_step: int) -> None:
        self.step = first_step
        self._writer = _make_writer(path / "tensorboard", first_step)

    def tell(self, event: Mapping[str, Any]) -> None:
        """Write the numbers of an event."""
        kind = event["event"]
        if kind == "progress":
            self.step += 1
            self._write("step/loss", event["loss"])
        elif kind == "epoch":
            self._write("learning_rate", event["learning_rate"])
            for group in ("train", "validation", "routing"):
                self._write_group(group, event.get(group, {}))

    def close(self) -> None:
        """Write what waits."""
        if self._writer is not None:
            self._writer.close()

    def _write_group(self, name: str, values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            if isinstance(value, Mapping):
                self._write_group(f"{name}/{key}", value)
            elif isinstance(value, int | float):
                self._write(f"{name}/{key}", value)

    def _write(self, name: str, value: float) -> None:
        if self._writer is not None:
            self._writer.add_scalar(name, value, self.step)


def _make_writer(path: Path, first_step: int) -> Any:
    for package, module in _WRITERS:
        if find_spec(package) is not None:
            found = import_module(module)
            return found.SummaryWriter(str(path), purge_step=first_step)
    return None
