"""Exponential moving average of a network."""

import copy

import torch
from torch import nn


class WeightAverage:
    """Keep the running mean of a network's parameters and buffers.

    Parameters
    ----------
    model : nn.Module
        Copied once; the copy is `average`.
    decay : float
        Largest share of the old mean; early steps use min(decay, (1 + t) / (10 + t)).
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        self.average = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the mean towards ``model``."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        own = self.average.state_dict()
        for name, value in model.state_dict().items():
            if own[name].is_floating_point():
                own[name].lerp_(value.to(own[name].dtype), 1 - decay)
            else:
                own[name].copy_(value)
