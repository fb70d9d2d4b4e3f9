import pytest
import torch

from napari_segmoe.models.card import WeightsCard
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
