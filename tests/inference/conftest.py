import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_segmoe.models.card import WeightsCard, list_weights
from napari_segmoe.models.registry import create_model
from napari_segmoe.models.weights import save_weights


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory):
    """Weights with random tensors that mark bright pixels' neighbourhoods."""
    torch.manual_seed(0)
    model = create_model("decoder_interaction_lite").eval()
    card = WeightsCard(
        name="small",
        model="decoder_interaction_lite",
        classes=("benign", "malignant", "normal"),
        object_classes=("benign", "malignant"),
        modality="ultrasound",
        input_px=64,
        prompt_channels=5,
    )
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(path, model, card)
    return path


@pytest.fixture(scope="session")
def spaced_weights(tmp_path_factory):
    """Weights with random tensors, made for 1 um per pixel."""
    torch.manual_seed(0)
    model = create_model("decoder_interaction_lite").eval()
    card = WeightsCard(
        name="spaced",
        model="decoder_interaction_lite",
        object_classes=("benign", "malignant"),
        modality="histology",
        spacing_um=1.0,
        assumed_spacing_um=0.5,
        input_px=64,
        prompt_channels=5,
    )
    path = tmp_path_factory.mktemp("weights") / "spaced.safetensors"
    save_weights(path, model, card)
    return path


@pytest.fixture(scope="session")
def gland_weights():
    """The shipped weights for glands, or those that SEGMOE_GLANDS names."""
    shipped = dict(list_weights()).get("glands")
    named = os.environ.get("SEGMOE_GLANDS")
    if named:
        return Path(named)
    if shipped is None:
        pytest.skip("There are no gland weights; SEGMOE_GLANDS can name some.")
    return shipped


@pytest.fixture(scope="session")
def glands(gland_weights):
    """A predictor of the gland weights, on one thread."""
    from napari_segmoe.inference.predictor import load_predictor

    return load_predictor(gland_weights, device="cpu", threads=1)


@pytest.fixture
def bright_objects(spaced_weights, monkeypatch):
    """A predictor at 1 um per pixel whose network marks what is bright, softly."""
    from napari_segmoe.inference.predictor import load_predictor

    predictor = load_predictor(spaced_weights, device="cpu")
    network = predictor._network
    answer, answer_tiles = network.answer, network.answer_tiles

    def of_grey(grey):
        return (1 / (1 + np.exp(-16 * (grey - 0.5)))).astype(np.float32)

    def seen(window, prompts, previous=None, **options):
        found = answer(window, prompts, previous, **options)
        grid = network._grid(window)[0].mean(0).cpu().numpy() * 0.5 + 0.5
        return replace(found, probability=of_grey(grid))

    def seen_tiles(tiles):
        found = answer_tiles(tiles)
        return replace(found, probability=of_grey(tiles.mean(-1) / 255))

    monkeypatch.setattr(network, "answer", seen)
    monkeypatch.setattr(network, "answer_tiles", seen_tiles)
    return predictor
