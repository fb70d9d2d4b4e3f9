"""The adaptive multi-objective loss against its closed form."""

import math

import pytest
import torch

from napari_segmoe.training.losses.adaptive_objectives import AdaptiveObjectives


def _scalars(*values):
    return [torch.tensor(value, dtype=torch.float64) for value in values]


def _one_task(scale, *, share=1.0):
    return AdaptiveObjectives((share,), start=scale).double()


def test_a_loss_of_point_four_has_its_minimum_point_eight_at_scale_zero():
    objectives = _one_task(0.0)
    total = objectives(_scalars(0.4))
    total.backward()
    assert total.item() == pytest.approx(0.8)
    assert objectives.scales.grad.item() == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("scale", [-0.1, 0.1])
def test_beside_the_minimum_the_loss_is_larger(scale):
    assert _one_task(scale)(_scalars(0.4)).item() > 0.8


@pytest.mark.parametrize("loss", [0.1, 1.0, 3.0])
def test_the_best_scale_is_half_the_logarithm_of_loss_over_pull(loss):
    best = 0.5 * math.log(loss / 0.4)
    objectives = _one_task(best)
    total = objectives(_scalars(loss))
    total.backward()
    assert total.item() == pytest.approx(2 * math.sqrt(0.4 * loss))
    assert objectives.scales.grad.item() == pytest.approx(0, abs=1e-6)
    assert objectives.weights.item() == pytest.approx(math.sqrt(0.4 / loss))


def test_the_distance_has_half_the_share():
    # s* = ln(.5 * .8 / .4) / 2 = 0.
    objectives = _one_task(0.0, share=0.5)
    total = objectives(_scalars(0.8))
    total.backward()
    assert total.item() == pytest.approx(0.8)
    assert objectives.scales.grad.item() == pytest.approx(0, abs=1e-7)


def test_the_paper_s_three_tasks_at_the_start():
    # Every s is 1: (.2 + .5 * .6 + .3) / e + 3 * .4 e.
    total = AdaptiveObjectives().double()(_scalars(0.2, 0.6, 0.3))
    assert total.item() == pytest.approx(0.8 / math.e + 1.2 * math.e)


def test_a_solved_task_weighs_more():
    solved, open_task = (_one_task(0.5 * math.log(x / 0.4)) for x in (0.1, 1.0))
    assert solved.weights.item() == pytest.approx(2.0)
    assert open_task.weights.item() == pytest.approx(0.632, abs=1e-3)


def test_adam_finds_the_closed_form():
    objectives = AdaptiveObjectives()
    losses = [torch.tensor(value) for value in (0.3, 1.2, 0.1)]
    adam = torch.optim.Adam(objectives.parameters(), lr=0.05)
    for _ in range(300):
        adam.zero_grad()
        objectives(losses).backward()
        adam.step()
    wanted = [math.log(x / 0.4) / 2 for x in (0.3, 0.6, 0.1)]
    assert objectives.scales.tolist() == pytest.approx(wanted, abs=1e-2)


def test_losses_of_zero_are_finite():
    objectives = AdaptiveObjectives()
    total = objectives([torch.zeros(())] * 3)
    total.backward()
    assert total.item() == pytest.approx(1.2 * math.e, rel=1e-6)
    assert objectives.scales.grad.isfinite().all()


def test_half_precision_losses_are_added_in_float32():
    losses = [torch.tensor(0.5, dtype=torch.bfloat16)] * 3
    assert AdaptiveObjectives()(losses).dtype == torch.float32


def test_gradients_are_those_of_finite_differences():
    objectives = AdaptiveObjectives().double()

    def total(losses, scales):
        replaced = {"scales": scales}
        arguments = (list(losses.unbind()),)
        return torch.func.functional_call(objectives, replaced, arguments)

    losses = torch.tensor([0.2, 0.7, 1.3], dtype=torch.float64, requires_grad=True)
    scales = torch.tensor([0.1, -0.4, 1.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(total, (losses, scales))


def test_weights_carry_no_gradient():
    assert not AdaptiveObjectives().weights.requires_grad


@pytest.mark.parametrize(
    "losses", [[torch.zeros(())] * 2, [torch.zeros(2)] * 3, [torch.zeros(1)] * 3]
)
def test_other_losses_are_refused(losses):
    with pytest.raises(ValueError, match="expected 3 scalars"):
        AdaptiveObjectives()(losses)


@pytest.mark.parametrize("shares", [(), (1.0, 0.0), (-1.0,)])
def test_shares_must_be_positive(shares):
    with pytest.raises(ValueError, match="must be positive"):
        AdaptiveObjectives(shares)


def test_the_pull_must_be_positive():
    with pytest.raises(ValueError, match="must be positive"):
        AdaptiveObjectives(pull=0)
