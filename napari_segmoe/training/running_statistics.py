"""Running statistics of a step that is made of several parts."""

from collections.abc import Sequence

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from napari_segmoe.training.distribution import sum_over_processes


class RunningStatistics:
    """Move running means once a step, not once a part.

    Each part begins with the statistics of the step's begin, and the step ends with
    the mean of what the parts made of them. So they depend neither on the order of
    parts nor on which process took them, and move as fast as without parts. Counters
    of batches count the step once.

    Parameters
    ----------
    model : nn.Module
        Buffers called ``running_...`` of its modules in training mode are followed,
        as those of BatchNorm, and the whole numbers beside them; frozen layers do not
        move.
    fabric : Fabric
        Joins the processes.
    """

    def __init__(self, model: nn.Module, fabric: Fabric) -> None:
        self.fabric = fabric
        self.buffers, self.counters = _moving_buffers(model)
        self.begin = [buffer.clone() for buffer in self.buffers]
        self.sums = [torch.zeros_like(buffer) for buffer in self.buffers]
        self.counts = [int(counter) for counter in self.counters]
        self.counted = list(self.counts)

    @torch.no_grad()
    def take(self, share: float) -> None:
        """Add what a part made of the statistics, and go back to the step's begin.

        Parameters
        ----------
        share : float
            The part's samples over those of the whole step.
        """
        for buffer, begin, total in self._each():
            total.add_(buffer, alpha=share)
            buffer.copy_(begin)
        self.counted = [int(counter) for counter in self.counters]
        self._count(self.counts)

    @torch.no_grad()
    def finish(self) -> None:
        """Set the mean over all parts of all processes."""
        self._count(self.counted)
        if not self.buffers:
            return
        flat = torch.cat([total.flatten() for total in self.sums])
        flat = sum_over_processes(flat, self.fabric)
        pieces = torch.split(flat, [total.numel() for total in self.sums])
        for buffer, piece in zip(self.buffers, pieces, strict=True):
            buffer.copy_(piece.view_as(buffer))

    @torch.no_grad()
    def undo(self) -> None:
        """Go back to the step's begin."""
        for buffer, begin, _ in self._each():
            buffer.copy_(begin)
        self._count(self.counts)

    def _each(self) -> Sequence[tuple[Tensor, Tensor, Tensor]]:
        return list(zip(self.buffers, self.begin, self.sums, strict=True))

    def _count(self, numbers: Sequence[int]) -> None:
        for counter, number in zip(self.counters, numbers, strict=True):
            counter.fill_(number)


def _moving_buffers(model: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    moving, counters = [], []
    for module in model.modules():
        if not module.training:
            continue
        own = dict(module.named_buffers(recurse=False))
        running = [own[name] for name in own if name.startswith("running_")]
        moving += running
        if running:
            counters += [one for one in own.values() if not one.is_floating_point()]
    return moving, counters
