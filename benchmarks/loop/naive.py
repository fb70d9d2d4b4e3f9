"""Fine-tuning as a first script does it: what is not marked counts as background."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from loop.material import Picture
from loop.users import Correction
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.training.config import Precision
from napari_segmoe.training.finetune.network import choose_machine


@dataclass(frozen=True, slots=True)
class NaiveSettings:
    """As many steps of as many crops, at the rates, of the round it is held against."""

    steps: int
    batch_size: int
    learning_rate: float
    encoder_rate_factor: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Plane:
    """One image at the size that the network sees, and the user's objects in it."""

    image: Tensor  # (3, H, W) in 0..1
    label: Tensor  # (1, H, W), 1 in objects, 0 elsewhere
    centres_yx: Sequence[tuple[float, float]]


def tune_naively(
    model: nn.Module,
    card: WeightsCard,
    pictures: Sequence[Picture],
    corrections: Sequence[Correction],
    settings: NaiveSettings,
) -> nn.Module:
    """Return a copy of a network, fine-tuned on crops around corrections.

    No replay of the old domain, no ignored pixels, no average of weights, no guard.
    Statistics of BatchNorm stay frozen, as in a round, so that they explain nothing.
    """
    tuned = copy.deepcopy(model).requires_grad_(True).eval()
    planes = _make_planes(card, pictures, corrections)
    rng = np.random.default_rng([settings.seed, 81])
    machine = choose_machine("cpu", Precision.AUTO)  # arithmetic as in a round
    optimizer = torch.optim.AdamW(_groups(tuned, settings), weight_decay=0.0)
    for _ in range(settings.steps):
        drawn = [_draw(planes, card.input_px, rng) for _ in range(settings.batch_size)]
        image = torch.stack([one for one, _ in drawn])
        truth = torch.stack([one for _, one in drawn])
        mean = torch.tensor(card.mean).reshape(1, 3, 1, 1)
        std = torch.tensor(card.std).reshape(1, 3, 1, 1)
        inputs = ((image - mean) / std).contiguous(memory_format=torch.channels_last)
        with machine.autocast():
            output = tuned(inputs)
        loss = _loss(output.foreground.float(), truth)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(tuned.parameters(), 1.0)
        optimizer.step()
    return tuned


def _groups(model: nn.Module, settings: NaiveSettings) -> list[dict[str, object]]:
    rate = settings.learning_rate
    encoder, others = [], []
    for name, parameter in model.named_parameters():
        (encoder if name.startswith("encoder") else others).append(parameter)
    return [
        {"params": encoder, "lr": rate * settings.encoder_rate_factor},
        {"params": others, "lr": rate},
    ]


def _loss(scores: Tensor, truth: Tensor) -> Tensor:
    probability = scores.sigmoid()
    overlap = (probability * truth).sum((1, 2, 3))
    total = (probability + truth).sum((1, 2, 3))
    dice = 1 - (2 * overlap + 1) / (total + 1)
    return F.binary_cross_entropy_with_logits(scores, truth) + dice.mean()


def _make_planes(
    card: WeightsCard, pictures: Sequence[Picture], corrections: Sequence[Correction]
) -> list[_Plane]:
    planes = []
    for place in dict.fromkeys(one.place for one in corrections):
        picture = pictures[place]
        masks = [one.mask for one in corrections if one.place == place]
        pixels = picture.pixels()
        factor = _factor(card, picture, pixels.shape[:2])
        image = (
            torch.from_numpy(_three(pixels).copy()).permute(2, 0, 1)[None].float() / 255
        )
        label = torch.from_numpy(np.any(masks, axis=0))[None, None].float()
        planes.append(
            _Plane(
                F.interpolate(image, scale_factor=factor, mode="area")[0],
                (F.interpolate(label, scale_factor=factor, mode="area")[0] > 0.5)
                .float()
                .contiguous(),
                [_centre(mask, factor) for mask in masks],
            )
        )
    return planes


def _factor(card: WeightsCard, picture: Picture, shape: tuple[int, ...]) -> float:
    if card.spacing_um is None or picture.spacing_um is None:
        return card.input_px / max(shape)
    return picture.spacing_um / card.spacing_um


def _three(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    stacked = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    return np.ascontiguousarray(stacked)


def _centre(mask: NDArray[np.bool_], factor: float) -> tuple[float, float]:
    y, x = np.nonzero(mask)
    return float(y.mean()) * factor, float(x.mean()) * factor


def _draw(
    planes: Sequence[_Plane], side: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    plane = planes[rng.integers(len(planes))]
    centre = plane.centres_yx[rng.integers(len(plane.centres_yx))]
    height, width = plane.image.shape[1:]
    y, x = (
        _corner(middle, side, length, rng)
        for middle, length in zip(centre, (height, width), strict=True)
    )
    image = _cut(plane.image, y, x, side)
    label = _cut(plane.label, y, x, side)
    for axis in (1, 2):
        if rng.random() < 0.5:
            image, label = image.flip(axis), label.flip(axis)
    return image, label


def _corner(middle: float, side: int, length: int, rng: np.random.Generator) -> int:
    start = round(middle - side / 2 + rng.uniform(-side / 4, side / 4))
    return int(np.clip(start, 0, max(length - side, 0)))


def _cut(plane: Tensor, y: int, x: int, side: int) -> Tensor:
    part = plane[:, y : y + side, x : x + side]
    return F.pad(part, (0, side - part.shape[2], 0, side - part.shape[1]))
