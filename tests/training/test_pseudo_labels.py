"""Pseudo-labels carry no gradient; their losses by hand."""

import math

import pytest
import torch

from napari_segmoe.models.outputs import SegmentationOutput
from napari_segmoe.training.config import make_config
from napari_segmoe.training.pseudo_label_losses import (
    TaughtHeads,
    consistency_loss,
    expert_heads,
    pseudo_label_losses,
)
from napari_segmoe.training.pseudo_labels import make_pseudo_labels, paste


@pytest.fixture
def config(tmp_path):
    return make_config(data=tmp_path, out=tmp_path / "run")


def _output(channels=1, **more):
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(2, n, 8, 8, generator=generator) for n in (channels, 1, 1)]
    logits, distance, boundary = (one.requires_grad_() for one in maps)
    return SegmentationOutput(
        logits=logits, distance=distance.tanh(), boundary=boundary, **more
    )


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_labels_are_what_is_most_likely_and_carry_no_gradient(channels):
    output = _output(channels)
    labels = make_pseudo_labels(output)
    for one in (labels.mask, labels.distance, labels.boundary, labels.confidence):
        assert one.shape == (2, 1, 8, 8)
        assert not one.requires_grad
    if channels == 1:
        assert torch.equal(labels.mask, (output.logits > 0).long())
    else:
        assert torch.equal(labels.mask[:, 0], output.logits.argmax(dim=1))
    assert torch.equal(labels.boundary, (output.boundary > 0).float())
    assert torch.equal(labels.distance, output.distance.detach())


def test_confidence_is_the_probability_of_what_is_stated():
    logits = torch.tensor([math.log(4.0), -math.log(9.0)]).reshape(1, 1, 1, 2)
    labels = make_pseudo_labels(SegmentationOutput(logits=logits))
    assert labels.confidence.flatten().tolist() == pytest.approx([0.8, 0.9])
    assert labels.counted(0.85).flatten().tolist() == [0.0, 1.0]
    assert labels.counted(0.0) is None
    assert labels.distance is None
    assert labels.boundary is None


def test_no_gradient_flows_through_labels_to_whoever_made_them(config):
    maker, student = _output(), _output()
    heads = TaughtHeads(student.logits, student.distance, student.boundary)
    losses = pseudo_label_losses([heads], make_pseudo_labels(maker), config)
    sum(losses.values()).backward()
    assert maker.logits.grad is None
    assert student.logits.grad.abs().sum() > 0


def test_losses_by_hand(config):
    labels = make_pseudo_labels(
        SegmentationOutput(
            logits=torch.full((1, 1, 2, 2), 9.0),
            distance=torch.full((1, 1, 2, 2), 0.5),
            boundary=torch.full((1, 1, 2, 2), -9.0),
        )
    )
    zero = torch.zeros(1, 1, 2, 2)
    losses = pseudo_label_losses([TaughtHeads(zero, zero, zero)], labels, config)
    # Dice of one half everywhere against everything, then against nothing
    assert float(losses["mask"]) == pytest.approx(1 - (2 * 2 + 1) / (2 + 4 + 1))
    assert float(losses["distance"]) == pytest.approx(0.25)
    assert float(losses["ring"]) == pytest.approx(1 - 1 / (2 + 0 + 1))


def test_pixels_below_the_gate_teach_nothing(config):
    logits = torch.tensor([[4.0, 0.1], [-4.0, -0.1]]).reshape(1, 1, 2, 2)
    labels = make_pseudo_labels(SegmentationOutput(logits=logits))
    student = torch.zeros(1, 1, 2, 2, requires_grad=True)
    gated = config.model_copy(
        update={"confidence_gate": 0.9, "cross_entropy_weight": 1.0}
    )
    heads = TaughtHeads(student, None, None)
    pseudo_label_losses([heads], labels, gated)["mask"].backward()
    assert (student.grad[0, 0, :, 0] != 0).all()
    assert (student.grad[0, 0, :, 1] == 0).all()


def test_classes_of_pixels_are_taught_where_a_network_tells_them(config):
    labels = make_pseudo_labels(_output(4))
    student = torch.zeros(2, 4, 8, 8, requires_grad=True)
    pseudo_label_losses([TaughtHeads(student, None, None)], labels, config)[
        "mask"
    ].backward()
    down = student.grad.argmin(dim=1)  # the channel that shall rise most
    assert torch.equal(down, labels.mask[:, 0])


def test_experts_are_found_by_name():
    own = {"mask expert": torch.zeros(1, 1, 4, 4)}
    assert expert_heads(_output()) is None
    assert expert_heads(_output(expert_outputs=own)).distance is None


def test_pasting_takes_the_next_row_and_moves_labels_with_images():
    output = _output()
    labels = make_pseudo_labels(output)
    pasted = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    pasted[0, :, :4] = True
    mixed = labels.mixed(pasted)
    assert torch.equal(mixed.mask[0, :, :4], labels.mask[1, :, :4])
    assert torch.equal(mixed.mask[0, :, 4:], labels.mask[0, :, 4:])
    assert torch.equal(mixed.mask[1], labels.mask[1])
    image = paste(output.logits, pasted)
    assert torch.equal((image > 0).long(), mixed.mask)


def test_mask_and_distance_agree_at_three_quarters_one_pixel_inside():
    odds = math.log(3.0)
    output = SegmentationOutput(
        logits=torch.full((1, 1, 4, 4), odds),
        distance=torch.full((1, 1, 4, 4), 1 / 16),
    )
    assert float(consistency_loss(output, limit_px=16.0)) == pytest.approx(0.0)
    outside = SegmentationOutput(logits=output.logits, distance=-output.distance)
    assert float(consistency_loss(outside, limit_px=16.0)) == pytest.approx(0.25)


def test_consistency_teaches_both_sides():
    output = _output()
    consistency_loss(output, limit_px=16.0).backward()
    assert output.logits.grad.abs().sum() > 0


def test_consistency_without_a_distance_is_refused():
    with pytest.raises(ValueError, match="no distance"):
        consistency_loss(
            SegmentationOutput(logits=torch.zeros(1, 1, 4, 4)), limit_px=16.0
        )
