"""Networks with two mask channels and a distance, asked through the predictor."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_segmoe.data.targets import signed_distance
from napari_segmoe.inference.predictor import load_predictor
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.registry import create_model
from napari_segmoe.models.weights import save_weights
from napari_segmoe.types import Click

OPTIONS = {"widths": (8, 8, 8, 8, 8), "prompts": True, "object_classes": 2}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of a narrow Semi-MoE, two mask channels, with random tensors."""
    torch.manual_seed(0)
    model = create_model("semi_moe", **OPTIONS).eval()
    card = WeightsCard(
        name="glands",
        model="semi_moe",
        options=OPTIONS,
        object_classes=("benign", "malignant"),
        input_px=64,
        prompt_channels=5,
    )
    path = tmp_path_factory.mktemp("weights") / "glands.safetensors"
    save_weights(path, model, card)
    return path


@pytest.fixture
def predictor(weights):
    predictor = load_predictor(weights, device="cpu")
    predictor.set_image(np.full((64, 64), 90, np.uint8))
    return predictor


@pytest.fixture
def scripted(predictor, monkeypatch):
    """A predictor whose network's logits and distance are those of a mask."""

    def script(mask):
        real = predictor._network.model.forward
        sign = torch.from_numpy(np.where(mask, 4.0, -4.0))[None].float()
        distance = torch.from_numpy(signed_distance(mask))[None, None]

        def forward(*args, **kwargs):
            # A common offset of both channels changes no softmax.
            logits = torch.stack([10 - sign / 2, 10 + sign / 2], dim=1)
            return replace(real(*args, **kwargs), logits=logits, distance=distance)

        monkeypatch.setattr(predictor._network.model, "forward", forward)
        return predictor

    return script


def _two_disks():
    y, x = np.mgrid[:64, :64]
    left = (y - 32) ** 2 + (x - 22) ** 2 <= 81
    return left | ((y - 32) ** 2 + (x - 39) ** 2 <= 81)


def test_the_probability_is_one_minus_the_background_s(scripted):
    mask = _two_disks()
    answer = scripted(mask).predict()
    expected = np.where(mask, 1 / (1 + np.exp(-4)), 1 / (1 + np.exp(4)))
    np.testing.assert_allclose(answer.probability, expected, atol=1e-5)
    assert np.array_equal(answer.mask, mask)


def test_the_automatic_mode_parts_touching_objects_by_the_distance(scripted):
    answer = scripted(_two_disks()).predict()
    assert [found.id for found in answer.objects] == [1, 2]
    assert answer.labels[32, 15] != answer.labels[32, 46]
    assert np.array_equal(answer.labels > 0, _two_disks())


def test_without_a_distance_touching_objects_are_one(scripted, monkeypatch):
    predictor = scripted(_two_disks())
    with_distance = predictor._network.model.forward

    def forward(*args, **kwargs):
        return replace(with_distance(*args, **kwargs), distance=None)

    monkeypatch.setattr(predictor._network.model, "forward", forward)
    assert len(predictor.predict().objects) == 1


def test_locked_pixels_stay_out_of_the_parts(scripted):
    locked = np.zeros((64, 64), bool)
    locked[:, 31:] = True
    answer = scripted(_two_disks()).predict(locked=locked)
    assert not answer.labels[:, 31:].any()
    assert answer.labels.max() == 1


def test_a_click_gets_the_foreground_component_under_it(scripted):
    mask = np.zeros((64, 64), bool)
    mask[8:24, 8:24] = True
    mask[40:56, 40:56] = True
    answer = scripted(mask).predict([Click(48, 48)])
    truth = np.zeros_like(mask)
    truth[40:56, 40:56] = True
    assert np.array_equal(answer.mask, truth)
    assert set(answer.classes) == {"benign", "malignant"}


@pytest.mark.parametrize("shape", [(1, 1), (3, 90), (64, 50, 3)])
def test_any_size_gets_an_answer_of_that_size(weights, shape):
    predictor = load_predictor(weights, device="cpu")
    predictor.set_image(np.zeros(shape, np.uint8))
    for answer in (predictor.predict(), predictor.predict([Click(0, 0)])):
        assert answer.labels.shape == shape[:2]
        assert np.isfinite(answer.probability).all()
