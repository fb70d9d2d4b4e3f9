"""One training run: stages, epochs, validation, checkpoints, resume."""

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from napari_segmoe.errors import SegmoeError, TrainingError
from napari_segmoe.training.average import WeightAverage
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.distribution import (
    arithmetic,
    make_fabric,
    seeded,
    spread,
)
from napari_segmoe.training.domain_fit import guard_weights
from napari_segmoe.training.draws import SampleDrawer
from napari_segmoe.training.prefetch import SampleStream
from napari_segmoe.training.recipes import recipe_for
from napari_segmoe.training.recipes.recipe import Recipe, Stage
from napari_segmoe.training.run_control import RunControl
from napari_segmoe.training.run_data import RunData, load_run_data
from napari_segmoe.training.run_folder import RunFolder
from napari_segmoe.training.run_log import RunLog
from napari_segmoe.training.run_process import claim
from napari_segmoe.training.run_state import Progress
from napari_segmoe.training.semantic_validation import validate_classes
from napari_segmoe.training.spaced_validation import validate_spaced
from napari_segmoe.training.stepping import Losses, Stepper, say_what_is_inexact
from napari_segmoe.training.validation import validate

Event = dict[str, Any]


def fit(config: TrainingConfig, *, resume: bool = False) -> Iterator[Event]:
    """Train and yield events: start, stage, progress, memory, epoch, done.

    A run that is asked to stop (`RunControl`) ends after its epoch with "stopped" in
    place of "done"; it can be resumed. Augmentation and order are functions of (seed,
    epoch, index), so a resumed run continues the same curve from its last finished
    epoch, and processes share out the same samples. Of several processes the first
    yields events and writes files.

    Raises
    ------
    RunFolderError
        If the folder holds another run, or nothing to resume.
    TrainingError
        If the loss is not finite, memory does not suffice, or the disk is full.
    """
    with ExitStack() as stack:
        stack.enter_context(arithmetic(config))
        fabric = make_fabric(config)
        folder = open_folder(config, fabric, resume=resume)
        data = load_run_data(config)
        run = _Run(config, folder, fabric, data)
        stack.callback(run.close)
        if resume:
            run.restore()
        stack.enter_context(say_what_is_inexact(config))
        try:
            for event in run.events():
                if fabric.is_global_zero:
                    yield event
        except OSError as error:
            raise TrainingError(
                f"The run folder {config.out} cannot be written: {error.strerror}."
                " Free space or choose another folder, then resume."
            ) from error


def open_folder(config: TrainingConfig, fabric: Fabric, *, resume: bool) -> RunFolder:
    """Make or open the run folder: the first process, then the others."""
    folder = None
    if fabric.is_global_zero:
        folder = RunFolder.resume(config) if resume else RunFolder.create(config)
        claim(folder.path)
    fabric.barrier()
    return folder or RunFolder(config.out)


class _Run:
    """The state of one training run."""

    def __init__(
        self, config: TrainingConfig, folder: RunFolder, fabric: Fabric, data: RunData
    ) -> None:
        self.config, self.folder, self.fabric, self.data = config, folder, fabric, data
        self.control = RunControl(folder.path)
        self.recipe: Recipe = recipe_for(config, data)
        self.stages = self.recipe.stages()
        self.progress = Progress(pieces=config.accumulate)
        drawer = SampleDrawer(config, data.train)
        self.steps_per_epoch = drawer.steps_per_epoch()
        self.stream = SampleStream(
            drawer,
            rank=fabric.global_rank,
            ranks=fabric.world_size,
            workers=config.workers,
        )
        self.log: RunLog | None = None
        self._begin_stage(None)

    def close(self) -> None:
        """End the processes that draw samples, and what is written to."""
        self.stream.close()
        if self.log is not None:
            self.log.close()

    @property
    def stage(self) -> Stage:
        """The stage that is being trained."""
        return self.stages[self.progress.stage]

    def _begin_stage(self, previous: nn.Module | None) -> None:
        """Make network, average and optimisers of the stage."""
        stage = self.stage
        with seeded(self.config.seed + self.progress.stage):
            model = self.recipe.make_model(stage, previous)
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model = spread(model, self.fabric)
        self.average = WeightAverage(self.model, decay=self.config.ema_decay)
        self.average.average.to(self.fabric.device)
        step = self.recipe.make_step(self.model)
        self.optimizers = self.recipe.make_optimizers(self.model, step, stage)
        self.stepper = Stepper(
            self.config,
            self.recipe,
            self.fabric,
            model=self.model,
            step=step,
            optimizers=self.optimizers,
            average=self.average,
        )
        self.stepper.pieces = self.progress.pieces

    def restore(self) -> None:
        """Continue from the state of the last finished epoch, if there is one."""
        state = self.folder.load_state()
        if state is None:
            return
        self.progress = Progress.from_dict(state["progress"])
        self.progress.pieces = max(self.progress.pieces, self.config.accumulate)
        if self.progress.stage:
            self._begin_stage(None)
        self.stepper.pieces = self.progress.pieces
        self.model.load_state_dict(state["model"])
        self.average.average.load_state_dict(state["average"])
        self.average.steps = state["average_steps"]
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        self.recipe.load_state_dict(state["recipe"])

    def events(self) -> Iterator[Event]:
        """Yield the events of all remaining epochs, each written down before."""
        self.log = RunLog(
            self.folder,
            self.config,
            self.data,
            is_first=self.fabric.is_global_zero,
            epoch=self.progress.epoch,
            steps=self.progress.epoch * self.steps_per_epoch,
        )
        yield self._tell(self._start())
        try:
            while not self._is_done():
                if self._stage_ended():
                    yield self._tell(self._next_stage())
                yield from self._epoch()
                if self._is_stop_asked():
                    yield self._tell(self._stopped())
                    return
        except SegmoeError as error:
            self.log.fail(str(error))
            raise
        yield self._done()

    def _tell(self, event: Event) -> Event:
        """Write an event down and return it."""
        assert self.log is not None, "events come of `events` only"
        return self.log.tell(event)

    def _start(self) -> Event:
        return {
            "event": "start",
            "epoch": self.progress.epoch,
            "epochs": sum(stage.epochs for stage in self.stages),
            "stages": [stage.name for stage in self.stages],
            "train_images": len(self.data.train),
            "unlabelled_images": len(self.data.unlabelled),
            "validation_images": len(self.data.validation),
            "parameters": sum(value.numel() for value in self.model.parameters()),
            "device": str(self.fabric.device),
            "processes": self.fabric.world_size,
            "notes": list(self.data.notes),
        }

    def _is_stop_asked(self) -> bool:
        is_asked = self.fabric.is_global_zero and self.control.is_stop_asked
        return not self._is_done() and bool(self.fabric.broadcast(is_asked))

    def _stopped(self) -> Event:
        self.control.forget_stop()
        return {"event": "stopped", "epoch": self.progress.epoch}

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
        old = self.progress
        self.progress = Progress(
            stage=old.stage + 1, epoch=old.epoch, pieces=old.pieces
        )
        self._begin_stage(self.average.average.to("cpu"))
        return {"event": "stage", "epoch": old.epoch, "stage": self.stage.name}

    def _epoch(self) -> Iterator[Event]:
        epoch, began = self.progress.epoch, time.perf_counter()
        sums: Losses = {}
        for number, drawn in enumerate(self.stream.steps(epoch)):
            self.control.wait_while_paused()
            self._set_rate(self.progress.stage_epoch * self.steps_per_epoch + number)
            names = self.stream.names(drawn)
            losses = self.stepper.take(drawn, names, epoch=epoch, number=number)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value / self.steps_per_epoch
            if self.stepper.pieces != self.progress.pieces:
                self.progress.pieces = self.stepper.pieces
                yield self._tell(self._memory_ran_out(epoch, number))
            yield self._tell(
                {
                    "event": "progress",
                    "epoch": epoch,
                    "step": number + 1,
                    "steps": self.steps_per_epoch,
                    "loss": losses["loss"],
                }
            )
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
        event["seconds"] = round(time.perf_counter() - began, 2)
        self._tell(event)
        self._save()
        self._report(event)
        yield event

    def _report(self, event: Event) -> None:
        """Write the report after a validation, with new answers after the best."""
        assert self.log is not None, "epochs come of `events` only"
        if event.get("is_best"):
            self.log.show_answers(
                self.average.average, self.fabric, epoch=event["epoch"]
            )
        if "validation" in event:
            self.log.report()

    def _memory_ran_out(self, epoch: int, number: int) -> Event:
        pieces = self.progress.pieces
        size = -(-self.config.batch_size // pieces)
        return {
            "event": "memory",
            "epoch": epoch,
            "step": number + 1,
            "pieces": pieces,
            "note": f"Memory ran out; each step now takes its {self.config.batch_size}"
            f" images in {pieces} pieces of {size}.",
        }

    def _validates(self) -> bool:
        done = self.progress.stage_epoch
        return done % self.config.validate_every == 0 or done == self.stage.epochs

    def _validate(self) -> Event:
        """Look at the validation images in the first process; all know the result."""
        figures: dict[str, float] = {}
        if self.fabric.is_global_zero:
            look = validate if self.config.spacing_um is None else validate_spaced
            if self.data.mask_classes and self.config.spacing_um is None:
                look = validate_classes
            figures = look(
                self.average.average,
                self.data.validation,
                config=self.config,
                fabric=self.fabric,
            )
        figures = self.fabric.broadcast(figures)
        better = figures["score"] > self.progress.best_score
        if better:
            self.progress.best_score = figures["score"]
            self.progress.best_epoch = self.progress.epoch - 1
            self.progress.best_figures = figures
            self.progress.stale = 0
            if self._is_last_stage():
                self._write_weights("best", figures)
        else:
            self.progress.stale += 1
        return {"validation": figures, "is_best": better}

    def _save(self) -> None:
        if self.fabric.is_global_zero:
            self._write_weights("last", {})
            self.folder.save_state(
                {
                    "model": self.model.state_dict(),
                    "average": self.average.average.state_dict(),
                    "average_steps": self.average.steps,
                    "optimizers": [one.state_dict() for one in self.optimizers],
                    "recipe": self.recipe.state_dict(),
                    "progress": self.progress.as_dict(),
                }
            )
        self.fabric.barrier()

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
            "validation": self.progress.best_figures,
            "labelled_images": self.data.described["train"],
            "unlabelled_images": self.data.described.get("unlabelled", 0),
        }
        if self.fabric.is_global_zero:
            self._guard()
            self.folder.save_metrics(event)
        self._tell(event)
        if self.log is not None:
            self.log.report()
        return event

    def _guard(self) -> None:
        best = self.folder.path / "best.safetensors"
        if self.config.domain_guard and best.is_file():
            guard_weights(best, self.config, self.fabric.device)

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
