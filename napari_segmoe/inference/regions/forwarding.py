"""Run tiles through a network in batches that fit into memory."""

import copy
import logging
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_segmoe.errors import DeviceError
from napari_segmoe.inference.network import TileAnswers, WindowNetwork

logger = logging.getLogger(__name__)

_SMALLER = "Memory ran short, so fewer windows were computed at a time."
_ON_CPU = "Memory ran out on {}, so the CPU finished; it may be slower."
_CPU_BATCH, _GPU_BATCH = 1, 16


class TileForward:
    """Answers tiles, with smaller batches and then on the CPU where memory runs out.

    Parameters
    ----------
    network : WindowNetwork
    batch_size : int, optional
        Tiles at a time; by default what suits the device.

    Attributes
    ----------
    notes : list of str
        What was changed, for the user.
    """

    def __init__(self, network: WindowNetwork, batch_size: int | None = None) -> None:
        usual = _CPU_BATCH if network.device.type == "cpu" else _GPU_BATCH
        self.network = network
        self.batch_size = batch_size or usual
        self.notes: list[str] = []

    def answer(
        self, tiles: list[NDArray[np.uint8]]
    ) -> Iterator[tuple[slice, TileAnswers]]:
        """Give the answers, and which of the tiles they are about, in order.

        Raises
        ------
        DeviceError
            If memory does not suffice for one tile on the CPU.
        """
        start = 0
        while start < len(tiles):
            place = slice(start, min(start + self.batch_size, len(tiles)))
            try:
                answers = self.network.answer_tiles(np.stack(tiles[place]))
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
                self._use_less(error)
                continue
            yield place, answers
            start = place.stop

    def _use_less(self, error: RuntimeError | MemoryError) -> None:
        logger.warning("Memory ran out with %d tiles: %s", self.batch_size, error)
        if self.batch_size > 1:
            self.batch_size //= 2
            self._note(_SMALLER)
        elif self.network.device.type != "cpu":
            self._note(_ON_CPU.format(self.network.device))
            self.network = on_cpu(self.network)
        else:
            raise DeviceError(
                "Memory ran out for a single window. Close other programs and try"
                " again."
            ) from error
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)


def on_cpu(network: WindowNetwork) -> WindowNetwork:
    """Return a copy of a network on the CPU; the network itself is not touched."""
    values = (*network.model.parameters(), *network.model.buffers())
    moved = {id(value): _to_cpu(value) for value in values}  # instead of a deep copy
    model = copy.deepcopy(network.model, moved)
    return WindowNetwork(model, network.card, torch.device("cpu"))


def _to_cpu(value: Tensor) -> Tensor:
    copied = value.detach().to("cpu", copy=True)
    if isinstance(value, nn.Parameter):
        return nn.Parameter(copied, requires_grad=False)
    return copied


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return (
        isinstance(error, MemoryError | torch.OutOfMemoryError)
        or "out of memory" in text
        or "not enough memory" in text
    )
