"""Where a run's first weights come from."""

from pathlib import Path

from torch import nn

from napari_segmoe.errors import ConfigError
from napari_segmoe.models.card import find_weights
from napari_segmoe.models.efficientnet import EfficientNetEncoder
from napari_segmoe.models.encoder_weights import load_encoder_state, load_imagenet_lite0
from napari_segmoe.models.weights import load_tensors, load_weights
from napari_segmoe.training.config import TrainingConfig


def load_starting_weights(model: nn.Module, config: TrainingConfig) -> None:
    """Load an encoder's or a whole network's weights, as configured.

    Raises
    ------
    ConfigError
        If the network has no encoder that these weights fit.
    WeightsError
        If the weights are missing or do not fit.
    """
    if config.start_from:
        start, card = load_weights(find_weights(config.start_from))
        load_tensors(model, start.state_dict(), source=card.name)
        return
    if not config.encoder_weights:
        return
    encoder = find_encoder(model)
    if not isinstance(encoder, EfficientNetEncoder):
        raise ConfigError(
            f"encoder_weights: {config.model} has no EfficientNet encoder to fill."
        )
    if config.encoder_weights == "imagenet":
        load_imagenet_lite0(encoder)
    else:
        load_encoder_state(encoder, Path(config.encoder_weights))


def find_encoder(model: nn.Module) -> nn.Module | None:
    """Return a network's ``encoder``, or else the EfficientNet inside it."""
    encoder = getattr(model, "encoder", None)
    if isinstance(encoder, nn.Module):
        return encoder
    inside = (one for one in model.modules() if isinstance(one, EfficientNetEncoder))
    return next(inside, None)
