"""Augmentations for stained tissue: its dyes, brightness, contrast and sharpness."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_segmoe.training.augmentation import blur

# Haematoxylin, eosin and DAB in optical density (Ruifrok and Johnston 2001).
_DYES = np.array(
    [[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]], np.float32
)
_DARKEST = 1 / 255
_STRENGTH, _TINT = 0.3, 0.06


def jitter_stain(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Change how strong each dye is and how it looks; white stays white.

    Parameters
    ----------
    image : Tensor, (3, H, W) float32
        sRGB in 0..1.
    rng : Generator
        Draws a factor of each dye's amount, exp of -0.3 to 0.3, and a little change
        of its colour.

    Returns
    -------
    Tensor, (3, H, W)
    """
    amounts = np.exp(rng.uniform(-_STRENGTH, _STRENGTH, 3))
    return mix_stains(image, amounts, tints=rng.normal(0, _TINT, (3, 3)))


def mix_stains(
    image: Tensor,
    amounts: NDArray[np.floating],
    *,
    tints: NDArray[np.floating] | None = None,
) -> Tensor:
    """Multiply the amount of each dye, and change its colour a little.

    Parameters
    ----------
    image : Tensor, (3, H, W) float32
        sRGB in 0..1.
    amounts : (3,) float
        Factors of haematoxylin, eosin and DAB.
    tints : (3, 3) float, optional
        Logarithms of factors of each dye's densities in red, green and blue.

    Returns
    -------
    Tensor, (3, H, W)

    Notes
    -----
    Without tints the same as scaling the planes of scikit-image's HED space, which is
    that of Ruifrok and Johnston 2001 too; negative amounts of a dye, which scikit-image
    takes for none, are kept, so that factors of 1 change nothing.
    """
    dyes = _unit_rows(_DYES)
    tinted = dyes * np.exp(np.zeros((3, 3)) if tints is None else tints)
    changed = _unit_rows(np.maximum(tinted, 0.01)) * amounts[:, None]
    # density = amounts @ dyes, so all three steps are one 3 x 3 matrix.
    matrix = (np.linalg.inv(dyes) @ changed).astype(np.float32)
    density = -image.clamp_min(_DARKEST).log()
    mixed = torch.einsum("chw,cd->dhw", density, torch.from_numpy(matrix))
    return (-mixed).exp().clamp(0, 1)


def augment_stain(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Change dyes, brightness, contrast, sharpness and noise; (3, H, W) in 0..1.

    Each change is drawn on its own; a good part of the images keeps each property.
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    if rng.random() < 0.7:
        image = jitter_stain(image, rng)
    if rng.random() < 0.4:
        mean = image.mean()
        image = mean + (image - mean) * float(rng.uniform(0.8, 1.2))
        image = image * float(rng.uniform(0.88, 1.08))
    if rng.random() < 0.2:
        image = blur(image, float(rng.uniform(0.4, 1.0)))
    if rng.random() < 0.15:
        noise = torch.randn(image.shape[1:], generator=generator)
        image = image + float(rng.uniform(0.01, 0.03)) * noise
    return image.clamp(0, 1)


def _unit_rows(dyes: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(dyes / np.linalg.norm(dyes, axis=1, keepdims=True), np.float64)
