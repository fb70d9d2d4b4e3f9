"""Scores whose sigmoid is the foreground, whatever the number of channels."""

import torch

from napari_segmoe.models.outputs import SegmentationOutput, foreground_scores


def test_one_channel_is_its_own_score():
    logits = torch.tensor([-2.0, 0.0, 3.0]).reshape(1, 1, 1, 3)
    assert torch.equal(foreground_scores(logits), logits)


def test_two_channels_give_their_difference():
    logits = torch.tensor([[1.0, 4.0], [3.0, 2.0]]).reshape(1, 2, 1, 2)
    expected = torch.tensor([2.0, -2.0]).reshape(1, 1, 1, 2)
    torch.testing.assert_close(foreground_scores(logits), expected)


def test_many_channels_give_all_but_the_background():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 5, 3, generator=generator)
    expected = 1 - logits.softmax(dim=1)[:, :1]
    torch.testing.assert_close(foreground_scores(logits).sigmoid(), expected)


def test_extreme_scores_stay_finite_in_half_precision():
    logits = torch.tensor([300.0, -300.0]).reshape(1, 2, 1, 1).bfloat16()
    score = SegmentationOutput(logits=logits).foreground
    assert score.dtype == torch.float32
    assert score.item() == -600
