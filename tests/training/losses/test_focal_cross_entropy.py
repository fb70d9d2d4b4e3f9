"""Focal cross-entropy against numbers worked by hand."""

import math

import pytest
import torch

from napari_segmoe.training.losses.focal_cross_entropy import (
    IGNORED,
    focal_cross_entropy,
)


def test_even_odds_cost_a_quarter_of_the_cross_entropy():
    loss = focal_cross_entropy(torch.zeros(1, 2), torch.tensor([0]))
    assert loss.item() == pytest.approx(0.25 * math.log(2))


def test_a_worked_example_of_two_rows():
    # p_t = .8 and p_t = .25.
    probabilities = torch.tensor([[0.1, 0.1, 0.8], [0.5, 0.25, 0.25]])
    loss = focal_cross_entropy(probabilities.log(), torch.tensor([2, 1]))
    rows = (0.2**2 * -math.log(0.8), 0.75**2 * -math.log(0.25))
    assert loss.item() == pytest.approx(sum(rows) / 2, rel=1e-5)


def test_without_focus_it_is_cross_entropy():
    logits, target = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    plain = torch.nn.functional.cross_entropy(logits, target)
    torch.testing.assert_close(focal_cross_entropy(logits, target, gamma=0), plain)


def test_ignored_rows_change_nothing():
    logits = torch.randn(3, 3)
    some = focal_cross_entropy(logits, torch.tensor([2, IGNORED, 0]))
    kept = focal_cross_entropy(logits[[0, 2]], torch.tensor([2, 0]))
    torch.testing.assert_close(some, kept)


def test_only_ignored_rows_cost_nothing_and_can_still_be_differentiated():
    logits = torch.randn(2, 3, requires_grad=True)
    loss = focal_cross_entropy(logits, torch.tensor([IGNORED, IGNORED]))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(2, 3))


def test_certain_and_right_has_a_finite_gradient():
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    focal_cross_entropy(logits, torch.tensor([0])).backward()
    assert logits.grad.isfinite().all()


def test_gradients_are_those_of_finite_differences():
    logits = torch.randn(
        4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    target = torch.tensor([0, 2, IGNORED, 1])
    assert torch.autograd.gradcheck(
        lambda x: focal_cross_entropy(x, target), logits.requires_grad_()
    )


@pytest.mark.parametrize(
    ("logits", "target"), [((2, 3), (3,)), ((2,), (2,)), ((2, 3), (2, 1))]
)
def test_shapes_must_fit(logits, target):
    with pytest.raises(ValueError, match=r"must be \(B, C\)"):
        focal_cross_entropy(torch.zeros(logits), torch.zeros(target, dtype=torch.long))
