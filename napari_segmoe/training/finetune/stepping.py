"""One training of a round: steps on corrections and replay, and their average."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segmoe.errors import TrainingError
from napari_segmoe.models.outputs import SegmentationOutput
from napari_segmoe.training.average import WeightAverage
from napari_segmoe.training.finetune.losses import (
    LossWeights,
    expert_heads,
    keeping_loss,
    main_heads,
    partial_loss,
)
from napari_segmoe.training.finetune.network import Machine, answer
from napari_segmoe.training.finetune.pseudo_labels import PseudoTeaching
from napari_segmoe.training.finetune.replay import Kept, KeptView, stack_kept
from napari_segmoe.training.finetune.settings import RoundSettings
from napari_segmoe.training.finetune.targets import PartialBatch, stack_partial
from napari_segmoe.training.finetune.views import (
    Correction,
    PartialSample,
    Sight,
    draw_partial,
)
from napari_segmoe.training.losses.focal_cross_entropy import focal_cross_entropy
from napari_segmoe.training.starting_weights import find_encoder

_LEAST_RATE = 0.1
_CORRECTIONS, _REPLAY = 31, 32  # streams of random numbers
Losses = dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """What one training learns from.

    Attributes
    ----------
    corrections : sequence of Correction
    kept : sequence of KeptView
        Replay.
    sight : Sight
    weights : LossWeights
    learns_classes : bool
        Whether objects' classes are learnt.
    turns : bool
        Whether views may be turned by any quarter, not only mirrored.
    """

    corrections: Sequence[Correction]
    kept: Sequence[KeptView]
    sight: Sight
    weights: LossWeights
    learns_classes: bool
    turns: bool


class RoundTrainer:
    """Trains a copy of the base network; `average` is what may be published.

    Parameters
    ----------
    base : nn.Module
        Stays as it is.
    lessons : Lessons
    settings : RoundSettings
    machine : Machine
    part : int
        Number of the training in its round; draws depend on it.

    Attributes
    ----------
    batch_size : int
        Samples of a step; fewer after memory ran out.
    pseudo : PseudoTeaching or None
        What unlabelled tissue teaches beside corrections and replay.
    """

    def __init__(
        self,
        base: nn.Module,
        lessons: Lessons,
        settings: RoundSettings,
        machine: Machine,
        *,
        part: int,
    ) -> None:
        self.lessons, self.settings, self.machine = lessons, settings, machine
        self.part, self.step, self.batch_size = part, 0, settings.batch_size
        self.model = machine.place(base).requires_grad_(True)
        guard = getattr(self.model, "domain_guard", None)
        if guard is not None:
            guard.requires_grad_(False)
        self.average = WeightAverage(self.model, decay=settings.ema_decay)
        self._base = [value.detach().clone() for value in self.model.parameters()]
        self.optimizer = _make_optimizer(self.model, settings)
        self.pseudo: PseudoTeaching | None = None

    def take(self) -> Losses:
        """Take one step and return its losses.

        Raises
        ------
        TrainingError
            If the loss or its gradient is not finite.
        """
        self._set_rate()
        self.optimizer.zero_grad()
        losses = self._losses()
        torch.autograd.backward(losses["loss"])
        norm = nn.utils.clip_grad_norm_(
            self.model.parameters(), self.settings.clip_norm
        )
        if not bool(torch.isfinite(losses["loss"]) & torch.isfinite(norm)):
            raise TrainingError(
                f"The loss is not finite in step {self.step + 1}: nothing was"
                " published. Lower learning_rate, or look at the newest corrections."
            )
        self.optimizer.step()
        if self.pseudo is not None and self.pseudo.is_on:
            self.pseudo.step_objectives()
        self._pull()
        self.average.update(self.model)
        self.step += 1
        return {name: float(value.detach()) for name, value in losses.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and numbers that resuming needs."""
        return {
            "part": self.part,
            "step": self.step,
            "model": self.model.state_dict(),
            "average": self.average.average.state_dict(),
            "average_steps": self.average.steps,
            "optimizer": self.optimizer.state_dict(),
            "pseudo": None if self.pseudo is None else self.pseudo.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take what `state_dict` returned."""
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.average.average.load_state_dict(state["average"])
        self.average.steps = state["average_steps"]
        self.optimizer.load_state_dict(state["optimizer"])
        if self.pseudo is not None and state.get("pseudo") is not None:
            self.pseudo.load_state_dict(state["pseudo"])

    def _losses(self) -> dict[str, Tensor]:
        batch = self._corrections().to(self.machine.device)
        images, prompts, counted, kept = self._replay()
        with self.machine.autocast():
            output = answer(
                self.model,
                torch.cat([batch.image, images]),
                torch.cat([batch.prompts, prompts]),
            )
        own = len(batch.image)
        found = _correction_losses(output, batch, self.lessons.weights)
        parts = {f"{name}": value for name, value in found.items() if name != "loss"}
        total = found["loss"]
        parts["replay"] = _replay_loss(
            output, kept, counted, self.lessons.weights, first=own
        )
        classes, kept_classes = self._class_losses(output, batch, kept)
        if classes is not None:
            parts["object_class"] = classes
            total = total + self.lessons.weights.object_class * classes
        total = total + self.settings.replay_weight * (parts["replay"] + kept_classes)
        if self.pseudo is not None and self.pseudo.is_on:
            teacher = self.average.average
            parts["pseudo"] = self.pseudo.loss(self.model, teacher, self.step)
            total = total + parts["pseudo"]
        return {"loss": total, **parts}

    def _class_losses(
        self, output: SegmentationOutput, batch: PartialBatch, kept: Kept
    ) -> tuple[Tensor | None, Tensor]:
        own = len(batch.image)
        zero = output.foreground.new_zeros(())
        found: Tensor | None = None
        cost = zero
        if kept.object_scores is not None:
            pooled = torch.cat([batch.pooled, kept.pooled.to(self.machine.device)])
            scores = self.model.classify_region(output, pooled).float()  # type: ignore[operator]
            wanted = kept.object_scores.to(self.machine.device)
            cost = cost + self.lessons.weights.object_class * _apart(
                scores[own:], wanted
            )
            if self.lessons.learns_classes:
                found = focal_cross_entropy(scores[:own], batch.object_class)
        if kept.image_scores is not None and output.class_logits is not None:
            wanted = kept.image_scores.to(self.machine.device)
            cost = cost + self.lessons.weights.object_class * _apart(
                output.class_logits[own:].float(), wanted
            )
        return found, cost

    def _corrections(self) -> PartialBatch:
        count = self.batch_size - self._replay_count
        samples: list[PartialSample] = []
        for number in range(count):
            key = [self.settings.seed, self.part, self.step, number, _CORRECTIONS]
            rng = np.random.default_rng(key)
            # exactly the share over a few steps, not only on average
            place = (self.step * count + number + 0.5) * self.settings.prompt_share
            share = self.settings.prompt_share
            prompted = int(place + share / 2) > int(place - share / 2)
            samples.append(
                draw_partial(
                    self.lessons.corrections,
                    rng,
                    sight=self.lessons.sight,
                    prompted=prompted,
                )
            )
        return stack_partial(samples, limit_px=self.lessons.weights.limit_px)

    @property
    def _replay_count(self) -> int:
        return self.batch_size // 2

    def _replay(self) -> tuple[Tensor, Tensor, Tensor, Kept]:
        """Return the step's views of the replay; all before any comes again."""
        count, views = self._replay_count, self.lessons.kept
        chosen, turns = [], []
        for number in range(count):
            lap, place = divmod(self.step * count + number, len(views))
            key = [self.settings.seed, self.part, lap, _REPLAY]
            rng = np.random.default_rng(key)
            order = rng.permutation(len(views))
            quarters = rng.integers(4, size=len(views))
            mirrors = rng.random(len(views)) < 0.5
            chosen.append(views[order[place]])
            quarter = int(quarters[place]) if self.lessons.turns else 0
            turns.append((quarter, bool(mirrors[place])))
        images, prompts, counted, kept = stack_kept(chosen, turns)
        device = self.machine.device
        return images.to(device), prompts.to(device), counted.to(device), kept

    def _set_rate(self) -> None:
        settings = self.settings
        warm = min((self.step + 1) / (settings.warmup_steps + 1), 1.0)
        done = min(self.step / max(settings.training_steps, 1), 1.0)
        cosine = 0.5 * (1 + math.cos(math.pi * done))
        factor = warm * (_LEAST_RATE + (1 - _LEAST_RATE) * cosine)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_rate"] * factor

    @torch.no_grad()
    def _pull(self) -> None:
        """Go a little of the way back to the base weights (L2-SP, Li et al. 2018)."""
        share = self.settings.pull
        if not share:
            return
        for value, base in zip(self.model.parameters(), self._base, strict=True):
            if value.requires_grad:
                value.lerp_(base, share)


def _make_optimizer(model: nn.Module, settings: RoundSettings) -> torch.optim.Optimizer:
    encoder = find_encoder(model)
    inner = [] if encoder is None else list(encoder.parameters())
    known = {id(value) for value in inner}
    rest = [value for value in model.parameters() if id(value) not in known]
    slow = settings.learning_rate * settings.encoder_rate_factor
    groups = [
        {
            "params": [value for value in values if value.requires_grad],
            "lr": rate,
            "base_rate": rate,
        }
        for values, rate in ((inner, slow), (rest, settings.learning_rate))
    ]
    return torch.optim.Adam([group for group in groups if group["params"]])


def _correction_losses(
    output: SegmentationOutput, batch: PartialBatch, weights: LossWeights
) -> dict[str, Tensor]:
    rows = slice(0, len(batch.image))
    losses = partial_loss(main_heads(output).rows(rows), batch, weights)
    own = expert_heads(output)
    if own is not None and weights.experts:
        alone = partial_loss(own.rows(rows), batch, weights)
        losses["loss"] = losses["loss"] + weights.experts * alone["loss"]
    return losses


def _replay_loss(
    output: SegmentationOutput,
    kept: Kept,
    counted: Tensor,
    weights: LossWeights,
    *,
    first: int,
) -> Tensor:
    rows = slice(first, None)
    device = counted.device
    total = keeping_loss(
        main_heads(output).rows(rows), _on(kept.heads, device), counted, weights
    )
    own = expert_heads(output)
    if own is not None and kept.experts is not None and weights.experts:
        alone = keeping_loss(
            own.rows(rows), _on(kept.experts, device), counted, weights
        )
        total = total + weights.experts * alone
    if kept.logits is not None:
        found = output.logits[rows].float().log_softmax(dim=1)
        wanted = kept.logits.to(device).log_softmax(dim=1)
        apart = F.kl_div(found, wanted, reduction="none", log_target=True).sum(
            dim=1, keepdim=True
        )
        total = total + weights.mask * (
            apart * counted
        ).sum() / counted.sum().clamp_min(1)
    return total


def _on(heads: Any, device: torch.device) -> Any:
    return type(heads)(
        heads.mask.to(device),
        None if heads.distance is None else heads.distance.to(device),
        None if heads.ring is None else heads.ring.to(device),
    )


def _apart(scores: Tensor, wanted: Tensor) -> Tensor:
    return F.kl_div(
        scores.log_softmax(dim=1),
        wanted.log_softmax(dim=1),
        reduction="batchmean",
        log_target=True,
    )
