"""Pinning and vetoing experts, in every network that has some."""

import pytest
import torch

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.registry import create_model, list_models
from napari_segmoe.types import Steering

LITE = [name for name in list_models() if name.endswith("_lite")]
WITH_EXPERTS = ["semi_moe_lite", "utanet_lite"]
WITHOUT = [name for name in LITE if name not in WITH_EXPERTS]


@pytest.fixture(scope="module", params=WITH_EXPERTS)
def model(request):
    torch.manual_seed(0)
    return create_model(request.param).eval()


@pytest.fixture(scope="module")
def image():
    return torch.randn(2, 3, 33, 40, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def plain(model, image):
    with torch.no_grad():
        return model(image)


@torch.no_grad()
def _steered(model, image, **steering):
    return model(image, steering=Steering(**steering))


def test_a_vetoed_expert_has_no_weight_and_the_others_share_it(model, image, plain):
    expert = plain.routing[0].experts[0]
    output = _steered(model, image, vetoed={"*": (expert,)})
    for stage in output.routing:
        column = stage.experts.index(expert)
        assert (stage.weights[:, column] == 0).all()
        torch.testing.assert_close(stage.weights.sum(dim=1), torch.ones(2))
        assert not (stage.chosen == column).any()
    assert not torch.equal(output.logits, plain.logits)


def test_a_pinned_expert_is_asked_alone(model, image, plain):
    expert = plain.routing[0].experts[-1]
    output = _steered(model, image, pinned={"*": (expert,)})
    for stage in output.routing:
        column = stage.experts.index(expert)
        assert torch.equal(stage.weights[:, column], torch.ones(2))
        assert torch.equal(stage.chosen, torch.full((2, 1), column))


def test_one_stage_is_steered_and_the_others_are_not(model, image, plain):
    first, *others = plain.routing
    output = _steered(model, image, pinned={first.stage: (first.experts[1],)})
    assert torch.equal(output.routing[0].weights[:, 1], torch.ones(2))
    for before, after in zip(others, output.routing[1:], strict=True):
        assert torch.equal(before.weights, after.weights)


def test_steering_decodes_again_without_encoding_again(model, image, plain):
    steering = Steering(vetoed={"*": (plain.routing[0].experts[0],)})
    with torch.no_grad():
        state = model.encode(image)
        unsteered = model.decode(state)
        steered = model.decode(state, steering=steering)
        again = model.decode(state)
    assert torch.equal(unsteered.logits, plain.logits)
    assert torch.equal(again.logits, plain.logits)
    whole = _steered(model, image, vetoed=dict(steering.vetoed))
    assert torch.equal(steered.logits, whole.logits)


def test_vetoing_every_expert_is_refused_in_a_sentence(model, image, plain):
    for stage in ("*", plain.routing[-1].stage):
        with pytest.raises(ModelOptionError, match=r"Every expert .* is vetoed\."):
            _steered(model, image, vetoed={stage: plain.routing[0].experts})


def test_an_unknown_expert_is_named(model, image):
    with pytest.raises(ModelOptionError, match="no expert 'the best'"):
        _steered(model, image, pinned={"*": ("the best",)})


@pytest.mark.parametrize("name", WITHOUT)
def test_a_network_without_experts_says_so(name):
    model = create_model(name).eval()
    with pytest.raises(ModelOptionError, match="no experts to pin or veto"):
        _steered(model, torch.zeros(1, 3, 32, 32), vetoed={"*": ("a",)})
