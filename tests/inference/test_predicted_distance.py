"""The distance that a network predicts, beside the automatic mode's answer."""

import numpy as np
import pytest
import torch

from napari_segmoe.errors import NoImageError
from napari_segmoe.inference.devices import choose_device
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.inference.predictor import SegmentationPredictor
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.registry import create_model


def _predictor(name, spacing_um):
    torch.manual_seed(0)
    model = create_model(name, image_classes=0, object_classes=0, prompts=False)
    card = WeightsCard(name="made", model=name, input_px=64, spacing_um=spacing_um)
    return SegmentationPredictor(
        WindowNetwork(model.eval(), card, choose_device("cpu"))
    )


@pytest.mark.parametrize("spacing_um", [None, 1.0], ids=["whole", "windows"])
def test_the_distance_has_the_images_own_pixels(spacing_um, rng):
    predictor = _predictor("semi_moe_lite", spacing_um)
    image = rng.integers(0, 256, (100, 130, 3), dtype=np.uint8)
    predictor.set_image(image, (0.5, 0.5))
    answer = predictor.predict_with_distance()
    assert answer.distance is not None
    assert answer.distance.shape == (100, 130)
    assert np.isfinite(answer.distance).all()
    assert np.ptp(answer.distance) > 0
    plain = predictor.predict()
    assert plain.distance is None
    np.testing.assert_array_equal(answer.labels, plain.labels)


def test_a_network_without_distance_answers_without_one(rng):
    predictor = _predictor("resformer_lite", None)
    predictor.set_image(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    assert predictor.predict_with_distance().distance is None


def test_without_an_image_there_is_an_error():
    predictor = _predictor("semi_moe_lite", None)
    with pytest.raises(NoImageError):
        predictor.predict_with_distance()
    with pytest.raises(NoImageError):
        predictor.asked_image()
