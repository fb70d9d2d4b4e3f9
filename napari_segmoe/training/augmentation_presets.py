"""What changes between two looks at an image, by what made it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_segmoe.training.augmentation import (
    WarpStrength,
    augment_intensity,
    augment_scan,
    blur,
)
from napari_segmoe.types import Modality

Augment = Callable[[Tensor, np.random.Generator], Tensor]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far images are warped, and how their intensities change."""

    strength: WarpStrength
    intensity: Augment


def augmentation_for(modality: Modality, *, reach: float = 1.0) -> Augmentation:
    """Return the augmentation that suits a modality.

    Optical coherence tomography: left-right flips, small rotations and scales, gain
    and speckle; never upside down, since the vitreous is on top. Endoscopy: any
    rotation and flip, colours, highlights. Others as ultrasound.

    Parameters
    ----------
    modality : Modality
    reach : float
        Multiplies rotation, scale, shift and elastic warps. A rotation by anything
        stays that.
    """
    found = _PRESETS.get(modality, _ULTRASOUND)
    if found.strength.rotation_deg >= 180 and reach:
        strength = found.strength.times(reach, keep_rotation=True)
    else:
        strength = found.strength.times(reach)
    return Augmentation(strength, found.intensity)


def augment_endoscopy(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Change colours, brightness, sharpness, and add highlights; (3, H, W) in 0..1.

    What is black (the frame around the view) stays black.
    """
    valid = (image.amax(dim=0, keepdim=True) > 0).float()
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    if rng.random() < 0.8:
        image = _jitter_colours(image, rng)
    if rng.random() < 0.5:
        image = _shade(image, rng)
    if rng.random() < 0.3:
        image = _add_highlights(image, rng)
    if rng.random() < 0.25:
        image = blur(image, float(rng.uniform(0.5, 1.5)))
    if rng.random() < 0.2:
        noise = torch.randn(image.shape, generator=generator)
        image = image + float(rng.uniform(0.01, 0.03)) * noise
    return (image * valid).clamp(0, 1)


def _jitter_colours(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Change gamma, contrast, saturation and the balance of the channels."""
    image = image.clamp_min(1e-4) ** float(np.exp(rng.uniform(-0.3, 0.3)))
    mean = image.mean()
    image = mean + (image - mean) * float(rng.uniform(0.75, 1.3))
    grey = image.mean(dim=0, keepdim=True)
    image = grey + (image - grey) * float(rng.uniform(0.6, 1.4))
    gains = torch.from_numpy(np.exp(rng.uniform(-0.12, 0.12, 3)).astype(np.float32))
    return image * gains[:, None, None] * float(rng.uniform(0.8, 1.2))


def _shade(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Let the light fall off from a place."""
    y, x = _axes(image)
    away = (y - float(rng.uniform(-1, 1))) ** 2 + (x - float(rng.uniform(-1, 1))) ** 2
    return image * torch.exp(-float(rng.uniform(0, 0.4)) * away)


def _add_highlights(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Add up to six small white reflections with soft edges."""
    y, x = _axes(image)
    for _ in range(int(rng.integers(1, 7))):
        centre = rng.uniform(-0.9, 0.9, 2)
        size = rng.uniform(0.01, 0.05, 2)
        away = ((y - float(centre[0])) / float(size[0])) ** 2
        away = away + ((x - float(centre[1])) / float(size[1])) ** 2
        light = torch.sigmoid(4 * (1 - away))[None]
        image = image + (1 - image) * light
    return image


def _axes(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return coordinates from -1 to 1, (H, 1) and (1, W)."""
    height, width = image.shape[-2:]
    return (
        torch.linspace(-1, 1, height)[:, None],
        torch.linspace(-1, 1, width)[None, :],
    )


_ULTRASOUND = Augmentation(WarpStrength(), augment_intensity)
_PRESETS = {
    Modality.OCT: Augmentation(
        WarpStrength(
            rotation_deg=10.0, scale=0.2, stretch=0.15, shift=0.06, elastic=0.015
        ),
        augment_scan,
    ),
    Modality.ENDOSCOPY: Augmentation(
        WarpStrength(
            rotation_deg=180.0, scale=0.25, stretch=0.1, shift=0.08, elastic=0.02
        ),
        augment_endoscopy,
    ),
}
