"""The recipe `two_stage`: a U-Net first, then a mixture of its skips.

"UTANet", AAAI 2025: the first stage trains encoder and decoder with plain skips, the
second freezes both and trains what mixes the skips (stripe, routers, experts, dockers),
with the expert-variance loss (Eq. 11) and with unused experts asked (Eq. 13-14).
"""

from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Generator, Tensor, nn

from napari_segmoe.errors import ConfigError, ModelOptionError
from napari_segmoe.models.card import find_weights
from napari_segmoe.models.network import State
from napari_segmoe.models.outputs import SegmentationOutput
from napari_segmoe.models.registry import create_model
from napari_segmoe.models.weights import load_weights
from napari_segmoe.training.batches import Batch
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.losses.expert_variance import expert_variance_loss
from napari_segmoe.training.recipes.recipe import Recipe, Stage
from napari_segmoe.training.recipes.supervised import SupervisedStep, supervised_losses
from napari_segmoe.training.routing_usage import RoutingUsage
from napari_segmoe.training.run_data import RunData

FIRST, SECOND = "plain_skips", "mixture"


@runtime_checkable
class TwoStageNetwork(Protocol):
    """A network that can be trained with plain skips first."""

    def load_first_stage(self, state: dict[str, Tensor]) -> None:
        """Take all but the mixture."""

    def train_mixture_only(self) -> None:
        """Freeze all but the mixture and the region head."""

    def ask_unused_experts(
        self, state: State, *, generator: Generator | None = None
    ) -> State:
        """Let each expert that no image asks for join one image's mixture."""


class TwoStage(Recipe):
    """Plain skips first; then the mixture, with all else frozen.

    The second stage starts from the running average of the first one's weights, or
    from the file ``first_stage``, and then is the only one.

    Raises
    ------
    ConfigError
        If the network has no mixture of skips.
    """

    def __init__(self, config: TrainingConfig, data: RunData) -> None:
        super().__init__(config, data)
        self.usage: RoutingUsage | None = None
        _check_network(config)

    def stages(self) -> tuple[Stage, ...]:
        """Return the plain stage, unless a file stands for it, and the mixture's."""
        second = Stage(SECOND, self.config.epochs)
        if self.config.first_stage:
            return (second,)
        return Stage(FIRST, self.config.first_stage_epochs), second

    def model_options(self, stage: Stage) -> dict[str, Any]:
        """Return the options of `create_model` in a stage."""
        skips = "plain" if stage.name == FIRST else "mixture"
        return {**super().model_options(stage), "skips": skips}

    def make_model(self, stage: Stage, previous: nn.Module | None) -> nn.Module:
        """Return the plain network, or one with a mixture whose rest is frozen."""
        if stage.name == FIRST:
            return super().make_model(stage, previous)
        model = create_model(self.config.model, **self.model_options(stage))
        two_stage = cast("TwoStageNetwork", model)
        if previous is not None:
            two_stage.load_first_stage(previous.state_dict())
        elif self.config.first_stage:
            first, _ = load_weights(find_weights(self.config.first_stage))
            two_stage.load_first_stage(first.state_dict())
        two_stage.train_mixture_only()
        return model

    def make_step(self, model: nn.Module) -> nn.Module:
        """Return a network with its losses."""
        self.usage = RoutingUsage()
        family = SupervisedStep if _is_plain(model) else MixtureStep
        return family(model, self.config, self.usage)

    def epoch_figures(self) -> dict[str, Any]:
        """Return which experts the images asked; nothing in the first stage."""
        return {} if self.usage is None else self.usage.event()


class MixtureStep(nn.Module):
    """A network whose mixture is trained, and its losses, as one module.

    Parameters
    ----------
    model : nn.Module
        With a mixture of skips.
    config : TrainingConfig
        Weights of the losses, and whether unused experts are asked.
    usage : RoutingUsage
        Is told which experts the images ask.
    """

    def __init__(
        self, model: nn.Module, config: TrainingConfig, usage: RoutingUsage
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.usage = usage

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch; "loss" is their weighted sum."""
        model, config = self.model, self.config
        state = model.encode(batch.image, batch.prompts)  # type: ignore[operator]
        if config.ask_unused_experts and self.training:
            state = cast("TwoStageNetwork", model).ask_unused_experts(state)
        output: SegmentationOutput = model.decode(state)  # type: ignore[operator]
        self.usage.add(output.routing)
        losses = supervised_losses(model, output, batch, config)
        variance = expert_variance_loss(state["gates"])
        total = losses["loss"] + config.expert_variance_weight * variance
        return losses | {"loss": total, "expert_variance": variance}


def _is_plain(model: nn.Module) -> bool:
    return getattr(model, "mixture", None) is None


def _check_network(config: TrainingConfig) -> None:
    """Refuse what has no mixture, and options that the stages decide."""
    with torch.device("meta"):
        try:
            model = create_model(config.model, **config.model_options)
        except ModelOptionError as error:
            raise ConfigError(f"model_options: {error}") from error
    if not isinstance(model, TwoStageNetwork):
        raise ConfigError(
            f"The recipe two_stage trains a mixture of skips, which {config.model} has"
            " not. Use utanet or utanet_lite, or another recipe."
        )
    if "skips" in config.model_options:
        raise ConfigError(
            "model_options: the recipe two_stage sets skips itself, plain first and"
            " mixture then. Leave it out."
        )
