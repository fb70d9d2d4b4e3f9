"""Foreign colours are changed until the domain guard finds them familiar."""

import numpy as np
import pytest
import torch

from napari_segmoe.models.domain_guard import pool_maps
from napari_segmoe.training.config import Precision
from napari_segmoe.training.finetune.guard import agreement_loss
from napari_segmoe.training.finetune.looks import (
    domain_drift,
    fit_look,
    plain_look,
)
from napari_segmoe.training.finetune.network import choose_machine, stack_images
from napari_segmoe.training.finetune.replay import keep_answers
from napari_segmoe.training.finetune.views import PartialSample
from tests.training.finetune.tiny import paint, tiny_bright

HIDDEN = np.full((64, 64), -1, np.int32)


def make_images(count, *, power=1.0):
    found = []
    for number in range(count):
        pixels = paint(number, bright=0.8)[0][:64, :64]
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
        found.append(image**power)
    return found


@pytest.fixture
def machine():
    return choose_machine("cpu", Precision.FP32)


@pytest.fixture
def guarded(machine):
    """The tiny network with a guard that knows forty images."""
    model = tiny_bright().eval()
    images = stack_images(make_images(40))
    guard = model.attach_domain_guard(16, 4)
    with torch.no_grad():
        inside = torch.ones(40, 1, 64, 64)
        guard.fill(pool_maps(model.look(images), inside))
    return machine.place(model).requires_grad_(False)


def test_dark_images_are_made_to_look_familiar(guarded, machine):
    look = fit_look(guarded, make_images(4, power=2.0), machine)
    assert not look.is_plain
    assert look.after < 0.7 * look.before
    assert (look.gain < 1).all() or (look.offset < 0).any()  # lighter


def test_the_plain_look_changes_nothing():
    image = make_images(1)[0]
    assert plain_look()(image) == pytest.approx(image, abs=1e-6)


def test_weights_without_a_guard_leave_images_as_they_are(machine):
    model = machine.place(tiny_bright())
    assert fit_look(model, make_images(4, power=2.0), machine).is_plain
    assert domain_drift(model, model, make_images(2), machine) == 1.0


def test_the_limit_moves_with_the_scores(guarded, machine):
    moved = machine.place(guarded)
    with torch.no_grad():
        moved.encoder.weight.mul_(1.5)
    assert domain_drift(guarded, guarded, make_images(4), machine) == pytest.approx(1)
    assert domain_drift(moved, guarded, make_images(4), machine) > 1.2


def test_a_network_agrees_with_itself_and_not_with_one_that_forgot(machine):
    model = machine.place(tiny_bright())
    samples = [PartialSample(image, HIDDEN) for image in make_images(8)]
    views = keep_answers(model, samples, machine)
    assert agreement_loss(model, views, machine) == 0
    forgot = machine.place(tiny_bright())
    with torch.no_grad():
        forgot.mask.bias.sub_(20)
    assert agreement_loss(forgot, views, machine) > 0.5


def test_one_answer_of_eight_may_change(machine):
    model = machine.place(tiny_bright())
    images = make_images(8)
    views = keep_answers(model, [PartialSample(one, HIDDEN) for one in images], machine)
    views[0].kept.heads.mask.neg_()
    assert agreement_loss(model, views, machine) == 0
    for view in views[1:4]:
        view.kept.heads.mask.neg_()
    assert agreement_loss(model, views, machine) > 0.1
