"""Made-up images by which a round notices what it forgets; no data, no patient."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_segmoe.data.phantom import make_breast_phantom
from napari_segmoe.data.synthetic_slide_block import TissueKind, TissuePainter
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.types import Modality

_SPACINGS_UM = (0.25, 2.0)
_KINDS = ("benign", "malignant", "normal")
_PHANTOM_RATIO = 4 / 3
_BLOCK_STEP = 128


def make_anchors(card: WeightsCard, count: int, *, seed: int) -> list[Tensor]:
    """Return made-up images as a network sees them, (3, n, n) in 0..1.

    Tissue sections for weights of histology, ultrasound for all others: what counts is
    that the base weights answer something there, and that the answer stays.

    Parameters
    ----------
    card : WeightsCard
        Says what its network sees.
    count, seed : int
        Same seed, same images.
    """
    if card.modality is Modality.HISTOLOGY:
        return _sections(card, count, seed)
    return [_scan(card.input_px, seed + number) for number in range(count)]


def _sections(card: WeightsCard, count: int, seed: int) -> list[Tensor]:
    wanted = card.spacing_um or 1.0
    spacing = float(np.clip(wanted, *_SPACINGS_UM))
    side = round(card.input_px * wanted / spacing)
    size = max(-(-side // _BLOCK_STEP) * _BLOCK_STEP, 3 * _BLOCK_STEP)
    found = []
    for number in range(count):
        painter = TissuePainter(seed + number // 4, size=size, spacing_um=spacing)
        kind = (TissueKind.BENIGN, TissueKind.MALIGNANT)[number % 2]
        pixels = painter.paint(kind, number // 2).pixels
        y, x = np.random.default_rng([seed, number]).integers(size - side + 1, size=2)
        found.append(_as_input(pixels[y : y + side, x : x + side], card.input_px))
    return found


def _scan(input_px: int, seed: int) -> Tensor:
    size = (input_px, round(input_px * _PHANTOM_RATIO))
    found = make_breast_phantom(seed, size=size, kind=_KINDS[seed % 3])
    height, width = found.image.shape
    square = np.zeros((width, width), np.uint8)
    top = (width - height) // 2
    square[top : top + height] = found.image
    return _as_input(np.repeat(square[..., None], 3, axis=2), input_px)


def _as_input(pixels: NDArray[np.uint8], input_px: int) -> Tensor:
    image = torch.from_numpy(pixels.astype(np.float32).transpose(2, 0, 1) / 255)
    if image.shape[-1] == input_px:
        return image.contiguous()
    size = (input_px, input_px)
    return F.interpolate(image[None], size=size, mode="bilinear", antialias=True)[0]
