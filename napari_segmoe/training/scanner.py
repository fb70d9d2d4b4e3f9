"""What slides and scanners do to tissue: glass beside it, colour cast, focus, JPEG.

All are functions of a sample's generator. Where the picture of what is there changes
(glass), image and ids change together; the others change the image alone, and move
nothing.
"""

from io import BytesIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from napari_segmoe.training.augmentation import blur
from napari_segmoe.training.stain import augment_stain

_MARGIN_PX = 8
_LEAST_TISSUE = 0.25  # share of a sample that glass leaves


def add_glass(
    image: Tensor, ids: NDArray[np.int32], rng: np.random.Generator
) -> tuple[Tensor, NDArray[np.int32]]:
    """Cover one side of a sample with empty glass, as at a section's edge.

    The edge is a line that waves a little, sharp or up to 12 px soft. Where more glass
    than tissue is seen no object is left, so that objects are cut, not erased from the
    picture only; at least a quarter of the sample stays tissue.

    Parameters
    ----------
    image : Tensor, (3, n, n) float32
        In 0..1.
    ids : (n, n) int32
        Objects.
    rng : Generator

    Returns
    -------
    (Tensor, (n, n) int32)
        New image and ids; the inputs are left as they are.
    """
    side = ids.shape[0]
    away = _beyond_edge(side, rng)
    # Shifted so that the share of glass is what was drawn.
    covered = rng.uniform(0.05, 1 - _LEAST_TISSUE)
    away = away - np.quantile(away, 1 - covered)
    width = float(rng.choice([0.3, rng.uniform(1, 12)]))
    share = 1 / (1 + np.exp(-np.clip(4 * away / width, -30, 30)))
    glass = np.clip(rng.uniform(0.88, 1.0) + rng.normal(0, 0.01, 3), 0, 1)
    mixed = torch.from_numpy(share.astype(np.float32))
    colour = torch.from_numpy(glass.astype(np.float32))[:, None, None]
    kept = np.where(share > 0.5, 0, ids).astype(ids.dtype)
    return image * (1 - mixed) + colour * mixed, kept


def augment_section(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Change stain as `augment_stain` does, then what a scanner adds.

    A colour cast in three of ten samples, focus (soft or over-sharpened) in a quarter,
    JPEG of quality 30 to 90 in a quarter.

    Parameters
    ----------
    image : Tensor, (3, n, n) float32
        In 0..1.
    rng : Generator

    Returns
    -------
    Tensor, (3, n, n)
    """
    # Mirrored beyond the border, since blurring takes what is outside for black.
    image = F.pad(image[None], (_MARGIN_PX,) * 4, mode="reflect")[0]
    image = augment_stain(image, rng)
    if rng.random() < 0.3:
        cast = np.exp(rng.normal(0, 0.03, 3)).astype(np.float32)
        image = image * torch.from_numpy(cast)[:, None, None]
    focus = rng.random()
    if focus < 0.15:
        image = blur(image, float(rng.uniform(0.8, 1.6)))
    elif focus < 0.25:
        image = image + float(rng.uniform(0.3, 1.0)) * (image - blur(image, 1.0))
    image = image.clamp(0, 1)[:, _MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX]
    if rng.random() < 0.25:
        image = compress(image, quality=int(rng.integers(30, 91)))
    return image.contiguous()


def compress(image: Tensor, *, quality: int) -> Tensor:
    """Return an image, (3, h, w) in 0..1, as JPEG of a quality leaves it."""
    pixels = (image.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    with Image.open(stream) as coded:
        found = np.array(coded)
    return torch.from_numpy(found).permute(2, 0, 1).float() / 255


def _beyond_edge(side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return how far each pixel lies beyond a waving line, in pixels."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    across = np.cos(angle) * y + np.sin(angle) * x
    along = np.cos(angle) * x - np.sin(angle) * y
    wave = np.zeros_like(across)
    for waves in (1, 2, 5):
        height = rng.normal(0, 0.06) * side / waves
        turns = 2 * np.pi * waves * along / side
        wave += height * np.sin(turns + rng.uniform(0, 2 * np.pi))
    return np.asarray(across + wave)
