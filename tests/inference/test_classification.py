"""Cards whose classes do not fit their network."""

import numpy as np
import pytest
import torch

from napari_segmoe.errors import WeightsError
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.inference.predictor import SegmentationPredictor
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.registry import create_model
from napari_segmoe.types import Modality


def _predict(**words):
    torch.manual_seed(0)
    model = create_model("decoder_interaction_lite")
    torch.nn.init.constant_(model.head[-1].bias, 5.0)  # everything is an object
    card = WeightsCard(
        name="odd", model="decoder_interaction_lite", input_px=64, **words
    )
    network = WindowNetwork(model, card, torch.device("cpu"))
    predictor = SegmentationPredictor(network)
    image = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    predictor.set_image(image, modality=Modality.ULTRASOUND)
    return predictor.predict()


def test_weights_without_class_names_give_masks_without_class():
    prediction = _predict()
    assert prediction.mask.any()
    assert prediction.classes is None
    assert [one.class_name for one in prediction.objects] == [None]


def test_a_card_with_too_few_names_is_one_sentence():
    with pytest.raises(WeightsError, match="names 1 classes, but the network scores 2"):
        _predict(object_classes=("benign",), modality="ultrasound")
