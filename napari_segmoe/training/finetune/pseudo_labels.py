"""Pseudo-labels on the project's own unlabelled tissue, once the teacher is trusted.

Networks with gates (Semi-MoE) teach their experts what the gates make of all of them;
all others learn from the running average of their weights, on a view with changed
intensities. Nothing is taught before the average has passed the hold-out: a teacher
that is sure and wrong would make its mistakes permanent.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_segmoe.models.outputs import SegmentationOutput
from napari_segmoe.training.finetune.losses import (
    Heads,
    LossWeights,
    expert_heads,
    main_heads,
    partial_loss,
)
from napari_segmoe.training.finetune.network import Machine, answer, stack_images
from napari_segmoe.training.finetune.probes import PlaceScores
from napari_segmoe.training.finetune.settings import RoundSettings
from napari_segmoe.training.finetune.targets import PartialBatch
from napari_segmoe.training.finetune.taught_views import (
    TaughtView,
    keep_taught,
    read_taught,
    taught_state,
)
from napari_segmoe.training.finetune.views import PartialSample, Sight
from napari_segmoe.training.losses.adaptive_objectives import (
    PAPER_LEARNING_RATE,
    PAPER_SHARES,
    PAPER_WEIGHT_DECAY,
    AdaptiveObjectives,
)
from napari_segmoe.training.pseudo_labels import PseudoLabels, make_pseudo_labels

TASKS = ("mask", "distance", "ring")
_STREAM = 33  # of random numbers

Augment = Callable[[Tensor, np.random.Generator], Tensor]


@dataclass(frozen=True, slots=True)
class PseudoSettings:
    """How pseudo-labels teach.

    Attributes
    ----------
    weight : float
        Of their loss over that of corrections, once it has risen.
    ramp_steps : int
        Steps in which it rises from nothing.
    batch_size : int
        Views of a step.
    gate : float
        Pixels of which the teacher is less sure are left out.
    seed : int
    """

    weight: float = 0.3
    ramp_steps: int = 10
    batch_size: int = 4
    gate: float = 0.9
    seed: int = 0


def is_trusted(old: Mapping[str, PlaceScores], new: Mapping[str, PlaceScores]) -> bool:
    """Whether a teacher may teach: on held-out images it beats what was there before.

    Parameters
    ----------
    old, new : mapping of str to PlaceScores
        By image; of the weights that the round started from, and of the teacher.
    """
    both = sorted(old.keys() & new.keys())
    gains = [new[place].dice - old[place].dice for place in both]
    return bool(gains) and sum(gains) > 0


class PseudoTeaching:
    """What views without labels add to a step; nothing before `switch_on`.

    Parameters
    ----------
    views : sequence of PartialSample
        Of the project's tissue at the weights' pixel size; ``ids`` is -1 where nobody
        has said anything. Elsewhere nothing is taught.
    settings : PseudoSettings
    weights : LossWeights
        Of the heads.
    augment : callable
        Changes intensities.
    machine : Machine
    """

    def __init__(
        self,
        views: Sequence[PartialSample],
        settings: PseudoSettings,
        weights: LossWeights,
        *,
        augment: Augment,
        machine: Machine,
    ) -> None:
        self.views, self.settings, self.machine = views, settings, machine
        self.started_at: int | None = None
        self._augment = augment
        self._weights = replace(weights, object_class=0.0, experts=0.0)
        self._objectives = AdaptiveObjectives(PAPER_SHARES).to(machine.device)
        self._optimizer = torch.optim.Adam(
            self._objectives.parameters(),
            lr=PAPER_LEARNING_RATE,
            weight_decay=PAPER_WEIGHT_DECAY,
        )
        self.figures: dict[str, float] = {"views": len(views), "weight": 0.0}
        self.taught: dict[int, TaughtView] = {}  # the newest of each, by its view
        self._drawn: list[tuple[int, bool]] = []  # of the step: which view, mirrored?

    @property
    def is_on(self) -> bool:
        """Whether the teacher has passed the hold-out and there is what to teach."""
        return self.started_at is not None and bool(self.views)

    def switch_on(self, step: int) -> None:
        """Begin to teach after a step; a second time changes nothing."""
        if self.started_at is None:
            self.started_at = step

    def weight(self, step: int) -> float:
        """Return the weight of pseudo-labels in a step."""
        if not self.is_on or self.started_at is None:
            return 0.0
        done = (step - self.started_at + 1) / max(self.settings.ramp_steps, 1)
        return self.settings.weight * min(done, 1.0)

    def loss(self, model: nn.Module, teacher: nn.Module, step: int) -> Tensor:
        """Return the weighted loss of a step's views.

        Parameters
        ----------
        model : nn.Module
            Learns; its gates teach where it has experts with heads of their own.
        teacher : nn.Module
            Running average of its weights.
        step : int
        """
        plain, strong, free = self._draw(step)
        with self.machine.autocast():
            output = answer(model, strong, None)
        own = expert_heads(output)
        labels = self._label(output if own is not None else None, teacher, plain)
        taught = main_heads(output) if own is None else own
        counted = free * (labels.confidence >= self.settings.gate)
        losses = partial_loss(
            taught, _as_batch(labels, taught, strong, counted), self._weights
        )
        weight = self.weight(step)
        same = (taught.mask.detach() > 0) == (labels.mask > 0)
        self.figures = self._describe(same, counted > 0, weight)
        self._keep(labels, same, counted > 0, weight)
        return weight * self._weigh(losses, is_adaptive=own is not None)

    def step_objectives(self) -> None:
        """Let the tasks' own weights learn, after the backward pass."""
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """Return what resuming needs."""
        return {
            "started_at": self.started_at,
            "objectives": self._objectives.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "taught": taught_state(self.taught),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict` returned."""
        self.started_at = state["started_at"]
        self._objectives.load_state_dict(state["objectives"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.taught = read_taught(state.get("taught", {}))

    def _draw(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return a step's views as they are and changed, and where nothing is known.

        All views before any comes again.
        """
        plain, strong, free = [], [], []
        self._drawn = []
        size = self.settings.batch_size
        for number in range(size):
            lap, place = divmod(step * size + number, len(self.views))
            key = [self.settings.seed, lap, _STREAM]
            order = np.random.default_rng(key).permutation(len(self.views))
            sample = self.views[order[place]]
            view, unknown = sample.image, torch.from_numpy(sample.ids < 0)[None]
            rng = np.random.default_rng([*key, place])
            is_mirrored = bool(rng.random() < 0.5)
            self._drawn.append((int(order[place]), is_mirrored))
            if is_mirrored:
                view, unknown = view.flip(2), unknown.flip(2)
            plain.append(view)
            strong.append(self._augment(view, rng))
            free.append(unknown.float())
        device = self.machine.device
        return (
            stack_images(plain).to(device),
            stack_images(strong).to(device),
            torch.stack(free).to(device),
        )

    @torch.no_grad()
    def _label(
        self, gated: SegmentationOutput | None, teacher: nn.Module, plain: Tensor
    ) -> PseudoLabels:
        if gated is not None:
            return make_pseudo_labels(gated)
        with self.machine.autocast():
            return make_pseudo_labels(answer(teacher, plain, None))

    def _weigh(self, losses: Mapping[str, Tensor], *, is_adaptive: bool) -> Tensor:
        """Return one loss: of all tasks by learnt weights where gates teach."""
        if not is_adaptive or any(name not in losses for name in TASKS):
            return losses["loss"]
        found: Tensor = self._objectives([losses[name] for name in TASKS])
        return found

    def _describe(
        self, same: Tensor, counted: Tensor, weight: float
    ) -> dict[str, float]:
        return {
            "views": len(self.views),
            "counted": float(counted.float().mean()),
            "agreement": _share(same, counted),
            "weight": weight,
        }

    def _keep(
        self, labels: PseudoLabels, same: Tensor, counted: Tensor, weight: float
    ) -> None:
        """Remember what a step's views were taught, to be shown afterwards."""
        for row, (index, is_mirrored) in enumerate(self._drawn):
            if counted[row].any():
                self.taught[index] = keep_taught(
                    labels,
                    counted,
                    row,
                    is_mirrored=is_mirrored,
                    agreement=_share(same[row], counted[row]),
                    weight=weight,
                )


def make_teaching(
    views: Sequence[PartialSample],
    settings: RoundSettings,
    weights: LossWeights,
    sight: Sight,
    machine: Machine,
) -> PseudoTeaching | None:
    """Return what teaches a training of a round; None where settings want none."""
    if not settings.pseudo_weight:
        return None
    how = PseudoSettings(
        weight=settings.pseudo_weight,
        ramp_steps=max(settings.training_steps // 4, 1),
        batch_size=max(settings.batch_size // 2, 1),
        seed=settings.seed,
    )
    return PseudoTeaching(views, how, weights, augment=sight.augment, machine=machine)


def _share(same: Tensor, counted: Tensor) -> float:
    """Return the share of the pixels that count on which two agree."""
    return float(same[counted].float().mean()) if counted.any() else 0.0


def _as_batch(
    labels: PseudoLabels, taught: Heads, images: Tensor, counted: Tensor
) -> PartialBatch:
    """Return pseudo-labels as a batch of which the pixels that count are known."""
    nothing = torch.zeros_like(counted)
    has_distance = taught.distance is not None and labels.distance is not None
    has_ring = taught.ring is not None and labels.boundary is not None
    return PartialBatch(
        image=images,
        prompts=nothing,
        truth=(labels.mask > 0).float(),
        weight=counted,
        distance=labels.distance if labels.distance is not None else nothing,
        distance_known=counted if has_distance else nothing,
        ring=labels.boundary if labels.boundary is not None else nothing,
        ring_known=counted if has_ring else nothing,
        pooled=nothing,
        object_class=torch.full((len(images),), -1),
    )
