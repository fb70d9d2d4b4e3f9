"""TA-MoSC: its parts against their plain form, its gates against their promises."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.mixture_experts import (
    PaperExperts,
    ReferenceExperts,
    dispatch_per_gate,
    mix_maps,
)
from napari_segmoe.models.mixture_skips import (
    Docker,
    FeatureStripe,
    MixtureOfSkips,
    MixtureOptions,
    Routers,
    find_unused,
)
from napari_segmoe.types import Steering

SKIPS, WIDTH = (4, 6, 8, 10), 5
ORACLE = (0.85, 0.10, 0.04, 0.01)


def _random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _stir(module, seed=0):
    """Give batch norms statistics and scales that are not 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(generator=generator)
            part.running_var.uniform_(0.5, 2, generator=generator)
            part.weight.data.uniform_(0.5, 2, generator=generator)
            part.bias.data.normal_(generator=generator)
    return module


def _mixture(**options):
    torch.manual_seed(0)
    module = MixtureOfSkips(SKIPS, WIDTH, options=MixtureOptions(**options))
    return _stir(module).eval()


def _gates(*rows):
    """The same gates at all four stages, one row an image."""
    return torch.tensor(rows)[:, None].expand(-1, 4, -1)


def _maps(height=32, width=32, *, batch=2):
    return [
        _random(batch, channels, height // scale, width // scale, seed=scale)
        for channels, scale in zip(SKIPS, (1, 2, 4, 8), strict=True)
    ]


def test_the_stripe_is_one_convolution_of_all_maps_at_half_size():
    stripe = _stir(FeatureStripe(SKIPS, WIDTH)).eval()
    maps = _maps(32, 48)
    resized = [F.interpolate(one, size=(16, 24), mode="bilinear") for one in maps]
    plain = F.relu(stripe.norm(stripe.conv(torch.cat(resized, dim=1))))
    torch.testing.assert_close(stripe(maps), plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(32, 48), (16, 24), (8, 12), (4, 6)])
def test_a_docker_convolves_and_then_resizes(size):
    docker = _stir(Docker(WIDTH, 7)).eval()
    mixture = _random(2, WIDTH, 16, 24)
    plain = F.relu(docker.norm(docker.conv(mixture)))
    plain = F.interpolate(plain, size=size, mode="bilinear")
    torch.testing.assert_close(docker(mixture, size), plain)


def test_a_training_docker_takes_its_statistics_from_all_pixels():
    torch.manual_seed(0)
    docker = Docker(WIDTH, 7).train()
    mixture = _random(2, WIDTH, 16, 16)
    docker(mixture, (4, 4))
    mean = docker.conv(mixture).mean(dim=(0, 2, 3))
    torch.testing.assert_close(docker.norm.running_mean, 0.1 * mean)


@pytest.mark.parametrize("family", [ReferenceExperts, PaperExperts])
@pytest.mark.parametrize("top_k", [1, 2, 3, 4])
def test_shared_experts_equal_the_dispatch_of_each_gate(family, top_k):
    torch.manual_seed(0)
    experts = _stir(family(16, experts=4)).eval()
    stripe, gates = _random(3, 16, 9, 7), _random(3, 4, 4, seed=1).softmax(dim=2)
    kept = torch.zeros_like(gates).scatter(2, gates.topk(top_k, dim=2).indices, 1)
    weights = gates * kept / (gates * kept).sum(dim=2, keepdim=True)
    with torch.no_grad():
        shared = mix_maps(experts(stripe), weights)
        dispatched = dispatch_per_gate(experts, stripe, weights)
    torch.testing.assert_close(shared, dispatched, rtol=1e-5, atol=1e-5)


def test_folding_two_convolutions_changes_no_gradient():
    torch.manual_seed(0)
    experts = _stir(ReferenceExperts(4, experts=3)).double().train()
    stripe = _random(2, 4, 5, 5).double()
    experts(stripe).square().sum().backward()
    folded = [parameter.grad.clone() for parameter in experts.parameters()]
    experts.zero_grad()
    hidden = experts.norm(experts.widen(experts.expand(stripe)))
    experts.project(F.relu(hidden)).square().sum().backward()
    for mine, plain in zip(folded, experts.parameters(), strict=True):
        torch.testing.assert_close(mine, plain.grad)


def test_experts_do_not_mix():
    experts = ReferenceExperts(4, experts=3).eval()
    stripe = _random(1, 4, 3, 3)
    before = experts(stripe)
    experts.project.weight.data[4:8] += 1  # the second expert's
    changed = (experts(stripe) != before).flatten(2).any(dim=2)[0]
    assert changed.tolist() == [False, True, False]


def test_the_paper_s_expert_ends_in_a_relu():
    assert (PaperExperts(4, experts=2).eval()(_random(1, 4, 3, 3)) >= 0).all()


def test_the_parameters_of_the_paper_s_widths_are_those_of_the_code():
    mixture = MixtureOfSkips((64, 64, 128, 256))
    counts = {
        name: sum(p.numel() for p in part.parameters())
        for name, part in mixture.named_children()
    }
    assert counts["experts"] + counts["routers"] == 134_400
    assert sum(p.numel() for p in mixture.fuse.conv.parameters()) == 32_832
    assert sum(p.numel() for p in mixture.fuse.norm.parameters()) == 128
    assert counts["dockers"] == 34_304
    assert counts["norms"] == 0


def test_a_norm_after_each_mixture_is_an_option():
    mixture = _mixture(mixture_norm=True)
    assert sum(p.numel() for p in mixture.norms.parameters()) == 4 * 2 * WIDTH
    experts, weights = _random(1, 4, WIDTH, 8, 8), torch.full((1, 4, 4), 0.25)
    sizes = [(16, 16), (8, 8), (4, 4), (2, 2)]
    normed = mixture.mix(experts, weights, sizes)[1]
    plain = mixture.norms[1](experts.mean(dim=1))
    torch.testing.assert_close(normed, mixture.dockers[1](plain, (8, 8)))


@pytest.mark.parametrize("pool", ["average", "max"])
def test_gates_are_the_softmax_of_the_pooled_stripe(pool):
    routers = Routers(3, stages=4, experts=5, pool=pool)
    stripe = _random(2, 3, 4, 4)
    pooled = stripe.amax(dim=(2, 3)) if pool == "max" else stripe.mean(dim=(2, 3))
    gates = routers(stripe)
    for stage in range(4):
        plain = (pooled @ routers.weight[stage]).softmax(dim=1)
        torch.testing.assert_close(gates[:, stage], plain)


def test_gates_stay_in_full_precision_under_autocast():
    routers = Routers(3, stages=4, experts=4, pool="average")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        gates = routers(_random(1, 3, 4, 4).bfloat16())
    assert gates.dtype == torch.float32


def test_routers_do_not_pool_the_padding():
    mixture = _mixture()
    maps = _maps()
    seen = mixture.look(maps, (10, 12))
    pooled = seen[0][..., :10, :12]
    torch.testing.assert_close(seen[1], mixture.routers(pooled))
    assert not torch.allclose(seen[1], mixture.routers(seen[0]))


@pytest.mark.parametrize(
    ("reweigh", "top_k", "expected"),
    [
        ("renormalise", 2, (0.895, 0.105, 0, 0)),
        ("renormalise", 4, ORACLE),
        ("softmax", 2, (0.679, 0.321, 0, 0)),
        ("softmax", 4, (0.43, 0.20, 0.19, 0.18)),
        ("renormalise", 1, (1, 0, 0, 0)),
        ("softmax", 1, (1, 0, 0, 0)),
    ],
)
def test_worked_weights(reweigh, top_k, expected):
    mixture = _mixture(reweigh=reweigh, infer_top_k=top_k)
    weights, chosen = mixture.weigh(_gates(ORACLE))
    for stage in range(4):
        assert weights[0, stage].tolist() == pytest.approx(expected, abs=5e-3)
        assert chosen[stage].tolist() == [list(range(top_k))]


_LOGITS = st.lists(
    st.lists(st.floats(-60, 60, width=32), min_size=4, max_size=4),
    min_size=1,
    max_size=3,
)
_CHOICES = st.sampled_from(["renormalise", "softmax"])


@settings(max_examples=60, deadline=None)
@given(logits=_LOGITS, top_k=st.integers(1, 4), reweigh=_CHOICES)
def test_top_k_keeps_k_whose_weights_sum_to_one(logits, top_k, reweigh):
    gates = torch.tensor(logits).softmax(dim=1)[:, None].expand(-1, 4, -1)
    mixture = _mixture(infer_top_k=top_k, reweigh=reweigh)
    weights, chosen = mixture.weigh(gates)
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(len(logits), 4))
    assert ((weights > 0).sum(dim=2) <= top_k).all()
    for stage in range(4):
        assert chosen[stage].shape == (len(logits), top_k)
        others = weights[:, stage].scatter(1, chosen[stage], 0.0)
        assert not others.any()


@settings(max_examples=60, deadline=None)
@given(
    logits=_LOGITS,
    top_k=st.integers(1, 4),
    reweigh=_CHOICES,
    vetoed=st.sets(st.integers(1, 4), max_size=3),
)
def test_a_veto_leaves_the_others_and_renormalises(logits, top_k, reweigh, vetoed):
    gates = torch.tensor(logits).softmax(dim=1)[:, None].expand(-1, 4, -1)
    mixture = _mixture(infer_top_k=top_k, reweigh=reweigh)
    names = tuple(f"expert {number}" for number in vetoed)
    weights, _ = mixture.weigh(gates, steering=Steering(vetoed={"S2": names}))
    plain, _ = mixture.weigh(gates)
    assert not weights[:, 1, [number - 1 for number in vetoed]].any()
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(len(logits), 4))
    assert torch.equal(weights[:, [0, 2, 3]], plain[:, [0, 2, 3]])


def test_a_pinned_expert_is_the_only_one_asked():
    weights, chosen = _mixture().weigh(
        _gates(ORACLE), steering=Steering(pinned={"*": ("expert 4",)})
    )
    assert weights[0].tolist() == [[0, 0, 0, 1]] * 4
    assert [one.tolist() for one in chosen] == [[[3]]] * 4


def test_training_and_inference_have_their_own_k():
    mixture = _mixture(train_top_k=1, infer_top_k=4)
    assert len(mixture.weigh(_gates(ORACLE))[1][0][0]) == 4
    assert len(mixture.train().weigh(_gates(ORACLE))[1][0][0]) == 1


@settings(max_examples=40, deadline=None)
@given(logits=_LOGITS, top_k=st.integers(1, 4), seed=st.integers(0, 99))
def test_each_unused_expert_gets_one_image(logits, top_k, seed):
    gates = torch.tensor(logits).softmax(dim=1)[:, None].expand(-1, 4, -1)
    generator = torch.Generator().manual_seed(seed)
    extra = find_unused(gates, top_k, generator=generator)
    chosen = gates.topk(top_k, dim=2).indices
    asked = torch.zeros(gates.shape).scatter(2, chosen, 1).sum(dim=0)
    assert torch.equal(extra.sum(dim=0), (asked == 0).long())


def test_every_image_can_be_the_one():
    gates = _gates(*[ORACLE] * 5)
    generator = torch.Generator().manual_seed(0)
    hits = sum(find_unused(gates, 2, generator=generator) for _ in range(50))
    assert hits[:, :, :2].sum() == 0
    assert (hits.sum(dim=(1, 2)) > 0).all()


@pytest.mark.parametrize("reweigh", ["renormalise", "softmax"])
def test_an_unused_expert_joins_with_its_own_gate_and_both_learn(reweigh):
    mixture = _mixture(reweigh=reweigh, infer_top_k=2)
    gates = _gates(ORACLE, ORACLE).clone().requires_grad_()
    extra = torch.zeros(2, 4, 4, dtype=torch.bool)
    extra[1, 0, 3] = True  # expert 4 for the second image's first stage
    weights, _ = mixture.weigh(gates, extra=extra)
    assert (weights[0, 0] > 0).tolist() == [True, True, False, False]
    kept = torch.tensor([0.85, 0.10, 0.01])
    expected = kept.softmax(0) if reweigh == "softmax" else kept / kept.sum()
    torch.testing.assert_close(weights[1, 0, [0, 1, 3]], expected)
    weights[1, 0, 3].backward()
    assert gates.grad[1, 0, 3] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"infer_top_k": 5}, "infer_top_k is 5; there are 4 experts. Give 1 to 4"),
        ({"train_top_k": 0}, "train_top_k is 0"),
        ({"experts": 0}, "experts is 0"),
        ({"gate_pool": "min"}, "gate_pool is 'min'; use one of average, max"),
        ({"expert": "none"}, "expert is 'none'"),
        ({"reweigh": "no"}, "reweigh is 'no'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ModelOptionError, match=message):
        MixtureOptions(**options)
