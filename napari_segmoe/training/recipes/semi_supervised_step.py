"""A network and its losses on labelled and unlabelled images as one module."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from napari_segmoe.models.outputs import SegmentationOutput, foreground_scores
from napari_segmoe.models.prompt_stem import PROMPT_CHANNELS
from napari_segmoe.training.average import WeightAverage
from napari_segmoe.training.batches import Batch
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.losses.adaptive_objectives import (
    PAPER_SHARES,
    AdaptiveObjectives,
)
from napari_segmoe.training.pseudo_label_losses import (
    consistency_loss,
    expert_heads,
    main_heads,
    pseudo_label_losses,
)
from napari_segmoe.training.pseudo_labels import (
    PseudoLabels,
    make_pseudo_labels,
    paste,
)
from napari_segmoe.training.recipes.multitask import MultitaskStep
from napari_segmoe.training.routing_usage import RoutingUsage
from napari_segmoe.training.unlabelled_draws import UnlabelledBatch

TASKS = ("mask", "distance", "ring")
_PROBE_PX = 64


class SemiSupervisedBatch(Protocol):
    """What the step takes; see `recipes.semi_supervised.SemiBatch`."""

    labelled: Batch
    unlabelled: UnlabelledBatch | None
    weight: float


@dataclass(frozen=True, slots=True)
class Heads:
    """Which heads a network has; ``experts``: also experts with heads of their own."""

    distance: bool
    ring: bool
    experts: bool


@torch.no_grad()
def find_heads(model: nn.Module) -> Heads:
    """Ask a network for a small empty image and see what it answers."""
    was_training = model.training
    channels = int(getattr(model, "in_channels", 3))
    device = next(model.parameters()).device
    output = model.eval()(torch.zeros(1, channels, _PROBE_PX, _PROBE_PX, device=device))
    model.train(was_training)
    return Heads(
        distance=output.distance is not None,
        ring=output.boundary is not None,
        experts=expert_heads(output) is not None,
    )


class SemiSupervisedStep(nn.Module):
    """Losses of labelled and unlabelled images.

    Parameters
    ----------
    model : nn.Module
        The network.
    config : TrainingConfig
        Weights of the losses, and which options are on.
    heads : Heads
        Of the network.
    usage : RoutingUsage
        Is told which experts the labelled images ask.
    teacher : WeightAverage or None
        Makes the pseudo-labels, which then teach the prediction itself as well; None:
        the network's own gates make them, and experts alone learn.

    Attributes
    ----------
    tasks : tuple of str
        Those of `TASKS` that the network has heads for.
    objectives : AdaptiveObjectives or None
        Weighs them, on both kinds of images; None: the configuration does.
    """

    def __init__(
        self,
        model: nn.Module,
        config: TrainingConfig,
        *,
        heads: Heads,
        usage: RoutingUsage,
        teacher: WeightAverage | None,
    ) -> None:
        super().__init__()
        self.labelled = MultitaskStep(model, config, usage)
        self.config, self.heads, self.teacher = config, heads, teacher
        has = {"mask": True, "distance": heads.distance, "ring": heads.ring}
        self.tasks = tuple(task for task in TASKS if has[task])
        shares = dict(zip(TASKS, PAPER_SHARES, strict=True))
        self.objectives = None
        if config.adaptive_objectives:
            self.objectives = AdaptiveObjectives([shares[task] for task in self.tasks])

    def forward(self, batch: SemiSupervisedBatch) -> dict[str, Tensor]:
        """Return the losses of a batch; "loss" is their weighted sum."""
        losses = self.labelled(batch.labelled)
        total = self._of_labelled(losses)
        if batch.unlabelled is not None:
            cost, found = self._of_unlabelled(batch.unlabelled)
            total, losses = total + batch.weight * cost, losses | found
        elif batch.weight:  # all parts of a step name the same figures
            losses |= dict.fromkeys(self._figures(), total.new_zeros(()))
        return losses | {"loss": total}

    def _of_labelled(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Return the cost of labelled images, the tasks weighed anew."""
        if self.objectives is None:
            return losses["loss"]
        config = self.config
        mask = losses["segmentation"]
        if "expert" in losses:
            mask = mask + config.expert_weight * losses["expert"]
        tasks = {
            "mask": mask,
            "distance": losses.get("distance"),
            "ring": losses.get("ring"),
        }
        weights = {
            "mask": config.segmentation_weight,
            "distance": config.distance_weight,
            "ring": config.ring_weight,
        }
        present = {
            name: loss for name in self.tasks if (loss := tasks[name]) is not None
        }
        fixed = sum(weights[name] * loss for name, loss in present.items())
        others = losses["loss"] - fixed
        return others + self.objectives(list(present.values()))

    def _of_unlabelled(
        self, images: UnlabelledBatch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        labels, output = self._label(images)
        own = expert_heads(output)
        taught = [] if own is None else [own]
        if self.teacher is not None:
            taught.append(main_heads(output))
        losses = pseudo_label_losses(taught, labels, self.config)
        cost = self._weigh(losses)
        figures = {f"pseudo_{name}": loss for name, loss in losses.items()}
        if self.config.consistency_weight:
            limit = self.config.distance_limit_px
            figures["consistency"] = consistency_loss(output, limit_px=limit)
            cost = cost + self.config.consistency_weight * figures["consistency"]
        return cost, figures | self._describe(labels, output)

    def _label(
        self, images: UnlabelledBatch
    ) -> tuple[PseudoLabels, SegmentationOutput]:
        """Return pseudo-labels, and the output on the view that learns from them."""
        model, view = self.labelled.model, images.image
        prompts = _no_prompts(model, view)
        if images.strong is None and self.teacher is None:
            output = model(view, prompts)
            return make_pseudo_labels(output), output
        with torch.no_grad():
            labels = make_pseudo_labels(self._maker(view)(view, prompts))
        if images.strong is not None:
            view = images.strong
        if images.pasted is not None:
            view, labels = paste(view, images.pasted), labels.mixed(images.pasted)
            view = view.contiguous(memory_format=torch.channels_last)
        return labels, model(view, prompts)

    def _maker(self, view: Tensor) -> nn.Module:
        if self.teacher is None:
            return self.labelled.model
        return self.teacher.average.to(view.device).eval()

    def _weigh(self, losses: Mapping[str, Tensor]) -> Tensor:
        if self.objectives is not None:
            return self.objectives([losses[task] for task in self.tasks])
        config = self.config
        weights = (config.segmentation_weight, config.distance_weight)
        known = dict(zip(TASKS, (*weights, config.ring_weight), strict=True))
        return torch.stack([known[task] * losses[task] for task in self.tasks]).sum()

    def _figures(self) -> list[str]:
        names = [f"pseudo_{task}" for task in self.tasks]
        names += ["consistency"] if self.config.consistency_weight else []
        names += ["gate_against_expert"] if self.heads.experts else []
        return [*names, "pseudo_foreground", "pseudo_counted"]

    def _describe(
        self, labels: PseudoLabels, output: SegmentationOutput
    ) -> dict[str, Tensor]:
        """Return how much is labelled, and where gate and mask expert disagree."""
        counted = labels.counted(self.config.confidence_gate)
        one = labels.confidence.new_ones(())
        figures = {
            "pseudo_foreground": (labels.mask > 0).float().mean(),
            "pseudo_counted": one if counted is None else counted.mean(),
        }
        own = expert_heads(output)
        if own is not None:
            gate = output.foreground.detach() > 0
            expert = foreground_scores(own.mask.detach()) > 0
            figures["gate_against_expert"] = (gate != expert).float().mean()
        return figures


def _no_prompts(model: nn.Module, images: Tensor) -> Tensor | None:
    """Return the prompt maps of the automatic mode, (B, 5, n, n), if any are taken."""
    if getattr(model, "prompt_stem", None) is None:
        return None
    return images.new_zeros(images.shape[0], PROMPT_CHANNELS, *images.shape[-2:])
