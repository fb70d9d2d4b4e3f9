"""One warp for image and mask, then intensities as ultrasound changes them.

Masks and points move along exactly: one `Warp` maps the network's grid into the
source image, and every map of a sample is read through it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

_ELASTIC_NODES = 5


@dataclass(frozen=True, slots=True)
class WarpStrength:
    """How far a random warp may go."""

    rotation_deg: float = 12.0
    scale: float = 0.2
    stretch: float = 0.1
    shift: float = 0.08
    elastic: float = 0.03

    def times(self, factor: float, *, keep_rotation: bool = False) -> "WarpStrength":
        """Return the strength with every reach multiplied, but rotation if asked."""
        reach = {name: getattr(self, name) * factor for name in self.__slots__}
        if keep_rotation:
            reach["rotation_deg"] = self.rotation_deg
        return WarpStrength(**reach)


@dataclass(frozen=True, slots=True, eq=False)
class Warp:
    """Where each output pixel lies in the source image.

    Attributes
    ----------
    source_yx : (2, n, n) float32
        Source coordinates, in full-resolution pixels.
    """

    source_yx: NDArray[np.float32]

    def read(
        self, image: Tensor, *, scale_yx: tuple[float, float], padding: str = "zeros"
    ) -> Tensor:
        """Sample a map bilinearly; outside is zero.

        Parameters
        ----------
        image : Tensor, (C, h, w) float
            The map, at any resolution.
        scale_yx : (float, float)
            Pixels of this map per full-resolution pixel.
        padding : str
            "zeros", or "border" to repeat the outermost pixels outside.

        Returns
        -------
        Tensor, (C, n, n)
        """
        height, width = image.shape[-2:]
        y = (torch.from_numpy(self.source_yx[0]) + 0.5) * scale_yx[0]
        x = (torch.from_numpy(self.source_yx[1]) + 0.5) * scale_yx[1]
        grid = torch.stack([2 * x / width - 1, 2 * y / height - 1], dim=-1)[None]
        return F.grid_sample(
            image[None], grid, padding_mode=padding, align_corners=False
        )[0]

    def locate(self, y: float, x: float) -> tuple[float, float] | None:
        """Return where a source point lies in the output, or None if it is outside.

        The nearest output pixel is refined by half a pixel at most; exact for what a
        click needs.
        """
        distance = (self.source_yx[0] - y) ** 2 + (self.source_yx[1] - x) ** 2
        row, column = np.unravel_index(int(np.argmin(distance)), distance.shape)
        step = np.hypot(*np.abs(np.diff(self.source_yx, axis=2)).max(axis=(1, 2)))
        if distance[row, column] > step**2:
            return None
        return float(row), float(column)


def random_warp(
    rng: np.random.Generator,
    *,
    centre_yx: tuple[float, float],
    side: float,
    output_px: int,
    strength: WarpStrength,
) -> Warp:
    """Draw a warp around a square window.

    Left-right flips, small rotations, scale, stretch, shift and a smooth elastic
    field; never upside down, since the probe is on top.

    Parameters
    ----------
    centre_yx, side
        The window, in full-resolution pixels.
    output_px : int
        Side of the output.
    """
    angle = np.deg2rad(rng.uniform(-1, 1) * strength.rotation_deg)
    scale = np.exp(rng.uniform(-1, 1) * strength.scale)
    stretch = np.exp(rng.uniform(-1, 1) * strength.stretch / 2)
    flip = -1.0 if rng.random() < 0.5 else 1.0
    shift = rng.uniform(-1, 1, 2) * strength.shift
    u = (np.arange(output_px) + 0.5) / output_px - 0.5
    v, u = np.meshgrid(u, u, indexing="ij")
    field = _elastic_field(rng, output_px, strength.elastic)
    v, u = v + field[0] + shift[0], u + field[1] + shift[1]
    y = np.cos(angle) * v * stretch - np.sin(angle) * u / stretch
    x = np.sin(angle) * v * stretch + np.cos(angle) * u / stretch
    source = np.stack(
        [centre_yx[0] + side * scale * y, centre_yx[1] + side * scale * flip * x]
    )
    return Warp(source.astype(np.float32))


def plain_warp(*, centre_yx: tuple[float, float], side: float, output_px: int) -> Warp:
    """Return the warp that only crops and resizes."""
    u = ((np.arange(output_px) + 0.5) / output_px - 0.5) * side
    y, x = np.meshgrid(u, u, indexing="ij")
    return Warp(np.stack([centre_yx[0] + y, centre_yx[1] + x]).astype(np.float32))


def _elastic_field(
    rng: np.random.Generator, output_px: int, strength: float
) -> NDArray[np.float64]:
    nodes = rng.normal(0, strength / 2, (1, 2, _ELASTIC_NODES, _ELASTIC_NODES))
    field = F.interpolate(
        torch.from_numpy(nodes),
        size=(output_px, output_px),
        mode="bicubic",
        align_corners=True,
    )
    return field[0].numpy()


def augment_intensity(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Change gain, contrast, depth gain, speckle, sharpness; (C, H, W) in 0..1.

    Each change is drawn on its own; about a third of the images keep each property.
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    valid = (image.amax(dim=0, keepdim=True) > 0).float()
    if rng.random() < 0.7:
        image = image.clamp_min(1e-4) ** float(np.exp(rng.uniform(-0.4, 0.4)))
        mean = image.mean()
        image = mean + (image - mean) * float(rng.uniform(0.7, 1.35))
        image = image * float(rng.uniform(0.8, 1.25))
    if rng.random() < 0.4:
        ramp = torch.linspace(-1, 1, image.shape[1])[None, :, None]
        image = image * torch.exp(float(rng.normal(0, 0.25)) * ramp)
    if rng.random() < 0.4:
        image = image * _speckle(image.shape[1:], rng, generator)
    if rng.random() < 0.25:
        image = blur(image, float(rng.uniform(0.5, 1.2)))
    if rng.random() < 0.25:
        noise = torch.randn(image.shape[1:], generator=generator)
        image = image + float(rng.uniform(0.01, 0.05)) * noise
    return (image * valid).clamp(0, 1)


def augment_scan(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Change gain, contrast, attenuation, speckle and sharpness of a tomography scan.

    As `augment_intensity`, with more speckle, which scanners average away or do not,
    and shadows of vessels; (C, H, W) in 0..1.
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    valid = (image.amax(dim=0, keepdim=True) > 0).float()
    if rng.random() < 0.7:
        image = image.clamp_min(1e-4) ** float(np.exp(rng.uniform(-0.35, 0.35)))
        image = image * float(rng.uniform(0.75, 1.35))
    if rng.random() < 0.3:
        ramp = torch.linspace(-1, 1, image.shape[1])[None, :, None]
        image = image * torch.exp(float(rng.normal(0, 0.25)) * ramp)
    if rng.random() < 0.3:
        across = torch.linspace(-1, 1, image.shape[2])[None, None, :]
        away = (across - float(rng.uniform(-1, 1))) / float(rng.uniform(0.02, 0.1))
        image = image * (1 - float(rng.uniform(0.1, 0.5)) * torch.exp(-(away**2)))
    if rng.random() < 0.5:
        image = image * _speckle(image.shape[1:], rng, generator)
    if rng.random() < 0.3:
        image = blur(image, float(rng.uniform(0.4, 1.2)))
    if rng.random() < 0.3:
        noise = torch.randn(image.shape[1:], generator=generator)
        image = image + float(rng.uniform(0.01, 0.05)) * noise
    return (image * valid).clamp(0, 1)


def _speckle(
    shape: torch.Size, rng: np.random.Generator, generator: torch.Generator
) -> Tensor:
    """Return multiplicative noise around 1 with a grain of one to three pixels."""
    grain = float(rng.uniform(1, 3))
    size = [max(int(side / grain), 2) for side in shape]
    noise = torch.randn((1, 1, *size), generator=generator)
    noise = F.interpolate(noise, size=tuple(shape), mode="bilinear")[0]
    return (1 + float(rng.uniform(0.05, 0.25)) * noise).clamp_min(0)


def blur(image: Tensor, sigma: float) -> Tensor:
    """Return an image, (C, H, W), blurred by a Gaussian of 7 pixels."""
    axis = torch.arange(-3, 4, dtype=image.dtype)
    kernel = torch.exp(-(axis**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    channels = image.shape[0]
    weight = kernel.expand(channels, 1, 7)
    image = F.conv2d(image, weight[:, :, :, None], padding=(3, 0), groups=channels)
    return F.conv2d(image, weight[:, :, None, :], padding=(0, 3), groups=channels)
