"""UTANet: counts of the paper, training stages, steering, traces."""

import pytest
import torch

from napari_segmoe.errors import ModelOptionError, WeightsError
from napari_segmoe.models.registry import create_model
from napari_segmoe.types import Steering

STAGES = ("S1", "S2", "S3", "S4")
EXPERTS = tuple(f"expert {number}" for number in range(1, 5))


def _lite(*, seed=0, **options):
    torch.manual_seed(seed)
    return create_model("utanet_lite", **options).eval()


def _image(height=32, width=32, *, batch=1, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 3, height, width, generator=generator)


def _millions(model):
    return sum(parameter.numel() for parameter in model.parameters()) / 1e6


@pytest.mark.parametrize(
    ("options", "millions"),
    [
        ({}, 23.754),
        ({"parity": "code"}, 24.277),
        ({"skips": "plain"}, 23.552),
        ({"skips": "plain", "parity": "code"}, 24.075),
    ],
)
def test_parameters_are_those_of_the_authors_code(options, millions):
    assert _millions(create_model("utanet", **options)) == pytest.approx(
        millions, abs=1e-3
    )


def test_only_parity_with_the_code_has_dead_parameters():
    model = create_model("utanet", parity="code", train_top_k=4).train()
    model(_image(batch=2)).logits.square().mean().backward()
    dead = {n.split(".")[0] for n, p in model.named_parameters() if p.grad is None}
    assert dead == {"unused_stem"}


def test_parity_with_the_code_takes_its_second_softmax():
    assert create_model("utanet", parity="code").mixture.options.reweigh == "softmax"
    chosen = create_model("utanet", parity="code", reweigh="renormalise")
    assert chosen.mixture.options.reweigh == "renormalise"


def test_the_lite_preset_is_small_with_all_its_heads():
    model = _lite()
    assert _millions(model) <= 6
    assert model.prompt_stem is not None
    assert model.region_head is not None


def test_the_encoder_s_layers_are_resnet34_s():
    layers = create_model("utanet").encoder
    named = {n for n, _ in layers.named_parameters()}
    assert {"layer1.0.conv1.weight", "layer4.2.bn2.bias"} <= named
    assert "layer3.0.downsample.0.weight" in named
    resnet34_without_stem_and_fc = 21_797_672 - 9_408 - 128 - 513_000
    assert sum(
        p.numel() for n, p in layers.named_parameters() if n.startswith("layer")
    ) == (resnet34_without_stem_and_fc)


@pytest.mark.parametrize("option", ["skips", "parity"])
def test_unknown_choices_are_refused(option):
    with pytest.raises(ModelOptionError, match=f"{option} is 'other'; use"):
        create_model("utanet", **{option: "other"})


def test_an_unknown_routing_option_is_refused():
    with pytest.raises(ModelOptionError, match="cannot be built with"):
        create_model("utanet_lite", routers=3)


def test_two_experts_are_asked_in_training_and_three_otherwise():
    model = _lite()
    with torch.no_grad():
        asked = [routing.chosen.shape for routing in model(_image()).routing]
        trained = [routing.chosen.shape for routing in model.train()(_image()).routing]
    assert asked == [(1, 3)] * 4
    assert trained == [(1, 2)] * 4


def test_routing_names_four_stages_of_four_shared_experts():
    with torch.no_grad():
        routing = _lite()(_image()).routing
    assert tuple(stage.stage for stage in routing) == STAGES
    assert {stage.experts for stage in routing} == {EXPERTS}


@pytest.mark.parametrize(
    "options",
    [
        {"gate_pool": "max"},
        {"expert": "paper"},
        {"reweigh": "softmax"},
        {"mixture_norm": True},
        {"infer_top_k": 1},
        {"experts": 6, "infer_top_k": 6},
    ],
)
def test_every_variant_predicts(options):
    with torch.no_grad():
        output = _lite(**options)(_image(21, 35))
    assert output.logits.shape == (1, 1, 21, 35)
    assert torch.isfinite(output.logits).all()


def _count_calls(module):
    calls = []
    module.register_forward_hook(lambda *_: calls.append(1))
    return calls


def test_steering_computes_neither_encoder_nor_experts_again():
    model = _lite()
    encoder, experts = (
        _count_calls(model.encoder),
        _count_calls(model.mixture.experts),
    )
    steering = Steering(vetoed={"S4": ("expert 2",)}, pinned={"S1": ("expert 3",)})
    with torch.no_grad():
        state = model.encode(_image())
        plain = model.decode(state)
        steered = model.decode(state, steering=steering)
    assert (len(encoder), len(experts)) == (1, 1)
    assert steered.routing[0].weights.tolist() == [[0, 0, 1, 0]]
    assert steered.routing[3].weights[0, 1] == 0
    assert torch.equal(steered.routing[1].weights, plain.routing[1].weights)
    assert not torch.equal(steered.logits, plain.logits)
    with torch.no_grad():
        at_once = model(_image(), steering=steering)
    assert torch.equal(at_once.logits, steered.logits)


def test_vetoing_every_expert_of_a_stage_is_refused():
    with pytest.raises(ModelOptionError, match="Every expert of stage S2 is vetoed"):
        _lite()(_image(), steering=Steering(vetoed={"S2": EXPERTS}))


def test_an_unknown_expert_is_refused_with_the_known_ones():
    steering = Steering(pinned={"*": ("expert 9",)})
    with pytest.raises(ModelOptionError, match="has no expert 'expert 9'"):
        _lite()(_image(), steering=steering)


def test_traces_show_each_expert_s_share_on_the_image_without_padding():
    with torch.no_grad():
        output = _lite()(_image(21, 35, batch=2), explain=True)
    for routing in output.routing:
        for number, expert in enumerate(EXPERTS):
            energy = output.traces[f"energy/{routing.stage}/{expert}"]
            share = output.traces[f"contribution/{routing.stage}/{expert}"]
            weight = routing.weights[:, number, None, None, None]
            assert energy.shape == (2, 1, 11, 18)
            assert (energy >= 0).all()
            torch.testing.assert_close(share, weight * energy)
    assert output.traces["feature/stripe"].shape == (2, 1, 11, 18)


def test_plain_skips_share_all_other_names():
    full = dict(_lite().named_parameters())
    plain = dict(_lite(skips="plain").named_parameters())
    assert all(full[name].shape == one.shape for name, one in plain.items())
    assert {name.split(".")[0] for name in set(full) - set(plain)} == {"mixture"}


def test_plain_skips_have_no_experts_to_steer():
    model = _lite(skips="plain")
    with torch.no_grad():
        output = model(_image(), explain=True)
    assert output.routing == ()
    with pytest.raises(ModelOptionError, match="plain skips"):
        model(_image(), steering=Steering(vetoed={"*": ("expert 1",)}))


def test_the_second_stage_starts_from_the_first():
    first, second = _lite(seed=1, skips="plain"), _lite(seed=2)
    second.load_first_stage(first.state_dict())
    with torch.no_grad():
        one, other = first.encode(_image()), second.encode(_image())
    assert torch.equal(one["maps"][4], other["maps"][4])
    assert torch.equal(first.decoder[3].conv.weight, second.decoder[3].conv.weight)


@pytest.mark.parametrize("change", ["lacks", "has more", "is wider"])
def test_first_stage_weights_that_do_not_fit_are_refused(change):
    state = _lite(skips="plain").state_dict()
    if change == "lacks":
        del state["encoder.stem.weight"]
    elif change == "has more":
        state["encoder.layer5.weight"] = torch.zeros(1)
    else:
        state["encoder.stem.weight"] = torch.zeros(64, 3, 3, 3)
    with pytest.raises(WeightsError, match="the first stage do not fit the network"):
        _lite().load_first_stage(state)


def test_the_second_stage_trains_the_mixture_and_leaves_the_rest_as_it_is():
    model = _lite(train_top_k=4)
    model.train_mixture_only()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    output = model(_image(batch=2))
    output.logits.square().mean().backward()
    torch.optim.SGD(trained, lr=0.1).step()
    after = model.state_dict()
    changed = {n.split(".")[0] for n in before if not torch.equal(before[n], after[n])}
    assert changed == {"mixture"}
    assert not model.eval().mixture.training


def test_unused_experts_get_an_image_in_training():
    model = _lite(train_top_k=1).train()
    # Big gates: every image asks for the first expert.
    model.mixture.routers.weight.data[..., 0] += 1
    state = model.encode(_image(batch=2))
    output = model.decode(
        model.ask_unused_experts(state, generator=torch.Generator().manual_seed(0))
    )
    alone = model.decode(state)
    for stage, plain in zip(output.routing, alone.routing, strict=True):
        assert (plain.weights.sum(dim=0) > 0).tolist() == [True, False, False, False]
        assert (stage.weights.sum(dim=0) > 0).all()
        torch.testing.assert_close(stage.weights.sum(dim=1), torch.ones(2))
    output.logits.square().mean().backward()
    assert model.mixture.experts.project.weight.grad.flatten(1).any(dim=1).all()


def test_plain_skips_have_no_unused_experts():
    model = _lite(skips="plain")
    state = model.encode(_image())
    assert model.ask_unused_experts(state) is state


def test_heads_of_no_classes_are_not_built():
    model = _lite(image_classes=0, object_classes=0)
    with torch.no_grad():
        output = model(_image())
    assert output.class_logits is None
    assert output.embedding is None
    assert model.region_head is None


def test_a_region_head_works_without_an_image_head():
    model = _lite(image_classes=0, object_classes=2)
    with torch.no_grad():
        scores = model.classify_region(model(_image()), torch.ones(1, 1, 32, 32))
    assert scores.shape == (1, 2)
