"""The paper's network: parameters part by part, and its formulae by hand.

The authors' Keras model has 57.446 M parameters counting the batch norms' moving
statistics and the 7 constants of its input normalisation, 57.276 M trainable with its
first 50 layers frozen. Counted apart here: our running means of the UPA variances
(3 numbers a level), the prompt stem and the region head, none of which it has.
"""

import pytest
import torch
from torch import nn

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.interaction_blocks import (
    MultiScaleFusion,
    SeparableConv,
    TaskInteraction,
    UncertaintyProxyAttention,
)
from napari_segmoe.models.registry import create_model
from napari_segmoe.models.weights import save_weights

KERAS_NORMALISATION_CONSTANTS = 7
# Keras' first 50 layers, frozen: 27,807 parameters, of which 7 constants and 1,744
# moving statistics (stem, blocks 1a, 1b, 2a, first two norms of 2b) never train.
FROZEN_TRAINABLE = 27_807 - 7 - 1_744


@pytest.fixture(scope="module")
def paper():
    return create_model("decoder_interaction")


def _trainable(module):
    return sum(parameter.numel() for parameter in module.parameters())


def _as_keras_counts(*modules):
    """Count parameters and moving statistics, as Keras' summary does."""
    statistics = sum(
        norm.running_mean.numel() + norm.running_var.numel()
        for module in modules
        for norm in module.modules()
        if isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d))
    )
    return sum(map(_trainable, modules)) + statistics


def test_the_network_has_the_parameters_of_the_authors_code(paper):
    counted = _as_keras_counts(paper) + KERAS_NORMALISATION_CONSTANTS
    assert counted == 57_445_903
    assert round(counted / 1e6, 3) == 57.446


def test_as_many_parameters_train_as_in_the_authors_code(paper):
    trainable = _trainable(paper) - FROZEN_TRAINABLE
    assert round(trainable / 1e6, 3) == 57.276


@pytest.mark.parametrize(
    ("block", "millions"), list(enumerate((0.138, 0.242, 0.726, 5.818, 20.179)))
)
def test_encoder_blocks_have_their_parameters(paper, block, millions):
    counted = _as_keras_counts(paper.encoder_blocks[block])
    assert round(counted / 1e6, 3) == millions


@pytest.mark.parametrize(
    ("level", "millions"), list(enumerate((1.820, 0.406, 0.110, 0.034)))
)
def test_decoder_blocks_have_their_parameters(paper, level, millions):
    assert round(_as_keras_counts(paper.levels[level].block) / 1e6, 3) == millions


@pytest.mark.parametrize(
    ("part", "millions"),
    [
        ("gate", 0.433),
        ("interaction", 0.840),
        ("class_vector", 0.841),
        ("weighing", 0.001),
    ],
)
def test_the_other_parts_have_their_parameters(paper, part, millions):
    counted = _as_keras_counts(*(getattr(level, part) for level in paper.levels))
    assert round(counted / 1e6, 3) == millions


def test_the_first_upsampling_has_six_million_parameters(paper):
    assert _trainable(paper.levels[0].up) == 1792 * 384 * 9 + 384 == 6_193_536


def test_the_faithful_preset_squeezes_no_tap(paper):
    assert all(isinstance(squeeze, nn.Identity) for squeeze in paper.squeeze)


def test_our_additions_are_counted_apart(paper):
    ours = create_model("decoder_interaction", object_classes=2, prompts=True)
    added = _trainable(ours.region_head) + _trainable(ours.prompt_stem)
    assert _trainable(ours) == _trainable(paper) + added


def test_the_lite_preset_has_fewer_than_seven_and_a_half_million_parameters():
    assert _trainable(create_model("decoder_interaction_lite")) < 7.5e6


def test_half_precision_weights_of_the_lite_preset_have_at_most_12_mebibytes(tmp_path):
    path = tmp_path / "lite.safetensors"
    card = WeightsCard(name="lite", model="decoder_interaction_lite")
    save_weights(path, create_model("decoder_interaction_lite"), card, half=True)
    assert path.stat().st_size <= 12 * 2**20


def test_four_levels_report_their_weights():
    model = create_model("decoder_interaction_lite").eval()
    with torch.no_grad():
        output = model(torch.zeros(1, 3, 64, 64))
    assert [routing.stage for routing in output.routing] == ["D1", "D2", "D3", "D4"]


@pytest.mark.parametrize("dilation", [2, 4])
@pytest.mark.parametrize("size", [(8, 8), (7, 13), (1, 3)])
def test_dilation_by_subimages_equals_dilation(dilation, size):
    torch.manual_seed(0)
    separable = SeparableConv(4, 6, dilation=dilation).double()
    x = torch.randn(2, 4, *size, dtype=torch.float64)
    # Calling the layer itself is torch's own dilated convolution.
    expected = separable.pointwise(separable.depthwise(x))
    torch.testing.assert_close(separable(x), expected)


@pytest.mark.parametrize("dilation", [1, 2, 4])
def test_half_precision_gradients_of_channels_last_images_are_right(dilation):
    torch.manual_seed(0)
    separable = SeparableConv(8, 8, dilation=dilation)
    x = torch.randn(2, 8, 16, 16).to(memory_format=torch.channels_last)
    separable(x).square().mean().backward()
    expected = separable.depthwise.weight.grad.clone()
    separable.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        separable(x).float().square().mean().backward()
    error = (separable.depthwise.weight.grad - expected).norm() / expected.norm()
    assert error < 0.05


def test_fusion_with_equal_scores_is_the_mean_of_its_branches():
    torch.manual_seed(0)
    fusion = MultiScaleFusion(8)
    nn.init.zeros_(fusion.scales.weight)
    nn.init.zeros_(fusion.scales.bias)
    x = torch.randn(1, 8, 9, 9)
    mean = sum(branch(x) for branch in fusion.branches) / 3
    torch.testing.assert_close(fusion(x), fusion.fuse(mean))


def test_the_map_grows_by_17_5_percent_where_both_gates_are_even():
    # Eq. (5) with both sigmoids at 0.5: 1 + 0.7 * 0.5 * 0.5 = 1.175.
    interaction = TaskInteraction(4, 6).eval()
    for layer in (interaction.project, interaction.map_gate):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    decoded = torch.rand(2, 4, 3, 3)
    enhanced, _ = interaction(decoded, torch.rand(2, 6))
    torch.testing.assert_close(enhanced, 1.175 * decoded)


def test_modulation_stays_between_1_and_1_7():
    torch.manual_seed(0)
    interaction = TaskInteraction(4, 6).eval()
    decoded = torch.rand(2, 4, 3, 3) * 100 + 1
    enhanced, _ = interaction(decoded, torch.randn(2, 6) * 100)
    ratio = enhanced / decoded
    assert ratio.min() >= 1
    assert ratio.max() <= 1.7 + 1e-6


def test_a_training_batch_of_one_has_normalised_variances_of_one():
    weighing = UncertaintyProxyAttention().train()
    decoded, vector = torch.rand(1, 4, 5, 5), torch.rand(1, 6)
    ones = weighing.out(torch.relu(weighing.hidden(torch.ones(1, 2))))
    torch.testing.assert_close(weighing(decoded, vector), ones.softmax(dim=1))


def test_the_running_mean_starts_at_the_first_batch_and_then_moves_by_a_hundredth():
    weighing = UncertaintyProxyAttention().train()
    # Population variance of (0, 2) is 1, of (0, 4) is 4.
    first = torch.tensor([0.0, 2.0]).reshape(1, 1, 1, 2), torch.tensor([[0.0, 4.0]])
    weighing(*first)
    torch.testing.assert_close(weighing.running_variance, torch.tensor([1.0, 4.0]))
    weighing(first[0] * 2, first[1] * 0)
    expected = torch.tensor([0.99 * 1 + 0.01 * 4, 0.99 * 4])
    torch.testing.assert_close(weighing.running_variance, expected)


def test_weights_of_a_trained_network_do_not_move_in_use():
    weighing = UncertaintyProxyAttention().eval()
    before = weighing.running_variance.clone()
    weighing(torch.rand(2, 4, 5, 5), torch.rand(2, 6))
    assert torch.equal(weighing.running_variance, before)


@pytest.mark.parametrize(
    ("left_out", "absent", "stages"),
    [
        ({"weighing": False}, "UncertaintyProxyAttention", 0),
        ({"weighing": False, "interaction": False}, "TaskInteraction", 0),
        ({"fusion": False}, "MultiScaleFusion", 4),
    ],
)
def test_parts_can_be_left_out_for_comparison(left_out, absent, stages):
    model = create_model("decoder_interaction_lite", **left_out).eval()
    assert not any(type(part).__name__ == absent for part in model.modules())
    output = model(torch.rand(1, 3, 64, 64), explain=True)
    assert len(output.routing) == stages
    assert output.logits.shape == (1, 1, 64, 64)
    output.logits.sum().backward()
    scales = [key for key in output.traces if key.startswith("scales/")]
    assert len(scales) == (0 if "fusion" in left_out else 9)


def test_without_upa_the_enhanced_map_is_taken_whole():
    torch.manual_seed(0)
    whole = create_model("decoder_interaction_lite").eval()
    torch.manual_seed(0)
    alone = create_model("decoder_interaction_lite", weighing=False).eval()
    alone.load_state_dict(whole.state_dict(), strict=False)
    for level in whole.levels:
        level.weighing.out.weight.data.zero_()
        level.weighing.out.bias.data = torch.tensor([0.0, 0.0])
    image = torch.rand(1, 3, 64, 64)
    half = whole(image).logits
    taken = alone(image).logits
    assert not torch.allclose(half, taken)
    for level in whole.levels:  # Eq. (8) with a weight of one for both tasks
        level.weighing.forward = lambda decoded, _vector: torch.ones(len(decoded), 2)
    torch.testing.assert_close(whole(image).logits, taken)


def test_upa_alone_is_refused():
    with pytest.raises(ModelOptionError, match="UPA weighs what TIM changes"):
        create_model("decoder_interaction_lite", interaction=False)
