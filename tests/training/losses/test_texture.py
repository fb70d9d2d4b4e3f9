"""Texture loss against numbers worked by hand."""

import math

import pytest
import torch

from napari_segmoe.training.losses.texture import texture_loss


def _step(height=4, width=4, value=1.0):
    mask = torch.zeros(1, 1, height, width, dtype=torch.float64)
    mask[..., width // 2 :] = value
    return mask


def test_a_worked_example():
    # One row of (0, 0, 1, 1), zeros around: the Sobel row is 2 * (right - left), so
    # (0, 2, 2, -2): mean .5, variance (0.25 + 2.25 + 2.25 + 6.25) / 4 = 2.75.
    loss = texture_loss(_step(1), torch.zeros(1, 1, 1, 4, dtype=torch.float64))
    assert loss.item() == pytest.approx(math.sqrt(2.75), abs=1e-3)


def test_half_the_contrast_costs_half_the_spread():
    full, half = _step(), _step(value=0.5)
    none = torch.zeros_like(full)
    cost = texture_loss(half, full).item()
    assert cost == pytest.approx(texture_loss(full, none).item() / 2, abs=1e-4)


def test_where_an_edge_lies_does_not_matter():
    # Only the spread of the gradient is compared, not its place.
    left, right = torch.zeros(2, 1, 1, 9, 9, dtype=torch.float64)
    left[..., 3:6, 2:5] = 1
    right[..., 3:6, 4:7] = 1
    assert texture_loss(left, right).item() == pytest.approx(0, abs=1e-12)


def test_the_mean_is_over_images():
    full, none = _step(), torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    both = texture_loss(torch.cat([full, none]), torch.cat([none, none]))
    assert both.item() == pytest.approx(texture_loss(full, none).item() / 2)


def test_a_flat_map_has_a_finite_gradient():
    probability = torch.zeros(1, 1, 4, 4, requires_grad=True)
    texture_loss(probability, _step().float()).backward()
    assert probability.grad.isfinite().all()


def test_gradients_are_those_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    probability = torch.rand(2, 1, 5, 5, dtype=torch.float64, generator=generator)
    truth = torch.cat([_step(5, 5), _step(5, 5)])
    assert torch.autograd.gradcheck(
        lambda p: texture_loss(p, truth), probability.requires_grad_()
    )


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"must both be \(B, 1, H, W\)"):
        texture_loss(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 3, 4))
