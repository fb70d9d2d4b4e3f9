"""Pseudo-labels of a round: off before the hold-out, then gates or a teacher teach."""

import copy

import numpy as np
import pytest
import torch

from napari_segmoe.models.registry import create_model
from napari_segmoe.training.finetune.losses import LossWeights
from napari_segmoe.training.finetune.network import Machine
from napari_segmoe.training.finetune.pseudo_labels import PseudoSettings, PseudoTeaching
from napari_segmoe.training.finetune.views import PartialSample

PX = 64
MACHINE = Machine(torch.device("cpu"), None)


def _leave(image, rng):
    return image


@pytest.fixture(scope="module", params=["semi_moe_lite", "utanet_lite"])
def model(request):
    torch.manual_seed(0)
    return create_model(request.param, prompts=True).eval()


def _teaching(count=3, **changes):
    generator = torch.Generator().manual_seed(1)
    ids = np.full((PX, PX), -1, np.int32)
    ids[:, : PX // 4] = 0
    views = [
        PartialSample(torch.rand(3, PX, PX, generator=generator), ids)
        for _ in range(count)
    ]
    settings = PseudoSettings(
        weight=0.4, ramp_steps=4, batch_size=2, gate=0.0, **changes
    )
    weights = LossWeights()
    return PseudoTeaching(views, settings, weights, augment=_leave, machine=MACHINE)


def test_nothing_is_taught_before_the_teacher_passed_the_hold_out():
    teaching = _teaching()
    assert not teaching.is_on
    assert teaching.weight(50) == 0
    teaching.switch_on(10)
    teaching.switch_on(30)  # the first time counts
    assert [round(teaching.weight(step), 2) for step in (10, 11, 13, 40)] == [
        0.1,
        0.2,
        0.4,
        0.4,
    ]


def test_without_unlabelled_tissue_it_stays_off():
    teaching = _teaching(0)
    teaching.switch_on(0)
    assert not teaching.is_on
    assert teaching.weight(9) == 0


def test_the_student_learns_and_the_teacher_gets_no_gradient(model):
    student, teacher = copy.deepcopy(model), copy.deepcopy(model)
    teaching = _teaching()
    teaching.switch_on(0)

    loss = teaching.loss(student, teacher, 3)
    loss.backward()
    teaching.step_objectives()

    assert torch.isfinite(loss)
    assert any(value.grad is not None for value in student.parameters())
    assert all(value.grad is None for value in teacher.parameters())
    figures = teaching.figures
    assert figures["views"] == 3
    assert figures["weight"] == pytest.approx(0.4)
    assert 0 <= figures["agreement"] <= 1
    assert figures["counted"] == 0.75  # the rest is known from corrections


def test_gates_teach_experts_and_the_gates_themselves_are_not_taught():
    torch.manual_seed(0)
    student = create_model("semi_moe_lite", prompts=True).eval()
    before = _teaching()._objectives.scales.tolist()
    teaching = _teaching()
    teaching.switch_on(0)
    teaching.loss(student, student, 0).backward()
    teaching.step_objectives()
    gates = [value.grad for name, value in student.named_parameters() if "gate" in name]
    assert gates
    assert all(one is None or not one.any() for one in gates)
    assert teaching._objectives.scales.tolist() != before


def test_pixels_of_which_the_teacher_is_unsure_do_not_count(model):
    teaching = _teaching()
    teaching.switch_on(0)
    sure = PseudoTeaching(
        teaching.views,
        PseudoSettings(gate=1.1, batch_size=2),
        LossWeights(),
        augment=_leave,
        machine=MACHINE,
    )
    sure.switch_on(0)
    sure.loss(copy.deepcopy(model), model, 0)
    assert sure.figures["counted"] == 0
    assert sure.figures["agreement"] == 0


def test_the_same_step_draws_the_same_views():
    one, two = _teaching()._draw(5), _teaching()._draw(5)
    assert torch.equal(one[0], two[0])
    assert not torch.equal(one[0], _teaching(seed=1)._draw(5)[0])


def test_a_resumed_round_goes_on_at_the_same_weight():
    teaching, again = _teaching(), _teaching()
    teaching.switch_on(7)
    again.load_state_dict(teaching.state_dict())
    assert again.started_at == 7
    assert again.weight(8) == teaching.weight(8) > 0


def test_what_was_taught_is_kept_unmirrored_and_survives_a_resumption(model):
    teaching, other = _teaching(), _teaching()
    teaching.switch_on(0)
    for step in range(3):
        teaching.loss(model, model, step)
    assert set(teaching.taught) == {0, 1, 2}
    for kept in teaching.taught.values():
        assert kept.foreground.shape == (PX, PX)
        assert not kept.counted[:, : PX // 4].any()  # there the truth is known
        assert kept.counted[:, PX // 4 :].all()
        assert 0 < kept.weight <= 0.4
    other.load_state_dict(teaching.state_dict())
    for index, kept in teaching.taught.items():
        assert torch.equal(other.taught[index].foreground, kept.foreground)
        assert other.taught[index].agreement == kept.agreement
