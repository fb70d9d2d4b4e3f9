"""Dilated feature enhancement: formula, receptive field, parameters, forms."""

import pytest
import torch
from torch.nn import functional as F

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.dilated_enhancement import (
    DilatedEnhancement,
    EnhancementForm,
    PlainSkip,
    ReferenceEnhancement,
    SpatialAttention,
    build_enhancement,
)

PAPER_BRANCHES = ["dilation 6", "dilation 12", "dilation 18"]


def _build(form, channels=4):
    torch.manual_seed(0)
    return build_enhancement(channels, form=form).eval()


def _map(side=40, *, batch=2, channels=4):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, channels, side, side, generator=generator)


def _count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("form", list(EnhancementForm))
@pytest.mark.parametrize("side", [1, 2, 17])
def test_the_shape_is_kept(form, side):
    x = _map(side)
    with torch.no_grad():
        enhanced = _build(form)(x)
    assert enhanced.map.shape == x.shape
    assert torch.isfinite(enhanced.map).all()


def test_the_papers_form_is_relu_of_the_sum_times_attention():
    module, x = _build("paper"), _map()
    with torch.no_grad():
        found = module(x)
        summed = sum(branch(x) for branch in module.branches).relu()
        weight = module.attention(summed)
    torch.testing.assert_close(found.map, summed * weight)
    torch.testing.assert_close(found.attention, weight)
    assert list(found.branches) == PAPER_BRANCHES


def test_the_references_form_concatenates_and_adds_a_shortcut():
    module, x = _build("reference"), _map()
    with torch.no_grad():
        found = module(x)
        joined = torch.cat([branch(x) for branch in module.branches], dim=1)
        fused = (module.fuse(joined) + module.shortcut(x)).relu()
    torch.testing.assert_close(found.map, fused * module.attention(fused))
    assert list(found.branches) == ["pointwise", *PAPER_BRANCHES]


def test_no_enhancement_passes_the_map_on():
    x = _map()
    found = _build("none")(x)
    assert found.map is x
    assert found.attention is None
    assert not found.branches


@pytest.mark.parametrize("form", ["paper", "reference"])
def test_each_branch_sees_as_far_as_its_name_says(form):
    module, x = _build(form), torch.zeros(1, 4, 41, 41)
    spot = x.clone()
    spot[..., 20, 20] = 5
    with torch.no_grad():
        silent, active = module(x).branches, module(spot).branches
    for name in PAPER_BRANCHES:
        reach = int(name.split()[1])
        moved = (silent[name] != active[name]).any(dim=1)[0].nonzero() - 20
        assert {abs(int(step)) for step in moved.flatten()} == {0, reach}


def test_on_maps_narrower_than_the_dilation_only_the_kernels_centre_counts():
    module, x = _build("paper"), _map(5)
    convolution = module.branches[2][0]  # dilation 18
    centre = convolution.weight[:, :, 1:2, 1:2]
    torch.testing.assert_close(convolution(x), F.conv2d(x, centre))


@pytest.mark.parametrize("form", ["paper", "reference"])
def test_attention_is_one_share_a_pixel(form):
    with torch.no_grad():
        attention = _build(form)(_map()).attention
    assert attention.shape == (2, 1, 40, 40)
    assert ((attention > 0) & (attention < 1)).all()


def test_spatial_attention_reads_the_channels_mean_and_maximum():
    module, x = SpatialAttention(), _map(9)
    with torch.no_grad():
        torch.nn.init.zeros_(module.conv.weight)
        module.conv.weight[0, :, 3, 3] = torch.tensor([2.0, -1.0])
        found = module(x)
    wanted = torch.sigmoid(2 * x.mean(dim=1) - x.amax(dim=1))[:, None]
    torch.testing.assert_close(found, wanted)


def test_the_parameters_are_those_of_paper_and_reference():
    channels = 8
    square = channels**2
    # 3 branches of 3x3 and 1x1 without bias, two norms each; 7x7 on two maps.
    assert _count(DilatedEnhancement(channels)) == 30 * square + 12 * channels + 98
    # 1x1 and three 3x3 with a norm each, 3x3 on 4C and 1x1 shortcut with a norm each.
    assert _count(ReferenceEnhancement(channels)) == 65 * square + 12 * channels + 98
    assert _count(PlainSkip()) == 0


@pytest.mark.parametrize("form", ["paper", "reference"])
def test_gradients_reach_every_parameter(form):
    module = _build(form).train()
    module(_map(20)).map.square().mean().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("form", ["paper", "reference"])
def test_half_precision_comes_close(form):
    module, x = _build(form), _map(20)
    with torch.no_grad():
        full = module(x).map
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = module(x).map.float()
    torch.testing.assert_close(half, full, rtol=0.05, atol=0.05)


def test_an_unknown_form_is_refused_with_the_known_ones():
    with pytest.raises(ModelOptionError, match="Choose one of paper, reference"):
        build_enhancement(4, form="big")
