"""The encoders: shapes, counts, padding, gradients."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from napari_segmoe.models.efficientnet import (
    B4_STAGES,
    SameConv2d,
    efficientnet_b4_encoder,
    efficientnet_lite0_encoder,
)

# Keras' EfficientNetB4 without top has 17,673,823 parameters; 7 of
# them are constants of its input normalisation, which we do outside.
KERAS_B4_PARAMETERS = 17_673_823
KERAS_B4_NORMALISATION_CONSTANTS = 7
TIMM_B4_TRAINABLE = 19_341_616 - (1792 * 1000 + 1000)


@pytest.fixture(scope="module")
def lite0():
    torch.manual_seed(0)
    return efficientnet_lite0_encoder().eval()


def _statistics(module):
    return sum(
        norm.running_mean.numel() + norm.running_var.numel()
        for norm in module.modules()
        if isinstance(norm, nn.BatchNorm2d)
    )


def test_b4_has_as_many_parameters_as_keras_counts():
    encoder = efficientnet_b4_encoder()
    trainable = sum(parameter.numel() for parameter in encoder.parameters())
    assert trainable == TIMM_B4_TRAINABLE
    counted = trainable + _statistics(encoder) + KERAS_B4_NORMALISATION_CONSTANTS
    assert counted == KERAS_B4_PARAMETERS


def test_b4_taps_have_the_shapes_of_the_keras_layers_at_224_px():
    encoder = efficientnet_b4_encoder().eval()
    with torch.no_grad():
        maps = encoder(torch.zeros(1, 3, 224, 224))
    assert [tuple(tap.shape[1:]) for tap in maps] == [
        (144, 112, 112),  # block2a_expand_activation
        (192, 56, 56),  # block3a_expand_activation
        (336, 28, 28),  # block4a_expand_activation
        (960, 14, 14),  # block6a_expand_activation
        (1792, 7, 7),  # top_activation
    ]
    assert encoder.tap_channels == (144, 192, 336, 960, 1792)


def test_b4_has_thirty_two_blocks():
    assert sum(stage.repeats for stage in B4_STAGES) == 32


def test_lite0_has_the_published_number_of_parameters(lite0):
    # 4,652,008 with its classifier of 1280 x 1000 + 1000.
    assert sum(p.numel() for p in lite0.parameters()) == 4_652_008 - 1_281_000


@pytest.mark.parametrize(
    ("size", "sides"),
    [
        ((64, 64), [(32, 32), (16, 16), (8, 8), (4, 4), (2, 2)]),
        ((37, 91), [(19, 46), (10, 23), (5, 12), (3, 6), (2, 3)]),
        ((1, 1), [(1, 1)] * 5),
    ],
)
def test_sides_are_halved_and_rounded_up(lite0, size, sides):
    with torch.no_grad():
        maps = lite0(torch.rand(2, 3, *size))
    assert [tuple(tap.shape[-2:]) for tap in maps] == sides
    assert tuple(tap.shape[1] for tap in maps) == lite0.tap_channels
    assert lite0.tap_channels == (96, 144, 240, 672, 1280)


def test_stem_addition_goes_in_before_the_norm(lite0):
    image = torch.rand(1, 3, 32, 32)
    convolved = lite0.stem(image)
    with torch.no_grad():
        doubled = lite0(image, stem_addition=convolved)
        of_doubled_image = lite0(2 * image)
    for ours, expected in zip(doubled, of_doubled_image, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_a_zero_stem_addition_changes_no_bit(lite0):
    image = torch.rand(1, 3, 33, 47)
    with torch.no_grad():
        plain = lite0(image)
        added = lite0(image, stem_addition=torch.zeros(1, 32, 17, 24))
    assert all(torch.equal(a, b) for a, b in zip(plain, added, strict=True))


def test_even_sides_are_padded_at_the_bottom_and_right_only():
    convolution = SameConv2d(1, 1, 3, stride=2)
    nn.init.ones_(convolution.weight)
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    # Sums over rows 0-2 / 2-3 and columns 0-2 / 2-3.
    expected = torch.tensor([[[[45.0, 39.0], [66.0, 50.0]]]])
    assert torch.equal(convolution(image), expected)


def test_odd_sides_are_padded_on_both_sides():
    convolution = SameConv2d(1, 1, 3, stride=2)
    nn.init.ones_(convolution.weight)
    ours = convolution(torch.ones(1, 1, 5, 5))
    symmetric = functional.conv2d(
        torch.ones(1, 1, 5, 5), torch.ones(1, 1, 3, 3), stride=2, padding=1
    )
    assert torch.equal(ours, symmetric)


def test_gradients_reach_every_parameter():
    encoder = efficientnet_lite0_encoder()
    sum(tap.square().mean() for tap in encoder(torch.rand(2, 3, 64, 64))).backward()
    assert [n for n, p in encoder.named_parameters() if p.grad is None] == []


def test_a_prediction_alone_equals_that_in_a_batch(lite0):
    images = torch.rand(3, 3, 40, 56)
    with torch.no_grad():
        together, alone = lite0(images), lite0(images[1:2])
    for batched, single in zip(together, alone, strict=True):
        torch.testing.assert_close(batched[1:2], single, rtol=1e-4, atol=1e-5)
