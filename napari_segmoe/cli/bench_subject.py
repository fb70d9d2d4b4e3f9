"""The network and the image that benchmarks run on."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from napari_segmoe.cli.options import DEFAULT_WEIGHTS
from napari_segmoe.data.click_simulation import next_click
from napari_segmoe.data.phantom import make_breast_phantom
from napari_segmoe.inference.devices import choose_device
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.inference.predictor import SegmentationPredictor
from napari_segmoe.models.card import WeightsCard, find_weights, list_weights, read_card
from napari_segmoe.models.registry import create_model
from napari_segmoe.models.weights import load_weights
from napari_segmoe.types import Click

_PRESET = "decoder_interaction_lite"


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A predictor that has an image, its network, and a click inside the lesion."""

    predictor: SegmentationPredictor
    network: WindowNetwork
    click: Click
    name: str


def make_subject(device: str, threads: int | None) -> Subject:
    """Load the shipped weights and show them a phantom.

    Without shipped weights the preset is measured as it is born: its speed is the
    same, its masks mean nothing, and ``name`` says so.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    model, card, name = _load_model()
    network = WindowNetwork(model, card, choose_device(device))
    predictor = SegmentationPredictor(network)
    phantom = make_breast_phantom(0, kind="benign")
    predictor.set_image(phantom.image)
    click = next_click(np.zeros_like(phantom.mask), phantom.mask)
    assert click is not None, "this phantom has a lesion"
    return Subject(predictor, network, click, name)


def load_spaced() -> tuple[nn.Module, WeightsCard, str]:
    """Return a network whose weights have a pixel size, its card and its name.

    The first shipped weights that have one; without any the preset as it is born,
    at 1 um per pixel: its speed is the same.
    """
    for name, path in list_weights():
        if read_card(path).spacing_um is not None:
            model, card = load_weights(path)
            return model, card, name
    model, card, name = _make_untrained()
    spaced = {"name": "untrained", "spacing_um": 1.0, "assumed_spacing_um": 1.0}
    return model, card.model_copy(update=spaced), name


def _load_model() -> tuple[nn.Module, WeightsCard, str]:
    if DEFAULT_WEIGHTS in dict(list_weights()):
        model, card = load_weights(find_weights(DEFAULT_WEIGHTS))
        return model, card, DEFAULT_WEIGHTS
    return _make_untrained()


def _make_untrained() -> tuple[nn.Module, WeightsCard, str]:
    torch_state = torch.random.get_rng_state()
    torch.manual_seed(0)
    model = create_model(_PRESET)
    torch.random.set_rng_state(torch_state)
    card = WeightsCard(
        name=_PRESET,
        model=_PRESET,
        classes=("benign", "malignant", "normal"),
        object_classes=("benign", "malignant"),
        prompt_channels=5,
    )
    return model, card, f"{_PRESET}, untrained"
