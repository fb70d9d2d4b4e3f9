"""Make images look like those that weights were trained on, as far as colours go."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_segmoe.models.domain_guard import pool_maps
from napari_segmoe.training.finetune.network import Machine, stack_images

_DARKEST = 1 / 255
_STEPS = 14
_RATE = 0.15
_MOST_IMAGES = 4
_LEAST_GAIN = 0.03


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A change of each channel's optical density, d -> gain * d + offset.

    Attributes
    ----------
    gain, offset : Tensor, (3,)
    before, after : float
        Domain scores of the images as they are, and as they look afterwards.
    """

    gain: Tensor
    offset: Tensor
    before: float = 0.0
    after: float = 0.0

    def __call__(self, image: Tensor) -> Tensor:
        """Change an image, (..., 3, h, w) in 0..1."""
        return _change(image, self.gain, self.offset)

    @property
    def is_plain(self) -> bool:
        """Whether it changes nothing."""
        return bool((self.gain == 1).all() and (self.offset == 0).all())


def plain_look(score: float = 0.0) -> Look:
    """Return the look that changes nothing."""
    return Look(torch.ones(3), torch.zeros(3), score, score)


def fit_look(model: nn.Module, images: Sequence[Tensor], machine: Machine) -> Look:
    """Find the look under which images are most like the weights' training images.

    Their domain guard says how like they are, and lets through a gradient: six numbers
    are found in a few steps. Weights without a guard get the plain look.

    Parameters
    ----------
    model : nn.Module
        On the machine's device.
    images : sequence of Tensor, (3, n, n)
        A few, in 0..1.
    machine : Machine
    """
    guard = getattr(model, "domain_guard", None)
    if guard is None or not images:
        return plain_look()
    step = max(len(images) // _MOST_IMAGES, 1)
    shown = torch.stack(list(images[::step][:_MOST_IMAGES])).to(machine.device)
    inside = shown.new_ones((len(shown), 1, *shown.shape[-2:]))
    gain = torch.zeros(3, device=machine.device, requires_grad=True)
    offset = torch.zeros(3, device=machine.device, requires_grad=True)
    optimizer = torch.optim.Adam([gain, offset], lr=_RATE)
    scores: list[float] = []
    best = (gain.detach().clone(), offset.detach().clone())
    for number in range(_STEPS + 1):
        changed = _change(shown, gain.exp(), offset)
        with machine.autocast():
            maps = model.look(stack_images(list(changed)))  # type: ignore[operator]
        found = guard(pool_maps(maps, inside)).mean()
        score = float(found.detach())
        if not scores or score < min(scores):
            best = (gain.detach().clone(), offset.detach().clone())
        scores.append(score)
        if number < _STEPS:
            optimizer.zero_grad()
            found.backward()
            optimizer.step()
            _dim(optimizer, number)
    before, after = scores[0], min(scores)
    if not after < before * (1 - _LEAST_GAIN):
        return plain_look(before)
    return Look(best[0].exp().cpu(), best[1].cpu(), before, after)


@torch.no_grad()
def domain_drift(
    model: nn.Module, start: nn.Module, images: Sequence[Tensor], machine: Machine
) -> float:
    """Return by what training has multiplied the domain scores of images.

    The guard's numbers stay as they are while the maps that it judges move a little:
    its limit moves along.
    """
    means = []
    for one in (model, start):
        guard = getattr(one, "domain_guard", None)
        if guard is None or not images:
            return 1.0
        shown = stack_images(images).to(machine.device)
        inside = shown.new_ones((len(shown), 1, *shown.shape[-2:]))
        with machine.autocast():
            maps = one.look(shown)  # type: ignore[operator]
        means.append(float(guard(pool_maps(maps, inside)).mean()))
    return means[0] / max(means[1], 1e-6)


def _dim(optimizer: torch.optim.Optimizer, number: int) -> None:
    for group in optimizer.param_groups:
        group["lr"] = _RATE * (1 - number / _STEPS) + 0.01


def _change(image: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
    density = -image.clamp_min(_DARKEST).log()
    shape = (3, 1, 1)
    changed = density * gain.reshape(shape) + offset.reshape(shape)
    return (-changed).exp().clamp(_DARKEST, 1)
