"""One training run: epochs, validation, checkpoints, resume."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from napari_segmoe.errors import TrainingError
from napari_segmoe.models.registry import create_model
from napari_segmoe.training.augmentation import WarpStrength
from napari_segmoe.training.average import WeightAverage
from napari_segmoe.training.config import Precision, TrainingConfig
from napari_segmoe.training.fields import field_options
from napari_segmoe.training.multitask import MultitaskStep, make_batch
from napari_segmoe.training.run_data import RunData, load_run_data
from napari_segmoe.training.run_folder import RunFolder
from napari_segmoe.training.samples import Sample, SampleOptions, draw_sample
from napari_segmoe.training.sources import Source
from napari_segmoe.training.spaced_samples import (
    SpacedOptions,
    draw_spaced_sample,
    spaced_options,
)
from napari_segmoe.training.spaced_validation import validate_spaced
from napari_segmoe.training.starting_weights import (
    find_encoder,
    load_starting_weights,
)
from napari_segmoe.training.validation import validate

Event = dict[str, Any]
_ROUND_SHARES = (0.55, 0.3, 0.15)


@dataclass(slots=True)
class _Progress:
    """What a run knows besides its tensors."""

    epoch: int = 0
    best_score: float = -math.inf
    best_epoch: int = -1
    stale: int = 0


def fit(config: TrainingConfig, *, resume: bool = False) -> Iterator[Event]:
    """Train and yield events: start, progress, epoch, done.

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
    fabric = _make_fabric(config)
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
        options = {
            "image_classes": (len(data.classes) or 2) if config.image_head else 0,
            "object_classes": len(data.object_classes),
            "prompts": True,
            **config.model_options,
        }
        self.options = options
        with _seeded(config.seed):
            model = create_model(config.model, **options)
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        load_starting_weights(self.model, config)
        self.average = WeightAverage(self.model, decay=config.ema_decay)
        self.average.average.to(fabric.device)
        self.optimizer = _make_optimizer(self.model, config)
        step = MultitaskStep(self.model, config)
        self.step_module, self.wrapped_optimizer = fabric.setup(step, self.optimizer)
        self.progress = _Progress()
        self.fields = field_options(config)
        self.steps_per_epoch = max(
            len(data.train)
            * config.samples_per_image
            // (config.batch_size * fabric.world_size),
            1,
        )

    def restore(self) -> None:
        """Continue from the state of the last finished epoch."""
        state = self.folder.load_state()
        self.model.load_state_dict(state["model"])
        self.average.average.load_state_dict(state["average"])
        self.average.steps = state["average_steps"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = _Progress(**state["progress"])

    def events(self) -> Iterator[Event]:
        """Yield the events of all remaining epochs."""
        yield {
            "event": "start",
            "epoch": self.progress.epoch,
            "epochs": self.config.epochs,
            "train_images": len(self.data.train),
            "validation_images": len(self.data.validation),
            "parameters": sum(value.numel() for value in self.model.parameters()),
            "device": str(self.fabric.device),
            "notes": list(self.data.notes),
        }
        while self.progress.epoch < self.config.epochs and not self._is_stale():
            yield from self._epoch()
        yield self._done()

    def _is_stale(self) -> bool:
        return self.progress.stale >= self.config.patience

    def _epoch(self) -> Iterator[Event]:
        epoch = self.progress.epoch
        sums: dict[str, float] = {}
        with _seeded(self.config.seed * 1000 + epoch):
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
        event: Event = {
            "event": "epoch",
            "epoch": epoch,
            "train": sums,
            "learning_rate": self.optimizer.param_groups[-1]["lr"],
        }
        if self._validates(epoch):
            event |= self._validate()
        self._save()
        yield event

    def _validates(self, epoch: int) -> bool:
        last = epoch + 1 == self.config.epochs
        return (epoch + 1) % self.config.validate_every == 0 or last

    def _validate(self) -> Event:
        look = validate if self.config.spacing_um is None else validate_spaced
        figures = look(
            self.average.average,
            self.data.validation,
            config=self.config,
            fabric=self.fabric,
        )
        score = figures["score"]
        better = score > self.progress.best_score
        if better:
            self.progress.best_score = score
            self.progress.best_epoch = self.progress.epoch - 1
            self.progress.stale = 0
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
                "optimizer": self.optimizer.state_dict(),
                "progress": {
                    name: getattr(self.progress, name) for name in _Progress.__slots__
                },
            }
        )

    def _write_weights(self, kind: str, figures: dict[str, float]) -> None:
        if self.fabric.is_global_zero:
            card = self.data.card(self.config, self.options, validation=figures)
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
        samples = self._with_rounds(self._samples(epoch, number), rng)
        batch = make_batch(samples, rng, fields=self.fields).to(self.fabric.device)
        self._set_rate(epoch * self.steps_per_epoch + number)
        self.step_module.train()
        losses: dict[str, Tensor] = self.step_module(batch)
        if not bool(torch.isfinite(losses["loss"])):
            raise TrainingError(
                f"The loss is not finite in epoch {epoch}, batch {number}. Lower the"
                " learning rate; the last finished epoch is kept and can be resumed."
            )
        self.wrapped_optimizer.zero_grad()
        self.fabric.backward(losses["loss"])
        self.fabric.clip_gradients(
            self.step_module, self.wrapped_optimizer, max_norm=self.config.clip_norm
        )
        self.wrapped_optimizer.step()
        self.average.update(self.model)
        return {name: float(value.detach()) for name, value in losses.items()}

    def _samples(self, epoch: int, number: int) -> list[Sample]:
        config = self.config
        order = np.random.default_rng([config.seed, epoch]).permutation(
            len(self.data.train) * config.samples_per_image
        )
        world, size = self.fabric.world_size, config.batch_size
        first = number * world * size + self.fabric.global_rank * size
        draw: Callable[..., Sample] = draw_sample
        options: SampleOptions | SpacedOptions = _sample_options(config)
        if config.spacing_um is not None:
            draw, options = draw_spaced_sample, spaced_options(config)
        chosen = [int(order[i % len(order)]) for i in range(first, first + size)]
        return [
            draw(
                self._source(index),
                np.random.default_rng([config.seed, epoch, index]),
                options=options,
            )
            for index in chosen
        ]

    def _source(self, index: int) -> Source:
        return self.data.train[index % len(self.data.train)]

    @torch.no_grad()
    def _with_rounds(
        self, samples: Sequence[Sample], rng: np.random.Generator
    ) -> list[Sample]:
        """Let the network answer some prompted samples and the user click again."""
        samples = list(samples)
        rounds = [
            int(rng.choice(len(_ROUND_SHARES), p=_ROUND_SHARES))
            if sample.prompts
            else 0
            for sample in samples
        ]
        for number in range(1, max(rounds) + 1):
            chosen = [i for i, count in enumerate(rounds) if count >= number]
            batch = make_batch([samples[i] for i in chosen], rng)
            batch = batch.to(self.fabric.device)
            self.model.eval()
            with self.fabric.autocast():
                output = self.model(batch.image, batch.prompts)
            probability = output.foreground.sigmoid()[:, 0].cpu().numpy()
            for row, i in enumerate(chosen):
                samples[i] = samples[i].answered(probability[row], rng)
        return samples

    def _set_rate(self, step: int) -> None:
        config = self.config
        total = config.epochs * self.steps_per_epoch
        share = min((step + 1) / max(config.warmup_steps, 1), 1.0)
        cosine = 0.5 * (1 + math.cos(math.pi * min(step / total, 1.0)))
        floor = config.final_rate_fraction
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_rate"] * share * (floor + (1 - floor) * cosine)


def _sample_options(config: TrainingConfig) -> SampleOptions:
    return SampleOptions(
        output_px=config.input_px,
        prompt_share=config.prompt_share,
        background_share=config.background_share,
        strength=WarpStrength().times(config.warp_reach),
    )


def _make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    found = find_encoder(model)
    encoder = [] if found is None else list(found.parameters())
    known = {id(parameter) for parameter in encoder}
    rest = [value for value in model.parameters() if id(value) not in known]
    slow = config.learning_rate * config.encoder_rate_factor
    groups = [
        {"params": encoder, "lr": slow, "base_rate": slow},
        {
            "params": rest,
            "lr": config.learning_rate,
            "base_rate": config.learning_rate,
        },
    ]
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay)


def _make_fabric(config: TrainingConfig) -> Fabric:
    accelerator = config.device.partition(":")[0]
    devices: int | list[int] = config.devices
    if ":" in config.device:
        devices = [int(config.device.partition(":")[2])]
    precision = config.precision
    if precision is Precision.AUTO:
        precision = _fitting_precision(accelerator)
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        precision=precision.value,  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


def _fitting_precision(accelerator: str) -> Precision:
    if accelerator in ("auto", "cuda", "gpu") and torch.cuda.is_available():
        return Precision.BF16 if torch.cuda.is_bf16_supported() else Precision.FP16
    if accelerator in ("auto", "cpu") and torch.cpu._is_avx512_bf16_supported():
        return Precision.BF16
    return Precision.FP32


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Give torch a seed inside, and its old state back afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
