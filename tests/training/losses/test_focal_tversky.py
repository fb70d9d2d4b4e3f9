"""Focal Tversky loss against numbers worked by hand."""

import pytest
import torch

from napari_segmoe.training.losses.focal_tversky import focal_tversky_loss


def _row(*values):
    return torch.tensor(values, dtype=torch.float64).reshape(1, 1, 1, -1)


def test_a_worked_example():
    # tp = .5, fp = .25, fn = .5:
    # TI = 1.5 / (.5 + .3 * .25 + .7 * .5 + 1) = 1.5 / 1.925.
    loss = focal_tversky_loss(_row(0.5, 0.25, 0.0), _row(1, 0, 0))
    assert loss.item() == pytest.approx((1 - 1.5 / 1.925) ** 0.75)


def test_even_weights_are_dice_to_the_power_gamma():
    # Dice = 2 tp / (2 tp + fp + fn) = 2 / 4.
    loss = focal_tversky_loss(
        _row(1, 1, 0), _row(0, 1, 1), false_positive=0.5, false_negative=0.5, smooth=0
    )
    assert loss.item() == pytest.approx(0.5**0.75)


def test_a_perfect_mask_reaches_the_floor():
    truth = _row(1, 0, 1)
    assert focal_tversky_loss(truth, truth).item() == pytest.approx(1e-7**0.75)


def test_a_missed_pixel_costs_more_than_a_false_one():
    missed = focal_tversky_loss(_row(1, 0, 0), _row(1, 1, 0))
    false = focal_tversky_loss(_row(1, 1, 0), _row(1, 0, 0))
    assert missed > false


def test_the_mean_is_over_images():
    good, bad, truth = _row(1, 0), _row(0, 1), _row(1, 0)
    each = [focal_tversky_loss(mask, truth) for mask in (good, bad)]
    both = focal_tversky_loss(torch.cat([good, bad]), torch.cat([truth, truth]))
    assert both.item() == pytest.approx((each[0] + each[1]).item() / 2)


def test_an_image_without_lesion_still_has_a_gradient():
    probability = torch.full((1, 1, 4, 4), 0.5, requires_grad=True)
    focal_tversky_loss(probability, torch.zeros(1, 1, 4, 4)).backward()
    assert (probability.grad > 1e-3).all()


def test_gradients_are_those_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    probability = torch.rand(2, 1, 4, 4, dtype=torch.float64, generator=generator)
    truth = (torch.rand(2, 1, 4, 4, generator=generator) > 0.5).double()
    assert torch.autograd.gradcheck(
        lambda p: focal_tversky_loss(p, truth), probability.requires_grad_()
    )


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"must both be \(B, 1, H, W\)"):
        focal_tversky_loss(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 5))


def test_a_map_without_channel_is_refused():
    with pytest.raises(ValueError, match=r"must both be \(B, 1, H, W\)"):
        focal_tversky_loss(torch.zeros(1, 4, 4), torch.zeros(1, 4, 4))
