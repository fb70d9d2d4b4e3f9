"""One step of a run: its parts, their gradients, and what can go wrong."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from napari_segmoe.errors import TrainingError
from napari_segmoe.training.average import WeightAverage
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.distribution import seeded, sum_over_processes
from napari_segmoe.training.draws import Numbered, Part, StepDraws
from napari_segmoe.training.memory import is_out_of_memory, release_memory
from napari_segmoe.training.recipes.recipe import Recipe
from napari_segmoe.training.running_statistics import RunningStatistics

_FEWEST = 2  # BatchNorm of one sample without extent has no variance
_NAMED = 8

Losses = dict[str, float]


class Stepper:
    """Takes steps of one stage.

    Parameters
    ----------
    config : TrainingConfig
    recipe : Recipe
        Makes batches.
    fabric : Fabric
    model : nn.Module
        The network.
    step : nn.Module
        Its losses, as the recipe made them.
    optimizers : sequence of Optimizer
        The first one's gradients are clipped.
    average : WeightAverage
        Follows the network.
    """

    def __init__(
        self,
        config: TrainingConfig,
        recipe: Recipe,
        fabric: Fabric,
        *,
        model: nn.Module,
        step: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        average: WeightAverage,
    ) -> None:
        self.config, self.recipe, self.fabric = config, recipe, fabric
        self.model, self.average = model, average
        self.pieces = config.accumulate
        self.step_module, *wrapped = fabric.setup(step, *optimizers)
        self.optimizers: list[Any] = wrapped

    def take(
        self,
        drawn: Sequence[Numbered],
        names: Sequence[str],
        *,
        epoch: int,
        number: int,
    ) -> Losses:
        """Take one step and return its losses, over all processes.

        Where memory runs out the samples go through the network in more pieces, and
        ``pieces`` says so afterwards; the step is the same but for what BatchNorm
        sees at once.

        Parameters
        ----------
        drawn : sequence of (int, Sample)
            This process's samples with their indices.
        names : sequence of str
            Their images.
        epoch, number : int
            Which step.

        Raises
        ------
        TrainingError
            If the loss or its gradient is not finite, or memory does not suffice for
            two samples. The network is as it was before the step.
        """
        self.step_module.train()
        while True:
            statistics = RunningStatistics(self.model, self.fabric)
            try:
                found = self._gather(drawn, names, statistics, epoch, number)
            except (RuntimeError, MemoryError) as error:
                statistics.undo()
                self._zero()
                if not is_out_of_memory(error):
                    raise
            else:
                break
            # outside the handler: its traceback holds the tensors of the failed piece
            release_memory(self.fabric.device)
            self._take_more_pieces(len(drawn))
        self._update()
        return found

    def _gather(
        self,
        drawn: Sequence[Numbered],
        names: Sequence[str],
        statistics: RunningStatistics,
        epoch: int,
        number: int,
    ) -> Losses:
        """Return the losses and leave their gradients."""
        self._zero()
        sums: dict[str, Tensor] = {}
        blamed: list[str] = []
        parts = [
            Part(self.fabric.global_rank, self.fabric.world_size, piece, self.pieces)
            for piece in range(self.pieces)
        ]
        is_split = self.fabric.world_size * self.pieces > 1
        for part in parts:
            draws = StepDraws(
                self.config, drawn, self.model, self.fabric, epoch, number, part
            )
            share = len(part.piece_of(drawn)) / self.config.batch_size
            with seeded(self.config.seed, epoch, number, part.number):
                losses = self._learn(draws, share, last=part is parts[-1])
            for name, value in losses.items():
                sums[name] = sums.get(name, 0) + share * value
            if not bool(torch.isfinite(losses["loss"])):
                blamed += part.piece_of(names)
            if is_split:
                statistics.take(share)
        if is_split:
            statistics.finish()
        found = self._joined(sums)
        self._check(found["loss"], blamed, statistics, epoch, number)
        return found

    def _learn(
        self, draws: StepDraws, share: float, *, last: bool
    ) -> dict[str, Tensor]:
        batch = self.recipe.make_batch(draws).to(self.fabric.device)
        self.step_module.train()  # making a batch may have asked the network
        with self.fabric.no_backward_sync(self.step_module, enabled=not last):
            losses: dict[str, Tensor] = self.step_module(batch)
            # DDP takes the mean over processes of what is a share of one sum
            self.fabric.backward(losses["loss"] * share * self.fabric.world_size)
        return {name: value.detach().float() for name, value in losses.items()}

    def _joined(self, sums: dict[str, Tensor]) -> Losses:
        values = torch.stack([value.reshape(()) for value in sums.values()])
        values = sum_over_processes(values, self.fabric)
        return dict(zip(sums, values.tolist(), strict=True))

    def _check(
        self,
        loss: float,
        blamed: list[str],
        statistics: RunningStatistics,
        epoch: int,
        number: int,
    ) -> None:
        """Refuse losses and gradients that are not finite; all processes agree."""
        norm = self.fabric.clip_gradients(
            self.step_module,
            self.optimizers[0],
            max_norm=self.config.clip_norm,
            error_if_nonfinite=False,
        )
        scaled = getattr(self.fabric.strategy.precision, "scaler", None) is not None
        finite = scaled or norm is None or bool(torch.isfinite(norm))
        if finite and loss - loss == 0:
            return
        statistics.undo()
        self._zero()
        what = "gradient" if loss - loss == 0 else "loss"
        if self.fabric.world_size > 1:
            gathered: list[list[str]] = [[] for _ in range(self.fabric.world_size)]
            torch.distributed.all_gather_object(gathered, blamed)
            blamed = [name for names in gathered for name in names]
        raise TrainingError(
            f"The {what} is not finite in epoch {epoch}, batch {number}"
            f"{_listed(blamed)}. Look at these images, or lower the learning rate; the"
            " last finished epoch is kept and can be resumed."
        )

    def _update(self) -> None:
        for optimizer in self.optimizers:
            optimizer.step()
        self.average.update(self.model)
        self.recipe.after_step(self.model, self.average.average)

    def _zero(self) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def _take_more_pieces(self, count: int) -> None:
        largest = -(-count // self.pieces)
        if self.fabric.world_size > 1:
            raise TrainingError(
                f"The device ran out of memory with {largest} images at a time. Resume"
                f" with accumulate={2 * self.pieces}: the same steps in more pieces."
            )
        if count < _FEWEST * 2 * self.pieces:
            raise TrainingError(
                f"The device ran out of memory with {largest} images at a time. Lower"
                " input_px, take a smaller network, or another device."
            )
        self.pieces *= 2


def _listed(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f" ({', '.join(names[:_NAMED])}{more})"


@contextmanager
def say_what_is_inexact(config: TrainingConfig) -> Iterator[None]:
    """Turn torch's refusal of an operation in deterministic mode into a sentence.

    Raises
    ------
    TrainingError
        Instead of the refusal.
    """
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error) or not config.deterministic:
            raise
        operation = str(error).partition(" ")[0]
        raise TrainingError(
            f"deterministic: {operation} gives no repeatable answer on this device."
            " Train on the CPU, or without deterministic."
        ) from error
