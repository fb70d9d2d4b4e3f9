"""One training run: stages, epochs, validation, checkpoints, resume."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from napari_segmoe.errors import TrainingError
from napari_segmoe.training.average import WeightAverage
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.distribution import make_fabric, seeded
from napari_segmoe.training.draws import StepDraws
from napari_segmoe.training.recipes import recipe_for
from napari_segmoe.training.recipes.recipe import Recipe, Stage
from napari_segmoe.training.run_data import RunData, load_run_data
from napari_segmoe.training.run_folder import RunFolder
from napari_segmoe.training.spaced_validation import validate_spaced
from napari_segmoe.training.validation import validate

Event = dict[str, Any]


@dataclass(slots=True)
class _Progress:
    """What a run knows besides its tensors."""

    stage: int = 0
    epoch: int = 0  # of the run
    stage_epoch: int = 0
    best_score: float = -math.inf
    best_epoch: int = -1
    stale: int = 0


def fit(config: TrainingConfig, *, resume: bool = False) -> Iterator[Event]:
    """Train and yield events: start, stage, progress, epoch, done.

    Augmentation and order are functions of (seed, epoch, index), so a resumed run
    continues the same curve from its last finished epoch.

    Raises
    ------
    RunFolderError
        If the folder holds another run, or nothing to resume.
    TrainingError
        If the loss is not finite.
    """
    folder = RunFolder.resume(config) if resume else RunFolder.create(config)
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)  # denormal activations halve the speed on CPUs
    fabric = make_fabric(config)
    data = load_run_data(config)
    run = _Run(config, folder, fabric, data)
    if resume:
        run.restore()
    try:
        for event in run.events():
            if fabric.is_global_zero:
                folder.log(event)
            yield event
    except OSError as error:
        raise TrainingError(
            f"The run folder {config.out} cannot be written: {error.strerror}."
            " Free space or choose another folder, then resume."
        ) from error


class _Run:
    """The state of one training run."""

    def __init__(
        self, config: TrainingConfig, folder: RunFolder, fabric: Fabric, data: RunData
    ) -> None:
        self.config, self.folder, self.fabric, self.data = config, folder, fabric, data
        self.recipe: Recipe = recipe_for(config, data)
        self.stages = self.recipe.stages()
        self.progress = _Progress()
        self.steps_per_epoch = max(
            len(data.train)
            * config.samples_per_image
            // (config.batch_size * fabric.world_size),
            1,
        )
        self._begin_stage(None)

    @property
    def stage(self) -> Stage:
        """The stage that is being trained."""
        return self.stages[self.progress.stage]

    def _begin_stage(self, previous: nn.Module | None) -> None:
        """Make network, average and optimisers of the stage."""
        stage = self.stage
        with seeded(self.config.seed + self.progress.stage):
            model = self.recipe.make_model(stage, previous)
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = WeightAverage(self.model, decay=self.config.ema_decay)
        self.average.average.to(self.fabric.device)
        step = self.recipe.make_step(self.model)
        self.optimizers = self.recipe.make_optimizers(self.model, step, stage)
        self.step_module, *wrapped = self.fabric.setup(step, *self.optimizers)
        self.wrapped_optimizers = wrapped

    def restore(self) -> None:
        """Continue from the state of the last finished epoch."""
        state = self.folder.load_state()
        self.progress = _Progress(**state["progress"])
        if self.progress.stage:
            self._begin_stage(None)
        self.model.load_state_dict(state["model"])
        self.average.average.load_state_dict(state["average"])
        self.average.steps = state["average_steps"]
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        self.recipe.load_state_dict(state["recipe"])

    def events(self) -> Iterator[Event]:
        """Yield the events of all remaining epochs."""
        yield {
            "event": "start",
            "epoch": self.progress.epoch,
            "epochs": sum(stage.epochs for stage in self.stages),
            "stages": [stage.name for stage in self.stages],
            "train_images": len(self.data.train),
            "validation_images": len(self.data.validation),
            "parameters": sum(value.numel() for value in self.model.parameters()),
            "device": str(self.fabric.device),
            "notes": list(self.data.notes),
        }
        while not self._is_done():
            if self._stage_ended():
                yield self._next_stage()
            yield from self._epoch()
        yield self._done()

    def _stage_ended(self) -> bool:
        return self.progress.stage_epoch >= self.stage.epochs or self._is_stale()

    def _is_last_stage(self) -> bool:
        return self.progress.stage + 1 == len(self.stages)

    def _is_done(self) -> bool:
        return self._is_last_stage() and self._stage_ended()

    def _is_stale(self) -> bool:
        return self.progress.stale >= self.config.patience

    def _next_stage(self) -> Event:
        self._write_weights(self.stage.name, {})
        stage, epoch = self.progress.stage + 1, self.progress.epoch
        self.progress = _Progress(stage=stage, epoch=epoch)
        self._begin_stage(self.average.average.to("cpu"))
        return {"event": "stage", "epoch": epoch, "stage": self.stage.name}

    def _epoch(self) -> Iterator[Event]:
        epoch = self.progress.epoch
        sums: dict[str, float] = {}
        with seeded(self.config.seed * 1000 + epoch):
            for number in range(self.steps_per_epoch):
                losses = self._step(epoch, number)
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0.0) + value / self.steps_per_epoch
                yield {
                    "event": "progress",
                    "epoch": epoch,
                    "step": number + 1,
                    "steps": self.steps_per_epoch,
                    "loss": losses["loss"],
                }
        self.progress.epoch = epoch + 1
        self.progress.stage_epoch += 1
        event: Event = {
            "event": "epoch",
            "epoch": epoch,
            "stage": self.stage.name,
            "train": sums,
            "learning_rate": self.optimizers[0].param_groups[-1]["lr"],
        }
        event |= self.recipe.epoch_figures()
        if self._validates():
            event |= self._validate()
        self._save()
        yield event

    def _validates(self) -> bool:
        done = self.progress.stage_epoch
        return done % self.config.validate_every == 0 or done == self.stage.epochs

    def _validate(self) -> Event:
        look = validate if self.config.spacing_um is None else validate_spaced
        figures = look(
            self.average.average,
            self.data.validation,
            config=self.config,
            fabric=self.fabric,
        )
        better = figures["score"] > self.progress.best_score
        if better:
            self.progress.best_score = figures["score"]
            self.progress.best_epoch = self.progress.epoch - 1
            self.progress.stale = 0
            if self._is_last_stage():
                self._write_weights("best", figures)
        else:
            self.progress.stale += 1
        return {"validation": figures, "is_best": better}

    def _save(self) -> None:
        if not self.fabric.is_global_zero:
            return
        self._write_weights("last", {})
        self.folder.save_state(
            {
                "model": self.model.state_dict(),
                "average": self.average.average.state_dict(),
                "average_steps": self.average.steps,
                "optimizers": [one.state_dict() for one in self.optimizers],
                "recipe": self.recipe.state_dict(),
                "progress": {
                    name: getattr(self.progress, name) for name in _Progress.__slots__
                },
            }
        )

    def _write_weights(self, kind: str, figures: dict[str, float]) -> None:
        if self.fabric.is_global_zero:
            options = self.recipe.model_options(self.stage)
            card = self.data.card(self.config, options, validation=figures)
            self.folder.save_weights(kind, self.average.average, card)

    def _done(self) -> Event:
        event = {
            "event": "done",
            "epoch": self.progress.epoch,
            "best_epoch": self.progress.best_epoch,
            "best_score": self.progress.best_score,
            "stopped_early": self._is_stale(),
        }
        if self.fabric.is_global_zero:
            self.folder.save_metrics(event)
        return event

    def _step(self, epoch: int, number: int) -> dict[str, float]:
        rng = np.random.default_rng(
            [self.config.seed, epoch, number, self.fabric.global_rank, 1]
        )
        draws = StepDraws(
            self.config, self.data.train, self.model, self.fabric, epoch, number, rng
        )
        batch = self.recipe.make_batch(draws).to(self.fabric.device)
        self._set_rate(self.progress.stage_epoch * self.steps_per_epoch + number)
        self.step_module.train()
        losses: dict[str, Tensor] = self.step_module(batch)
        if not bool(torch.isfinite(losses["loss"])):
            raise TrainingError(
                f"The loss is not finite in epoch {epoch}, batch {number}. Lower the"
                " learning rate; the last finished epoch is kept and can be resumed."
            )
        for optimizer in self.wrapped_optimizers:
            optimizer.zero_grad()
        self.fabric.backward(losses["loss"])
        self.fabric.clip_gradients(
            self.step_module,
            self.wrapped_optimizers[0],
            max_norm=self.config.clip_norm,
        )
        for optimizer in self.wrapped_optimizers:
            optimizer.step()
        self.average.update(self.model)
        self.recipe.after_step(self.model, self.average.average)
        return {name: float(value.detach()) for name, value in losses.items()}

    def _set_rate(self, step: int) -> None:
        config = self.config
        total = self.stage.epochs * self.steps_per_epoch
        share = min((step + 1) / max(config.warmup_steps, 1), 1.0)
        cosine = 0.5 * (1 + math.cos(math.pi * min(step / total, 1.0)))
        floor = config.final_rate_fraction
        for group in self.optimizers[0].param_groups:
            if "base_rate" in group:
                rate = group["base_rate"] * share
                group["lr"] = rate * (floor + (1 - floor) * cosine)
