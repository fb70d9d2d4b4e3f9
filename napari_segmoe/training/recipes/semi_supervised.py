"""The recipe `semi_supervised`: labelled images as in multitask, others by gates.

Vu et al., "Semi-MoE", BMVC 2025: on images without masks the gates' mask, distance and
boundary, detached, are pseudo-labels of the experts' own heads; experts are taught by
the gates, and the gates by masks alone. Mask, distance and boundary weigh themselves
by scales with an optimiser of their own.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from napari_segmoe.errors import ConfigError
from napari_segmoe.training.average import WeightAverage
from napari_segmoe.training.batches import Batch
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.losses.adaptive_objectives import (
    PAPER_LEARNING_RATE,
    PAPER_WEIGHT_DECAY,
)
from napari_segmoe.training.recipes.recipe import Draws, Recipe, Stage
from napari_segmoe.training.recipes.semi_supervised_step import (
    SemiSupervisedStep,
    find_heads,
)
from napari_segmoe.training.routing_usage import RoutingUsage
from napari_segmoe.training.run_data import RunData
from napari_segmoe.training.unlabelled_draws import (
    UnlabelledBatch,
    UnlabelledDrawer,
    stack_views,
)

# What weights of 0 stand for here: the paper trains all heads.
_PAPER_WEIGHTS = {"distance_weight": 0.5, "ring_weight": 1.0, "expert_weight": 1.0}


@dataclass(slots=True, eq=False)  # not frozen: Fabric copies into it
class SemiBatch:
    """Labelled and unlabelled images of one step.

    Attributes
    ----------
    labelled : Batch
    unlabelled : UnlabelledBatch or None
        None where pseudo-labels have no weight.
    weight : float
        Of the losses on unlabelled images.
    """

    labelled: Batch
    unlabelled: UnlabelledBatch | None
    weight: float

    def to(self, device: torch.device) -> "SemiBatch":
        """Return the batch on a device."""
        unlabelled = self.unlabelled
        if unlabelled is not None:
            unlabelled = unlabelled.to(device)
        return SemiBatch(self.labelled.to(device), unlabelled, self.weight)


class SemiSupervised(Recipe):
    """Labelled images as in multitask; on others, gates teach experts.

    Parameters
    ----------
    config : TrainingConfig
        ``unsupervised_weight`` 0 leaves a supervised run on the labelled images.
    data : RunData
        With unlabelled images, unless that weight is 0.

    Raises
    ------
    ConfigError
        If there is no image without mask.
    """

    def __init__(self, config: TrainingConfig, data: RunData) -> None:
        super().__init__(_with_all_heads(config), data)
        if config.unsupervised_weight and not data.unlabelled:
            raise ConfigError(
                "semi_supervised has no unlabelled image to learn from. Set"
                " label_fraction below 1, labelled_list or unlabelled, or take another"
                " recipe."
            )
        self.drawer = UnlabelledDrawer(self.config, data.unlabelled)
        self.usage = RoutingUsage()
        self.teacher: WeightAverage | None = None
        self.step: SemiSupervisedStep | None = None
        self.weight = 0.0

    def make_step(self, model: nn.Module) -> nn.Module:
        """Return a network with its losses, and a teacher where one is asked for.

        Raises
        ------
        ConfigError
            If nothing in the network or the configuration makes pseudo-labels.
        """
        config, heads = self.config, find_heads(model)
        taught = config.unsupervised_weight > 0
        if taught and not heads.experts and not config.ema_teacher:
            raise ConfigError(
                f"{config.model} has no gates that teach experts. Set ema_teacher:"
                " true, or train semi_moe or semi_moe_lite."
            )
        if taught and config.consistency_weight and not heads.distance:
            raise ConfigError(
                f"{config.model} predicts no distance to compare its mask with. Set"
                " consistency_weight to 0."
            )
        if taught and config.ema_teacher:
            self.teacher = WeightAverage(model, decay=config.teacher_decay)
        self.usage = RoutingUsage()
        self.step = SemiSupervisedStep(
            model, config, heads=heads, usage=self.usage, teacher=self.teacher
        )
        return self.step

    def make_optimizers(
        self, model: nn.Module, step: nn.Module, stage: Stage
    ) -> list[torch.optim.Optimizer]:
        """Return the network's optimiser, and that of the objectives' scales."""
        optimizers = super().make_optimizers(model, step, stage)
        if self.step is not None and self.step.objectives is not None:
            optimizers.append(
                torch.optim.Adam(
                    self.step.objectives.parameters(),
                    lr=PAPER_LEARNING_RATE,
                    weight_decay=PAPER_WEIGHT_DECAY,
                )
            )
        return optimizers

    def make_batch(self, draws: Draws) -> SemiBatch:
        """Return labelled and unlabelled images of a step."""
        labelled = self.stack(draws.labelled())
        self.weight = ramped_weight(self.config, draws.epoch)
        if not self.weight:
            return SemiBatch(labelled, None, 0.0)
        places = draws.share(self.drawer.places(draws.number))
        views = [self.drawer.draw(draws.epoch, place) for place in places]
        unlabelled = stack_views(views) if views else None
        return SemiBatch(labelled, unlabelled, self.weight)

    def after_step(self, model: nn.Module, average: nn.Module) -> None:
        """Let the teacher follow."""
        if self.teacher is not None:
            self.teacher.update(model)

    def epoch_figures(self) -> dict[str, Any]:
        """Return the routing, the weight of pseudo-labels and those of the tasks."""
        figures = self.usage.event() | {"unsupervised_weight": self.weight}
        if self.step is not None and self.step.objectives is not None:
            weights = self.step.objectives.weights.tolist()
            figures["objectives"] = dict(zip(self.step.tasks, weights, strict=True))
        return figures

    def state_dict(self) -> dict[str, Any]:
        """Return the objectives' scales and the teacher."""
        state: dict[str, Any] = {}
        if self.step is not None and self.step.objectives is not None:
            state["objectives"] = self.step.objectives.state_dict()
        if self.teacher is not None:
            state["teacher"] = self.teacher.average.state_dict()
            state["teacher_steps"] = self.teacher.steps
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take what `state_dict` returned."""
        if self.step is not None and self.step.objectives is not None:
            self.step.objectives.load_state_dict(state["objectives"])
        if self.teacher is not None:
            self.teacher.average.load_state_dict(state["teacher"])
            self.teacher.steps = state["teacher_steps"]


def ramped_weight(config: TrainingConfig, epoch: int) -> float:
    """Return the weight of pseudo-labels in an epoch, counted from 0.

    It rises by the same step each epoch over ``config.unsupervised_ramp`` of the run,
    and stays then.
    """
    rising = config.unsupervised_ramp * config.epochs
    share = min((epoch + 1) / rising, 1.0) if rising else 1.0
    return config.unsupervised_weight * share


def _with_all_heads(config: TrainingConfig) -> TrainingConfig:
    """Return the configuration with the paper's weight wherever one is 0."""
    changes = {
        name: value
        for name, value in _PAPER_WEIGHTS.items()
        if not getattr(config, name)
    }
    return config.model_copy(update=changes)
