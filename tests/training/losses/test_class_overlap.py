import math

import pytest
import torch

from napari_segmoe.training.losses.class_overlap import (
    class_cross_entropy,
    class_dice_loss,
    multi_label_loss,
)


def _sure(classes, count, score=30.0):
    """Return logits that say the classes with certainty."""
    wanted = torch.nn.functional.one_hot(classes, count).movedim(3, 1)
    return wanted.double() * score


def test_a_right_answer_costs_nothing():
    classes = torch.tensor([[[0, 1], [2, 2]]])
    logits = _sure(classes, 3)
    assert class_dice_loss(logits, classes).item() == pytest.approx(0, abs=1e-6)
    assert class_cross_entropy(logits, classes).item() == pytest.approx(0, abs=1e-6)


def test_the_dice_of_a_worked_example():
    classes = torch.tensor([[[1, 1], [2, 0]]])
    found = torch.tensor([[[1, 0], [2, 0]]])
    # class 1: (2 * 1 + 1) / (1 + 2 + 1); class 2: (2 * 1 + 1) / (1 + 1 + 1)
    expected = 1 - (3 / 4 + 1) / 2
    assert class_dice_loss(_sure(found, 3), classes).item() == pytest.approx(expected)


def test_dice_pools_a_class_over_the_batch():
    classes = torch.tensor([[[1, 1, 1, 1]], [[1, 0, 0, 0]]])
    found = torch.tensor([[[1, 1, 1, 1]], [[0, 0, 0, 0]]])
    expected = 1 - (2 * 4 + 1) / (4 + 5 + 1)
    assert class_dice_loss(_sure(found, 2), classes).item() == pytest.approx(expected)


def test_absent_classes_do_not_count_in_the_dice():
    classes = torch.tensor([[[0, 1], [1, 0]]])
    assert class_dice_loss(_sure(classes, 9), classes).item() == pytest.approx(0)
    empty = torch.zeros((1, 2, 2), dtype=torch.int64)
    assert class_dice_loss(_sure(empty, 3), empty).item() == 0


def test_what_is_not_known_costs_nothing():
    classes = torch.tensor([[[1, 255], [0, 255]]])
    right = _sure(torch.tensor([[[1, 0], [0, 0]]]), 3)
    wrong = _sure(torch.tensor([[[1, 2], [0, 1]]]), 3)
    for loss in (class_dice_loss, class_cross_entropy):
        assert loss(right, classes).item() == pytest.approx(
            loss(wrong, classes).item(), abs=1e-9
        )


def test_the_cross_entropy_of_a_worked_example_with_weights():
    logits = torch.zeros(1, 3, 1, 3)
    classes = torch.tensor([[[0, 2, 255]]])
    expected = (1.0 + 5.0) * math.log(3) / 2
    weights = torch.tensor([1.0, 2.0, 5.0])
    assert class_cross_entropy(logits, classes, weights).item() == pytest.approx(
        expected, rel=1e-6
    )


def test_the_multi_label_loss_of_a_worked_example():
    logits = torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    present = torch.tensor([[1.0, float("nan")], [0.0, 1.0]])
    weights = torch.tensor([1.0, 3.0])
    expected = (2 * math.log(2) + 3 * math.log(1 + math.exp(-2))) / 3
    assert multi_label_loss(logits, present, weights).item() == pytest.approx(expected)


def test_labels_that_nobody_knows_cost_nothing_and_have_a_gradient():
    logits = torch.zeros(2, 3, requires_grad=True)
    loss = multi_label_loss(logits, torch.full((2, 3), float("nan")))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(2, 3))


@pytest.mark.parametrize("loss", [class_dice_loss, class_cross_entropy])
def test_gradients_are_those_of_finite_differences(loss):
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 3, 3, requires_grad=True)
    classes = torch.randint(0, 3, (2, 3, 3))
    classes[0, 0, 0] = 255
    value = loss(logits, classes)
    value.backward()
    step = torch.zeros_like(logits)
    step[1, 2, 1, 1] = 1e-2
    with torch.no_grad():
        slope = (loss(logits + step, classes) - loss(logits - step, classes)) / 2e-2
    assert logits.grad[1, 2, 1, 1].item() == pytest.approx(slope.item(), abs=1e-4)
    assert torch.equal(logits.grad[0, :, 0, 0], torch.zeros(3))


def test_a_class_beyond_the_network_is_refused():
    with pytest.raises(ValueError, match="classes=4"):
        class_dice_loss(torch.zeros(1, 3, 1, 1), torch.tensor([[[3]]]))


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"must be \(B, K, H, W\)"):
        class_cross_entropy(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2).long())
    with pytest.raises(ValueError, match=r"must both be \(B, C\)"):
        multi_label_loss(torch.zeros(1, 3), torch.zeros(1, 2))
