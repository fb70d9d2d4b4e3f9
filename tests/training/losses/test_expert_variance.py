"""Expert-variance loss against numbers worked by hand."""

import pytest
import torch

from napari_segmoe.training.losses.expert_variance import expert_variance_loss


def _gates(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def test_even_use_costs_nothing():
    assert expert_variance_loss(torch.full((3, 4, 4), 0.25)).item() == 0


def test_collapse_onto_one_of_four_experts_costs_three():
    one_hot = torch.zeros(5, 4, 4)
    one_hot[..., 2] = 1
    assert expert_variance_loss(one_hot).item() == pytest.approx(3)


def test_a_worked_example_of_two_routers():
    # Use of router 1: (.8 + .2, .2 + .8) = (1, 1), variance 0.
    # Use of router 2: (.9 + .7, .1 + .3) = (1.6, .4), variance .36, mean 1.
    gates = _gates([[0.8, 0.2], [0.9, 0.1]], [[0.2, 0.8], [0.7, 0.3]])
    assert expert_variance_loss(gates).item() == pytest.approx(0.18)


def test_images_may_differ_as_long_as_the_batch_is_balanced():
    assert expert_variance_loss(torch.eye(4)[:, None]).item() == 0


def test_the_batch_s_size_does_not_matter():
    gates = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0)).softmax(2)
    repeated = expert_variance_loss(gates.repeat(7, 1, 1))
    torch.testing.assert_close(repeated, expert_variance_loss(gates))


def test_the_authors_code_has_sixteen_thirds_of_it():
    gates = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0)).softmax(2)
    use = gates.sum(dim=0)
    code = (use.var(dim=1) / (use.mean(dim=1).square() + 1e-10)).sum()
    torch.testing.assert_close(code, expert_variance_loss(gates) * 16 / 3)


def test_descent_evens_out_the_use():
    scores = torch.tensor([[[2.0, 0.0, -1.0]]]).requires_grad_()
    expert_variance_loss(scores.softmax(dim=2)).backward()
    assert scores.grad[0, 0, 0] > 0
    assert scores.grad[0, 0, 2] < 0


def test_gradients_are_those_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    gates = torch.rand(2, 3, 4, dtype=torch.float64, generator=generator)
    assert torch.autograd.gradcheck(expert_variance_loss, gates.requires_grad_())


@pytest.mark.parametrize("shape", [(3, 4), (0, 4, 4), (2, 4, 0), (1, 2, 3, 4)])
def test_the_shape_must_fit(shape):
    with pytest.raises(ValueError, match=r"expected \(images, routers"):
        expert_variance_loss(torch.zeros(shape))
