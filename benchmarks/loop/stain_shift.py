"""One fixed change of stain and scanner, which stands for another laboratory."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_segmoe.training.stain import mix_stains


@dataclass(frozen=True, slots=True)
class StainShift:
    """What is done to every image, the same for all.

    Attributes
    ----------
    seed : int
        Of the change of the dyes' colours.
    haematoxylin, eosin, residual : float
        Factors of each dye's amount.
    tint : float
        Standard deviation of the logarithm of each dye's density in red, green, blue.
    veil : float
        Light that is added everywhere, of 1; the rest is dimmed by as much.
    gamma : float
        Exponent of the scanner's brightness.
    """

    seed: int = 6
    haematoxylin: float = 0.2
    eosin: float = 2.0
    residual: float = 2.0
    tint: float = 0.3
    veil: float = 0.2
    gamma: float = 1.0

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an image, (H, W, 3) uint8, under the shift."""
        plane = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
        amounts = np.array([self.haematoxylin, self.eosin, self.residual])
        mixed = mix_stains(plane.float(), amounts, tints=self.tints())
        bright = self.veil + (1 - self.veil) * mixed**self.gamma
        return (bright * 255).round().byte().permute(1, 2, 0).numpy()

    def tints(self) -> NDArray[np.float64]:
        """Return logarithms of the factors of each dye's densities, (3, 3)."""
        return np.random.default_rng(self.seed).normal(0, self.tint, (3, 3))

    def describe(self) -> dict[str, Any]:
        """Return what makes the shift, ready for JSON."""
        return asdict(self) | {"tints": np.round(self.tints(), 4).tolist()}


def mean_colour(images: Sequence[NDArray[np.uint8]]) -> list[float]:
    """Return the mean red, green and blue of images, in 0..1."""
    means = [image.reshape(-1, 3).mean(axis=0) / 255 for image in images]
    return [round(float(value), 4) for value in np.mean(means, axis=0)]
