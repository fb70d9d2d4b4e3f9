"""Networks by name."""

import pytest
import torch

from napari_segmoe.errors import ModelOptionError, UnknownModelError
from napari_segmoe.models.preset_names import PRESETS
from napari_segmoe.models.registry import create_model, list_models, register_model


def test_every_paper_has_a_lite_preset():
    lite = {name for name in list_models() if name.endswith("_lite")}
    papers = ("decoder_interaction", "mixsearch", "resformer", "semi_moe", "utanet")
    assert lite == {f"{paper}_lite" for paper in papers}


def test_lists_without_torch_know_every_preset():
    assert sorted(PRESETS) == sorted(list_models())


def test_an_unknown_model_is_refused_with_the_known_ones():
    with pytest.raises(UnknownModelError, match="decoder_interaction_lite"):
        create_model("perceptron")


@pytest.mark.parametrize(
    ("option", "value"),
    [("in_channels", 0), ("classes", 0), ("image_classes", -1), ("object_classes", -2)],
)
def test_a_count_out_of_range_is_named(option, value):
    with pytest.raises(ModelOptionError, match=f"{option}={value}; give at least"):
        create_model("decoder_interaction_lite", **{option: value})


def test_a_count_that_is_no_number_is_refused():
    with pytest.raises(ModelOptionError, match="cannot be built"):
        create_model("decoder_interaction_lite", classes="many")


def test_a_name_is_registered_once():
    def decoder_interaction():
        return torch.nn.Identity()

    list_models()
    with pytest.raises(ValueError, match="already registered"):
        register_model(decoder_interaction)
