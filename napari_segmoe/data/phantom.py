"""Made-up breast ultrasound with its truth: tissue, beam and lesion, no patient."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d, zoom

from napari_segmoe.types import Mask, Spacing

_DEPTH_UM = 38_000.0
_KINDS = ("benign", "malignant", "normal")
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Phantom:
    """A synthetic image and what is truly in it.

    Attributes
    ----------
    image : (H, W) uint8
        B-mode image, log compressed.
    mask : (H, W) bool
        The lesion; empty where there is none.
    class_name : str
        "benign", "malignant" or "normal".
    spacing_um : (y, x)
        Micrometres per pixel.
    """

    image: NDArray[np.uint8]
    mask: Mask
    class_name: str
    spacing_um: Spacing


def make_breast_phantom(
    seed: int, *, size: tuple[int, int] = (420, 560), kind: str | None = None
) -> Phantom:
    """Make one image of layered tissue, with or without a lesion.

    Complex random scatterers, weighted by the tissue's echogenicity, are blurred by
    a beam that widens with depth (fully developed speckle); absorption along the
    beam gives shadow and enhancement; the envelope is log compressed.

    Parameters
    ----------
    seed : int
        Same seed, same image.
    size : (H, W)
        In pixels, at least 32 a side; the depth is always 38 mm.
    kind : "benign", "malignant", "normal" or None
        None draws one of the first two.

    Raises
    ------
    ValueError
        If the size is too small or the kind unknown.
    """
    if kind is not None and kind not in _KINDS:
        raise ValueError(f"No kind {kind!r}; expected one of {', '.join(_KINDS)}.")
    if min(size) < 32:
        raise ValueError(f"The size is {size}; expected at least 32 px a side.")
    random = np.random.default_rng(seed)
    kind = kind or str(random.choice(_KINDS[:2]))
    spacing = _DEPTH_UM / size[0]
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float64)
    y, x = y / size[0], (x - size[1] / 2) / size[0]  # in depths, x from the middle
    echo, absorption = _tissue(random, y, x)
    mask = np.zeros(size, np.bool_)
    if kind != "normal":
        distance, mask = _lesion(random, y, x, kind)
        echo, absorption = _add_lesion(random, echo, absorption, distance, kind)
    image = _scan(random, echo, absorption)
    return Phantom(image, mask, kind, (spacing, spacing))


def _smooth_noise(
    random: np.random.Generator, shape: tuple[int, int], scale: tuple[float, float]
) -> Array:
    """Return noise of variance 1 whose grain is ``scale`` (y, x) of the height."""
    cells = [max(4, round(shape[i] / (scale[i] * shape[0])) + 3) for i in range(2)]
    noise = random.standard_normal(cells)
    factors = [shape[i] / cells[i] * 1.2 for i in range(2)]
    large: Array = zoom(noise, factors, order=3)[: shape[0], : shape[1]]
    return large / max(large.std(), 1e-6)


def _curve(
    random: np.random.Generator, x: Array, depth: float, height: float
) -> NDArray[np.float64]:
    """Return the depth of a wavy interface at each x, (1, W)."""
    row = x[:1]
    curve = np.full_like(row, depth) + random.uniform(-0.05, 0.05) * row
    for frequency in (2.5, 5.0, 9.0):
        phase = random.uniform(0, 2 * np.pi)
        curve += height / frequency * 2 * np.sin(frequency * row + phase)
    return curve


def _tissue(random: np.random.Generator, y: Array, x: Array) -> tuple[Array, Array]:
    """Return echogenicity in dB and absorption in dB per depth, both (H, W)."""
    shape = (y.shape[0], y.shape[1])
    skin = _curve(random, x, 0.05, 0.004)
    gland = _curve(random, x, random.uniform(0.2, 0.27), 0.035)
    retro = _curve(random, x, random.uniform(0.6, 0.68), 0.03)
    muscle = retro + 0.035 + 0.01 * np.abs(_curve(random, x, 0.5, 0.5))
    chest = muscle + random.uniform(0.16, 0.22)

    warp = 0.03 * _smooth_noise(random, shape, (0.18, 0.25))
    fat = -19 + 1.5 * _smooth_noise(random, shape, (0.1, 0.2))
    fat += _septa(random, shape, (0.10, 0.24), 15)
    streaks = _smooth_noise(random, shape, (0.018, 0.14))
    lobules = _smooth_noise(random, shape, (0.06, 0.13))
    glandular = (
        -5 + 2.2 * streaks + 2.8 * lobules + _septa(random, shape, (0.1, 0.2), 5)
    )
    fibres = np.sin((y + 0.4 * warp - 0.12 * x) * 190 + 3 * lobules)
    breaks = _smooth_noise(random, shape, (0.015, 0.16))
    muscular = -20 + 5 * np.clip(fibres, 0, 1) + 6 * np.clip(breaks, 0, 2)

    echo = np.where(y < skin, -2.0, fat)
    echo = _blend(echo, glandular, y + 0.5 * warp - gland, 0.006)
    echo = _blend(echo, fat - 1, y + 0.3 * warp - retro, 0.005)
    echo = _blend(echo, muscular, y - muscle, 0.003)
    echo = _blend(echo, muscular - 14, y - chest, 0.008)
    for line, strength, width in (
        (skin, 12, 0.004), (gland, 8, 0.004), (muscle, 17, 0.006), (chest, 19, 0.008),
    ):  # fmt: skip
        glint = np.clip(0.6 + 0.5 * _smooth_noise(random, shape, (0.5, 0.15)), 0, 1.2)
        echo = echo + strength * glint * np.exp(-(((y - line) / width) ** 2))
    echo += 9 * np.exp(-(((y - 0.012) / 0.008) ** 2))  # gel and probe
    absorption = np.where(y < gland, 9.0, 15.0) + 2.5 * lobules
    return echo, np.where(y > chest, 45.0, absorption)


def _septa(
    random: np.random.Generator, shape: tuple[int, int], scale: tuple[float, float],
    strength: float,
) -> Array:  # fmt: skip
    """Return thin bright strands, where smooth noise crosses zero, in dB."""
    noise = _smooth_noise(random, shape, scale)
    slope_y, slope_x = np.gradient(noise)
    slope = np.hypot(slope_y, slope_x) * shape[0] + 1.0
    strand = np.exp(-((noise / (0.0048 * slope)) ** 2))
    facing = np.abs(slope_y) / (np.hypot(slope_y, slope_x) + 1e-9)  # the beam
    strength_map = np.clip(
        _smooth_noise(random, shape, (0.15, 0.2)) * 0.5 + 0.7, 0, 1.4
    )
    return strength * strand * facing * strength_map


def _blend(first: Array, second: Array, below: Array, width: Array | float) -> Array:
    share = 1 / (1 + np.exp(-np.clip(below / width, -30, 30)))
    return first * (1 - share) + second * share


def _lesion(
    random: np.random.Generator, y: Array, x: Array, kind: str
) -> tuple[Array, Mask]:
    """Return a level function (negative inside, about in depths) and its mask."""
    width = 0.5 * y.shape[1] / y.shape[0]
    centre_y = random.uniform(0.36, 0.44)
    centre_x = random.uniform(-0.45, 0.45) * width
    long_axis = (
        random.uniform(0.11, 0.17) if kind == "benign" else random.uniform(0.11, 0.15)
    )
    ratio = random.uniform(0.5, 0.7) if kind == "benign" else random.uniform(1.15, 1.4)
    tilt = random.uniform(-0.25, 0.25)
    dy, dx = y - centre_y, x - centre_x
    dy, dx = (
        dy * np.cos(tilt) - dx * np.sin(tilt),
        dy * np.sin(tilt) + dx * np.cos(tilt),
    )
    half_y, half_x = (
        (long_axis * ratio, long_axis)
        if kind == "benign"
        else (long_axis, long_axis / ratio)
    )
    angle = np.arctan2(dy / half_y, dx / half_x)
    radius = np.hypot(dy / half_y, dx / half_x)
    outline = 1 + _outline(random, angle, kind)
    distance = (radius / outline - 1) * min(half_y, half_x)
    return distance, distance < 0


def _outline(random: np.random.Generator, angle: Array, kind: str) -> Array:
    """Return how the radius differs from an ellipse: lobes, and spicules."""
    change = np.zeros_like(angle)
    roughness = 0.03 if kind == "benign" else 0.085
    for order in range(2, 5 if kind == "benign" else 9):
        phase = random.uniform(0, 2 * np.pi)
        change += (
            roughness * random.normal() / order**0.4 * np.cos(order * angle + phase)
        )
    if kind == "malignant":
        for _ in range(random.integers(7, 12)):
            turn = np.angle(np.exp(1j * (angle - random.uniform(0, 2 * np.pi))))
            sharp = random.uniform(0.06, 0.13)
            change += random.uniform(0.12, 0.32) * np.exp(-np.abs(turn) / sharp)
    return np.clip(change, -0.4, 0.6)


def _add_lesion(
    random: np.random.Generator, echo: Array, absorption: Array, distance: Array,
    kind: str,
) -> tuple[Array, Array]:  # fmt: skip
    """Put the lesion's echoes, rim and absorption into the tissue."""
    shape = (echo.shape[0], echo.shape[1])
    texture = _smooth_noise(random, shape, (0.03, 0.05))
    inside = distance < 0
    if kind == "benign":
        level = random.uniform(-33, -27)
        echo = _blend(level + 1.2 * texture, echo, distance, 0.0025)
        facing = np.abs(np.gradient(distance, axis=0)) * shape[0]
        rim = np.exp(-((distance / 0.005) ** 2)) * np.clip(facing, 0, 1)
        return echo + 9 * rim, np.where(inside, -12.0, absorption)
    level = random.uniform(-32, -28)
    softness = 0.006 + 0.003 * np.clip(texture, -1, 1)
    halo = np.exp(-np.clip(distance, 0, None) / 0.025) * ~inside
    surrounding = echo + 5 * halo * np.clip(0.6 + 0.5 * texture, 0, 1)
    echo = _blend(level + 2.5 * texture, surrounding, distance, softness)
    return echo, np.where(inside, random.uniform(65, 85), absorption)


def _scan(
    random: np.random.Generator, echo: Array, absorption: Array
) -> NDArray[np.uint8]:
    """Return the B-mode image of tissue, (H, W) uint8."""
    height, width = echo.shape
    depth = np.arange(height)[:, None] / height
    path = np.cumsum(absorption, axis=0) / height
    path = gaussian_filter1d(path, 0.012 * height * (width > 1), axis=1)
    level = echo - path + 14.0 * depth  # the gain knob mends most of the absorption
    noise = random.standard_normal((2, height, width))
    scatter = (noise[0] + 1j * noise[1]) * 10 ** (level / 20)
    envelope = np.abs(_beam(scatter))
    pixel = 420 / height
    envelope = np.sqrt(gaussian_filter(envelope**2, (0.7 / pixel, 1.5 / pixel)))
    floor = 10 ** (-56 / 20) * (0.6 + 0.4 * random.random((height, width)))
    decibel = 20 * np.log10(envelope + floor)
    columns = gaussian_filter1d(random.standard_normal(width), 0.03 * height)
    decibel += 6 * columns[None, :] * np.sqrt(0.03 * height) * depth
    top = np.percentile(decibel, 99.8)
    compressed = np.clip((decibel - top + 50) / 50, 0, 1) ** 1.7
    return np.rint(compressed * 245).astype(np.uint8)


def _beam(scatter: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Blur scatterers by a pulse and a beam that is narrowest at its focus."""
    height = scatter.shape[0]
    pixel = 420 / height
    axial = 0.9 / pixel
    widths = [1.5 / pixel, 2.4 / pixel, 3.8 / pixel]
    layers = [
        _normalised(scatter, axial * (1 + 0.15 * index), lateral)
        for index, lateral in enumerate(widths)
    ]
    depth = np.linspace(0, 1, height)[:, None]
    position = 2 * np.clip(np.abs(depth - 0.35) / 0.65, 0, 1)
    blended = layers[0] * np.clip(1 - position, 0, 1)
    blended += layers[1] * np.clip(1 - np.abs(position - 1), 0, 1)
    return blended + layers[2] * np.clip(position - 1, 0, 1)


def _normalised(
    scatter: NDArray[np.complex128], axial: float, lateral: float
) -> NDArray[np.complex128]:
    """Blur and keep the mean power of white scatterers."""
    blurred = gaussian_filter(scatter.real, (axial, lateral)) + 1j * gaussian_filter(
        scatter.imag, (axial, lateral)
    )
    return blurred * 2 * np.sqrt(np.pi * max(axial, 0.28) * max(lateral, 0.28))
