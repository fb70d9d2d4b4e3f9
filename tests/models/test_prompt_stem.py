"""The prompt stem adds nothing until it is trained, and never adds to no prompt."""

import pytest
import torch

from napari_segmoe.models.prompt_stem import PROMPT_CHANNELS, PromptStem


@pytest.mark.parametrize(
    ("size", "sides"), [((32, 32), (16, 16)), ((33, 47), (17, 24)), ((1, 1), (1, 1))]
)
def test_the_addition_has_the_size_of_the_first_convolution(size, sides):
    stem = PromptStem(8, stride=2)
    assert stem(torch.rand(2, PROMPT_CHANNELS, *size)).shape == (2, 8, *sides)


def test_a_new_stem_adds_exactly_zero():
    addition = PromptStem(8, stride=2)(torch.rand(1, PROMPT_CHANNELS, 16, 16))
    assert torch.count_nonzero(addition) == 0


def test_a_trained_stem_adds_zero_to_empty_prompts():
    stem = PromptStem(8, stride=2)
    torch.nn.init.normal_(stem.last.weight)
    assert torch.count_nonzero(stem(torch.zeros(1, PROMPT_CHANNELS, 16, 16))) == 0
    assert torch.count_nonzero(stem(torch.ones(1, PROMPT_CHANNELS, 16, 16))) > 0


def test_the_first_step_of_training_moves_the_last_layer():
    stem = PromptStem(8, stride=2)
    stem(torch.rand(1, PROMPT_CHANNELS, 16, 16)).sum().backward()
    assert stem.last.weight.grad.abs().max() > 0
