"""Where a run's events go: events.jsonl, TensorBoard and the report."""

from contextlib import suppress
from typing import Any

from lightning_fabric import Fabric
from torch import nn

from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.report import RunReport
from napari_segmoe.training.run_data import RunData
from napari_segmoe.training.run_folder import RunFolder
from napari_segmoe.training.tensorboard import TensorBoardLog

Event = dict[str, Any]


class RunLog:
    """Writes events down; of several processes the first one's does, others' not.

    Parameters
    ----------
    folder : RunFolder
    config : TrainingConfig
    data : RunData
    is_first : bool
        Whether this is the first process.
    epoch, steps : int
        Finished epochs and steps: what was told of later ones is dropped.
    """

    def __init__(
        self,
        folder: RunFolder,
        config: TrainingConfig,
        data: RunData,
        *,
        is_first: bool,
        epoch: int,
        steps: int,
    ) -> None:
        self.folder, self.is_first = folder, is_first
        self._events: list[Event] = []
        if is_first:
            folder.forget_events(epoch)
            self._events = [one for one in folder.read_events() if _is_kept(one)]
            self._report = RunReport(folder.path, config, data)
            self._board = TensorBoardLog(folder.path, first_step=steps)

    def tell(self, event: Event) -> Event:
        """Write an event down and return it."""
        if self.is_first:
            self.folder.log(event)
            self._board.tell(event)
            if _is_kept(event):
                self._events.append(event)
        return event

    def fail(self, reason: str) -> None:
        """Write down why a run ends, as far as the disk allows."""
        with suppress(OSError):
            self.tell({"event": "failed", "reason": reason})
            self.report()

    def report(self) -> None:
        """Write the report anew."""
        if self.is_first:
            self._report.write(self._events)

    def show_answers(self, model: nn.Module, fabric: Fabric, *, epoch: int) -> None:
        """Draw the network's answers for the report."""
        if self.is_first:
            self._report.show_answers(model, fabric, epoch=epoch)

    def close(self) -> None:
        """Write what waits."""
        if self.is_first:
            self._board.close()


def _is_kept(event: Event) -> bool:
    return event.get("event") != "progress"
