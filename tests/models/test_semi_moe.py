"""Semi-MoE against the counts and formulae of the paper's code, and its steering."""

import pytest
import torch
from torch.nn import functional as F

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.registry import create_model
from napari_segmoe.models.semi_moe import STAGES, Gate, MultiGating
from napari_segmoe.models.semi_moe_experts import EXPERTS
from napari_segmoe.models.unet import UNet
from napari_segmoe.types import Steering

SMALL = (4, 6, 8, 10, 12)


def _count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def _small(seed=0, **options):
    torch.manual_seed(seed)
    return create_model("semi_moe", widths=SMALL, **options).eval()


def _image(height=32, width=32, *, batch=1):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, height, width, generator=generator)


@pytest.fixture(scope="module")
def full():
    """The paper's network without storage, for counting."""
    with torch.device("meta"):
        return create_model("semi_moe")


@pytest.fixture(scope="module")
def lite():
    torch.manual_seed(0)
    return create_model("semi_moe_lite").eval()


@pytest.fixture(params=["full", "lite"])
def network(request, lite):
    return lite if request.param == "lite" else _small(image_classes=3)


def test_the_whole_network_has_the_paper_s_parameters(full):
    assert round(_count(full) / 1e6, 3) == 103.666


def test_gates_and_heads_have_84_718_parameters(full):
    assert _count(full.gating) == 84_718


def test_an_expert_has_34_527_million_parameters(full):
    mask, distance, boundary = (
        _count(expert) + _count(head)
        for expert, head in zip(full.experts.experts, full.expert_heads, strict=True)
    )
    assert round(mask / 1e6, 3) == 34.527
    assert mask - distance == 65
    assert boundary == mask


def test_the_lite_network_is_small(lite):
    assert lite.prompt_stem is not None
    assert lite.region_head is not None
    assert _count(lite) <= 6_000_000


def test_the_full_network_has_two_mask_channels_and_no_classes():
    output = _small()(_image())
    assert output.logits.shape == (1, 2, 32, 32)
    assert output.class_logits is None
    assert output.embedding is None


def test_a_gate_is_the_reference_s_formula():
    torch.manual_seed(0)
    gate = Gate(12, 3).eval()
    pooled = torch.randn(2, 12)
    hidden = F.relu(pooled @ gate.hidden.weight.T + gate.hidden.bias)
    attention = (hidden @ gate.attend.weight.T + gate.attend.bias).softmax(1)
    scores = (hidden * attention) @ gate.weigh.weight.T + gate.weigh.bias
    torch.testing.assert_close(gate(pooled), scores.softmax(dim=1))


def test_gates_stay_in_float32_under_autocast():
    gates = MultiGating(4, 2).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        weights = gates.weigh(torch.randn(2, 12))
    for one in weights:
        assert one.dtype == torch.float32
        torch.testing.assert_close(one.sum(dim=1), torch.ones(2))


def test_each_head_reads_the_weighted_sum_of_the_experts_maps():
    model = _small()
    with torch.no_grad():
        state = model.encode(_image())
        output = model.decode(state)
    weights = output.routing[0].weights[0]
    mixed = sum(weights[e] * state["maps"].last[e] for e in range(3))
    expected = model.gating.heads[0](mixed)
    torch.testing.assert_close(output.logits, expected)
    torch.testing.assert_close(output.features[0], mixed)


def test_distance_is_the_tanh_and_boundary_the_difference():
    model = _small()
    with torch.no_grad():
        output = model(_image())
        maps = model.encode(_image())["maps"].last
    distance, boundary = (
        head(sum(stage.weights[0, e] * maps[e] for e in range(3)))
        for head, stage in zip(
            list(model.gating.heads)[1:], output.routing[1:], strict=True
        )
    )
    torch.testing.assert_close(output.distance, distance.tanh())
    torch.testing.assert_close(output.boundary, boundary[:, 1:] - boundary[:, :1])
    softmax = boundary.softmax(dim=1)[:, 1:]
    torch.testing.assert_close(output.boundary.sigmoid(), softmax)


def test_experts_speak_for_themselves(network):
    with torch.no_grad():
        output = network(_image(33, 45))
    own = output.expert_outputs
    assert tuple(own) == EXPERTS
    assert own["mask expert"].shape == output.logits.shape
    assert own["distance expert"].shape == (1, 1, 33, 45)
    assert own["distance expert"].abs().max() <= 1
    assert own["boundary expert"].shape == (1, 1, 33, 45)
    assert output.auxiliary[0] is own["mask expert"]


def test_padding_does_not_reach_the_gates():
    model = _small()
    with torch.no_grad():
        state = model.encode(_image(17, 21))
        last = torch.cat(state["maps"].last, dim=1)[..., :17, :21]
        expected = model.gating.weigh(last.mean(dim=(2, 3)))
    for found, wanted in zip(state["gates"], expected, strict=True):
        torch.testing.assert_close(found, wanted)


def test_routing_names_tasks_and_experts(network):
    with torch.no_grad():
        output = network(_image(batch=2))
    assert tuple(stage.stage for stage in output.routing) == STAGES
    for stage in output.routing:
        assert stage.experts == EXPERTS
        assert stage.chosen.shape == (2, 3)
        torch.testing.assert_close(stage.weights.sum(dim=1), torch.ones(2))


def test_a_vetoed_expert_has_no_weight_and_the_others_are_renormalised(network):
    with torch.no_grad():
        state = network.encode(_image())
        plain = network.decode(state).routing[0].weights[0]
        veto = Steering(vetoed={"mask": ("distance expert",)})
        steered = network.decode(state, steering=veto)
    weights = steered.routing[0].weights[0]
    assert weights[1] == 0
    torch.testing.assert_close(weights[0] / weights[2], plain[0] / plain[2])
    torch.testing.assert_close(weights.sum(), torch.tensor(1.0))
    torch.testing.assert_close(
        steered.routing[1].weights[0, 1], state["gates"][1][0, 1]
    )


def test_a_pinned_expert_answers_alone():
    model = _small()
    with torch.no_grad():
        state = model.encode(_image())
        pin = Steering(pinned={"*": ("boundary expert",)})
        output = model.decode(state, steering=pin)
    assert output.routing[0].chosen.tolist() == [[2]]
    expected = model.gating.heads[0](state["maps"].last[2])
    torch.testing.assert_close(output.logits, expected)


def test_steering_computes_no_expert_again(network, monkeypatch):
    with torch.no_grad():
        state = network.encode(_image())
        monkeypatch.setattr(network.experts, "forward", None)
        veto = Steering(vetoed={"*": ("mask expert",)})
        steered = network.decode(state, steering=veto)
        assert not torch.equal(steered.logits, network.decode(state).logits)


def test_vetoing_every_expert_is_refused(network):
    with torch.no_grad(), pytest.raises(ModelOptionError, match="Allow at least one"):
        network(_image(), steering=Steering(vetoed={"*": EXPERTS}))


def test_an_unknown_expert_is_refused(network):
    with torch.no_grad(), pytest.raises(ModelOptionError, match="no expert 'expert 9'"):
        network(_image(), steering=Steering(pinned={"mask": ("expert 9",)}))


def test_contributions_are_gate_weight_times_energy(network):
    with torch.no_grad():
        output = network(_image(33, 45, batch=2), explain=True)
    traces = output.traces
    for stage in output.routing:
        for column, expert in enumerate(EXPERTS):
            energy = traces[f"energy/{stage.stage}/{expert}"]
            weight = stage.weights[:, column].reshape(2, 1, 1, 1)
            found = traces[f"contribution/{stage.stage}/{expert}"]
            torch.testing.assert_close(found, weight * energy)
            assert (energy >= 0).all()
            assert energy.any()


def test_each_expert_gets_its_own_share_of_the_prompts():
    model = _small(prompts=True)
    assert model.stem_channels == 3 * SMALL[0]
    prompts = torch.ones(1, 5, 32, 32)
    with torch.no_grad():
        before = model.encode(_image(), prompts)["maps"].last
        model.prompt_stem.last.weight[SMALL[0] : 2 * SMALL[0]] = 0.5
        after = model.encode(_image(), prompts)["maps"].last
    changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert changed == [False, True, False]


def test_experts_share_no_weights():
    model = _small()
    model.encode(_image())["maps"].last[0].sum().backward()
    touched = [
        any(p.grad is not None for p in expert.parameters())
        for expert in model.experts.experts
    ]
    assert touched == [True, False, False]


def test_weights_start_as_in_the_reference():
    torch.manual_seed(0)
    model = create_model("semi_moe", widths=(16, 32, 64))
    unet = model.experts.experts[0]
    convolution, norm, _ = unet.down[2].second
    assert isinstance(unet, UNet)
    # He's normal over the inputs: a variance of 2 / (64 * 9).
    assert convolution.weight.std().item() == pytest.approx((2 / 576) ** 0.5, rel=0.05)
    assert not convolution.bias.any()
    assert norm.weight.mean().item() == pytest.approx(1, abs=0.02)
    assert norm.weight.std().item() == pytest.approx(0.02, rel=0.5)


@pytest.mark.parametrize("widths", [(8, 16), (8, 0, 16), ()])
def test_impossible_widths_are_refused(widths):
    with pytest.raises(ModelOptionError, match="three or more positive"):
        create_model("semi_moe", widths=widths)
