"""Losses of partly known samples, by hand; and that the unknown costs nothing."""

import math

import pytest
import torch

from napari_segmoe.training.finetune.losses import (
    Heads,
    LossWeights,
    keeping_loss,
    loss_weights,
    partial_loss,
)
from napari_segmoe.training.finetune.targets import PartialBatch

SHAPE = (1, 1, 20, 20)


def make_batch(truth, weight):
    empty = torch.zeros(SHAPE)
    return PartialBatch(
        image=empty,
        prompts=empty,
        truth=truth,
        weight=weight,
        distance=empty + 0.5,
        distance_known=weight.bool().float(),
        ring=empty,
        ring_known=weight.bool().float(),
        pooled=empty,
        object_class=torch.tensor([-1]),
    )


def half_known():
    truth = torch.zeros(SHAPE)
    truth[..., :10, :10] = 1
    weight = torch.zeros(SHAPE)
    weight[..., :10, :] = 1
    return make_batch(truth, weight)


def test_the_mask_loss_is_entropy_plus_dice_over_known_pixels():
    scores = torch.zeros(SHAPE)  # probability 0.5 everywhere
    found = partial_loss(Heads(scores), half_known(), LossWeights(mask=1.0))
    dice = 1 - (2 * 50 + 1) / (100 + 100 + 1)
    assert found["mask"] == pytest.approx(math.log(2) + dice, abs=1e-5)


def test_dice_is_left_out_of_crops_that_know_too_little_foreground():
    batch = half_known()
    batch.weight[..., 7:, :] = 0
    batch.weight[..., 6, :] = 0  # 60 known foreground pixels
    found = partial_loss(Heads(torch.zeros(SHAPE)), batch, LossWeights(mask=1.0))
    assert found["mask"] == pytest.approx(math.log(2), abs=1e-5)


def test_the_unknown_has_no_gradient():
    heads = [torch.zeros(SHAPE, requires_grad=True) for _ in range(3)]
    batch = half_known()
    partial_loss(Heads(*heads), batch, LossWeights())["loss"].backward()
    for one in heads:
        assert (one.grad[..., 10:, :] == 0).all()
        assert (one.grad[..., :10, :] != 0).any()


def test_a_crop_of_which_nothing_is_known_costs_nothing():
    scores = torch.randn(SHAPE, requires_grad=True)
    batch = make_batch(torch.zeros(SHAPE), torch.zeros(SHAPE))
    found = partial_loss(Heads(scores, scores, scores), batch, LossWeights())
    found["loss"].backward()
    assert found["loss"] == 0
    assert torch.isfinite(scores.grad).all()


def test_keeping_an_answer_costs_nothing_and_changing_it_does():
    kept = Heads(torch.randn(SHAPE), torch.rand(SHAPE), torch.randn(SHAPE))
    counted = torch.ones(SHAPE)
    same = keeping_loss(kept, kept, counted, LossWeights())
    other = Heads(-kept.mask, kept.distance, kept.ring)
    assert same == pytest.approx(0, abs=1e-5)
    assert keeping_loss(other, kept, counted, LossWeights()) > 0.1
    assert keeping_loss(other, kept, 0 * counted, LossWeights()) == 0


def test_heads_count_as_in_the_training_of_the_base():
    found = loss_weights({"distance_weight": 2.0, "expert_weight": 0.5, "epochs": 3})
    assert (found.distance, found.experts) == (2.0, 0.5)
    assert found.mask == LossWeights().mask
