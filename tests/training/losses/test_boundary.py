"""Boundary loss against numbers worked by hand."""

import math

import pytest
import torch

from napari_segmoe.training.losses.boundary import boundary_loss, curvature_kernel


def test_the_kernel_follows_its_formula():
    kernel = curvature_kernel()
    assert kernel.shape == (5, 5)
    assert kernel.abs().sum().item() == pytest.approx(1)
    # K(y, x) is (x^2 - y^2) exp(-(x^2 + y^2) / 2): here at (0, 1) and (0, 2).
    ratio = (kernel[2, 3] / kernel[2, 4]).item()
    assert ratio == pytest.approx(math.exp(-0.5) / (4 * math.exp(-2)))


def test_the_kernel_changes_sign_when_the_axes_are_swapped():
    kernel = curvature_kernel()
    torch.testing.assert_close(kernel, -kernel.T)
    assert torch.equal(kernel.diagonal(), torch.zeros(5, dtype=torch.float64))


def test_one_wrong_pixel_costs_the_kernels_norm():
    probability = torch.zeros(1, 1, 9, 9)
    probability[0, 0, 4, 4] = 0.5
    loss = boundary_loss(probability, torch.zeros(1, 1, 9, 9))
    # The whole kernel (L1 norm 1) lies inside the image, times .5, over 81 pixels.
    assert loss.item() == pytest.approx(0.5 / 81)


def test_equal_masks_cost_nothing():
    truth = torch.zeros(1, 1, 9, 9)
    truth[..., 2:6, 3:7] = 1
    assert boundary_loss(truth, truth).item() == 0


def test_a_shift_in_brightness_away_from_the_border_costs_nothing():
    ones = torch.ones(1, 1, 16, 16, dtype=torch.float64)
    kernel = curvature_kernel()[None, None]
    inside = torch.nn.functional.conv2d(ones, kernel)
    assert inside.abs().max().item() < 1e-12


def test_the_prediction_has_a_gradient_although_the_paper_thresholds_it():
    probability = torch.full((1, 1, 9, 9), 0.4, requires_grad=True)
    truth = torch.zeros(1, 1, 9, 9)
    truth[..., 3:6, 2:7] = 1
    boundary_loss(probability, truth).backward()
    assert probability.grad.abs().max() > 0


def test_gradients_are_those_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    probability = torch.rand(1, 1, 6, 6, dtype=torch.float64, generator=generator)
    truth = (torch.rand(1, 1, 6, 6, generator=generator) > 0.5).double()
    assert torch.autograd.gradcheck(
        lambda p: boundary_loss(p, truth), probability.requires_grad_()
    )


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"must both be \(B, 1, H, W\)"):
        boundary_loss(torch.zeros(1, 1, 4, 4), torch.zeros(2, 1, 4, 4))
