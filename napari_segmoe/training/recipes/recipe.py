"""What a training procedure decides; the engine does the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import nn

from napari_segmoe.models.registry import create_model
from napari_segmoe.training.batches import Batch, make_batch
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.fields import field_options
from napari_segmoe.training.run_data import RunData
from napari_segmoe.training.samples import Sample
from napari_segmoe.training.starting_weights import (
    find_encoder,
    load_starting_weights,
)

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a run with an optimiser, a schedule and a weight average of its own.

    Attributes
    ----------
    name : str
        Stands in events.
    epochs : int
        At most.
    rate_factor : float
        Multiplies the configured learning rate.
    """

    name: str
    epochs: int
    rate_factor: float = 1.0


class Draws(Protocol):
    """What can be drawn for one step; all are functions of (seed, epoch, number)."""

    @property
    def epoch(self) -> int:
        """Epoch of the run, from 0."""

    @property
    def number(self) -> int:
        """Step in its epoch, from 0."""

    @property
    def rng(self) -> np.random.Generator:
        """Draws what is not part of a sample; the same numbers at each call."""

    def labelled(self) -> list[Sample]:
        """Return this part's samples, with the user's further clicks."""

    def share(self, items: Sequence[Item]) -> list[Item]:
        """Return this part's share of a list for the whole step.

        A step is shared out to processes and to the pieces of accumulation.
        """


class Recipe:
    """A training procedure: supervised, one stage, until a subclass says otherwise.

    Parameters
    ----------
    config : TrainingConfig
    data : RunData
        Images of the run.
    """

    def __init__(self, config: TrainingConfig, data: RunData) -> None:
        self.config = config
        self.data = data

    def stages(self) -> tuple[Stage, ...]:
        """Return the stages; the best weights are chosen in the last one."""
        return (Stage("train", self.config.epochs),)

    def model_options(self, stage: Stage) -> dict[str, Any]:
        """Return the options of `create_model` in a stage; the card holds them too."""
        config, data = self.config, self.data
        return {
            **({"classes": 1 + len(data.mask_classes)} if data.mask_classes else {}),
            "image_classes": (len(data.classes) or 2) if config.image_head else 0,
            "object_classes": len(data.object_classes),
            "prompts": True,
            **config.model_options,
        }

    def make_model(self, stage: Stage, previous: nn.Module | None) -> nn.Module:
        """Return the network that a stage trains, on the CPU.

        Parameters
        ----------
        stage : Stage
        previous : nn.Module or None
            Averaged weights of the stage before; None in the first stage, and when a
            run is resumed: its tensors are then loaded into what this returns.
        """
        model = create_model(self.config.model, **self.model_options(stage))
        if previous is None:
            load_starting_weights(model, self.config)
        else:
            model.load_state_dict(previous.state_dict())
        return model

    def make_step(self, model: nn.Module) -> nn.Module:
        """Return a module whose forward takes a batch and returns its losses by name.

        "loss" is the one to be minimised. One module, so that DDP sees one forward.
        """
        raise NotImplementedError

    def make_optimizers(
        self, model: nn.Module, step: nn.Module, stage: Stage
    ) -> list[torch.optim.Optimizer]:
        """Return optimisers; the first one's groups follow the learning-rate schedule.

        A group with "base_rate" is scheduled; the others keep their rate.
        """
        rate = self.config.learning_rate * stage.rate_factor
        found = find_encoder(model)
        encoder = [] if found is None else list(found.parameters())
        known = {id(parameter) for parameter in encoder}
        rest = [value for value in model.parameters() if id(value) not in known]
        slow = rate * self.config.encoder_rate_factor
        groups = [
            {
                "params": [value for value in values if value.requires_grad],
                "lr": lr,
                "base_rate": lr,
            }
            for values, lr in ((encoder, slow), (rest, rate))
        ]
        return [torch.optim.AdamW(groups, weight_decay=self.config.weight_decay)]

    def make_batch(self, draws: Draws) -> Any:
        """Return what the step module's forward takes; it has ``to(device)``."""
        return self.stack(draws.labelled())

    def stack(self, samples: Sequence[Sample]) -> Batch:
        """Return samples as tensors, with the fields that the losses ask for."""
        return make_batch(
            samples, fields=field_options(self.config), balance=self.data.balance
        )

    def after_step(self, model: nn.Module, average: nn.Module) -> None:
        """Look at the network and its running average after each optimiser step."""

    def epoch_figures(self) -> dict[str, Any]:
        """Return what the epoch's event shall hold besides losses; starts anew."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and numbers that resuming needs."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take what `state_dict` returned."""
