"""Dice and cross-entropy: by hand, gradients, what is not known, errors."""

import math

import pytest
import torch

from napari_segmoe.training.losses.dice_cross_entropy import (
    dice_cross_entropy,
    dice_loss,
)


def _plane(*rows):
    return torch.tensor([[rows]], dtype=torch.float64)


def test_dice_of_a_worked_example():
    probability = _plane((1.0, 0.5), (0.0, 0.0))
    target = _plane((1.0, 0.0), (1.0, 0.0))
    assert float(dice_loss(probability, target)) == pytest.approx(1 - 3 / 4.5)


def test_nothing_found_where_nothing_is_costs_nothing():
    empty = torch.zeros(2, 1, 4, 4)
    assert float(dice_loss(empty, empty)) == 0


def test_something_found_where_nothing_is_has_a_gradient():
    probability = torch.full((1, 1, 4, 4), 0.5, requires_grad=True)
    dice_loss(probability, torch.zeros(1, 1, 4, 4)).backward()
    assert float(probability.grad.min()) > 1e-3


def test_one_class_by_hand():
    logits = torch.zeros(1, 1, 2, 2, dtype=torch.float64)
    truth = _plane((1.0, 1.0), (0.0, 0.0))
    dice, entropy = dice_cross_entropy(logits, truth)
    assert float(dice) == pytest.approx(1 - (2 * 1 + 1) / (2 + 2 + 1))
    assert float(entropy) == pytest.approx(math.log(2))


def test_pixels_that_do_not_count_change_nothing():
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(1, 1, 4, 4, generator=generator)
    truth = torch.ones(1, 1, 4, 4)
    counted = torch.ones(1, 1, 4, 4)
    counted[..., 2:] = 0
    other, wild = truth.clone(), scores.clone()
    other[..., 2:], wild[..., 2:] = 0.0, 9.0
    known = torch.stack(dice_cross_entropy(scores, truth, counted))
    assert torch.allclose(known, torch.stack(dice_cross_entropy(wild, other, counted)))
    cut = torch.stack(dice_cross_entropy(scores[..., :2], truth[..., :2]))
    assert torch.allclose(known, cut)


def test_gradients_are_right():
    generator = torch.Generator().manual_seed(2)
    scores = torch.randn(2, 1, 3, 3, generator=generator, dtype=torch.float64)
    target = (scores > 0.3).double()
    assert torch.autograd.gradcheck(
        lambda x: dice_loss(x.sigmoid(), target), scores.requires_grad_()
    )


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"must both be \(B, 1, H, W\)"):
        dice_cross_entropy(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 3, 3))
