"""Nuclei of made-up tissue: stamps of several kinds, and where they go."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.data.synthetic_slide_glands import GlandField
from napari_segmoe.data.synthetic_slide_texture import Field

_TURNS = 16
_SHAPES = 6


class CellPart(StrEnum):
    """What is stamped: nuclei, and two kinds of body that look like them."""

    BENIGN = "benign epithelium"
    MALIGNANT = "malignant epithelium"
    ROUND = "lymphocyte"
    SPINDLE = "fibroblast"
    RED = "red blood cell"
    GOBLET = "goblet of mucus"


@dataclass(frozen=True, slots=True)
class _Look:
    """Half axes in um (mean, spread), stain of rim and centre, grain of chromatin."""

    long_um: tuple[float, float]
    short_um: tuple[float, float]
    rim: float
    centre: float
    grain: float


_LOOKS = {
    CellPart.BENIGN: _Look((4.4, 0.5), (2.9, 0.3), 0.95, 0.72, 0.10),
    CellPart.MALIGNANT: _Look((5.6, 0.9), (3.6, 0.5), 1.0, 0.6, 0.16),
    CellPart.ROUND: _Look((3.3, 0.3), (3.0, 0.3), 1.15, 1.05, 0.12),
    CellPart.SPINDLE: _Look((6.0, 1.3), (1.5, 0.3), 0.95, 0.85, 0.06),
    CellPart.RED: _Look((3.3, 0.4), (2.9, 0.4), 1.5, 1.4, 0.02),
    CellPart.GOBLET: _Look((7.0, 1.6), (4.3, 0.9), 1.0, 1.0, 0.04),
}


@dataclass(frozen=True, slots=True, eq=False)
class CellParts:
    """Nuclei, or others of their kind.

    Attributes
    ----------
    kind : CellPart
    centres_um : (N, 2) float64
        (y, x).
    angles : (N,) float64
        Direction of the long axis from x towards y, in radians.
    """

    kind: CellPart
    centres_um: NDArray[np.float64]
    angles: NDArray[np.float64]


class CellStamps:
    """Pictures of nuclei in all directions; `draw` puts them into a stain map."""

    def __init__(self, random: np.random.Generator, spacing_um: float) -> None:
        self._spacing_um = spacing_um
        self._stamps = {
            kind: [_make_stamps(random, look, spacing_um) for _ in range(_SHAPES)]
            for kind, look in _LOOKS.items()
        }

    def draw(
        self, stain: Field, parts: CellParts, random: np.random.Generator, *, wrap: bool
    ) -> None:
        """Darken a map of haematoxylin where the nuclei are.

        Parameters
        ----------
        stain : (n, n) float32
            Changed in place.
        parts : CellParts
        random : Generator
            Chooses the shapes.
        wrap : bool
            Whether what leaves the map comes in at the other side.
        """
        kinds = self._stamps[parts.kind]
        shapes = random.integers(0, _SHAPES, len(parts.angles))
        turns = np.rint(parts.angles / np.pi * _TURNS).astype(int) % _TURNS
        corners = np.rint(parts.centres_um / self._spacing_um - 0.5).astype(int)
        for (y, x), shape, turn in zip(corners, shapes, turns, strict=True):
            stamp = kinds[shape][turn]
            if wrap:
                _press_around(stain, stamp, y, x)
            else:
                _press(stain, stamp, y, x)


def epithelial_nuclei(
    random: np.random.Generator, glands: GlandField, *, step_um: float, malignant: bool
) -> CellParts:
    """Return nuclei along the walls: one neat row, or several untidy ones."""
    kind = CellPart.MALIGNANT if malignant else CellPart.BENIGN
    rows = (
        ((6.0, 1.0), (13.5, 0.85), (21.0, 0.6), (29.0, 0.35))
        if malignant
        else ((6.2, 1.0),)
    )
    pitch, jitter = (7.6, 1.7) if malignant else (6.4, 0.7)
    inwards = _inward_direction(glands)
    points, angles = [np.zeros((0, 2))], [np.zeros(0)]
    for depth, share in rows:
        found = _walk_contours(random, glands.distance_um, depth, pitch / step_um)
        found = found[random.random(len(found)) < share]
        found = found + random.normal(0, jitter / step_um, found.shape)
        inner = np.clip(np.rint(found).astype(int), 0, len(inwards) - 1)
        here = (inner[:, 0], inner[:, 1])
        fits = glands.distance_um[here] < glands.wall_um[here] - 2.5
        fits &= glands.distance_um[here] > 4.0
        turn = random.normal(0, 0.35 if malignant else 0.18, len(found))
        points.append((found[fits] + 0.5) * step_um)
        angles.append((inwards[here] + turn)[fits])
    return CellParts(kind, np.concatenate(points), np.concatenate(angles))


def _inward_direction(glands: GlandField) -> Field:
    """Return the direction in which the wall grows deeper, in radians."""
    slopes: Any = np.gradient(glands.distance_um)
    return np.arctan2(slopes[0], slopes[1]).astype(np.float32)


def goblets(
    random: np.random.Generator, glands: GlandField, *, step_um: float
) -> CellParts:
    """Return goblets of mucus in the epithelium, most of them near the lumen."""
    inwards = _inward_direction(glands)
    rich = random.uniform(0.2, 1.0, glands.count + 1)
    points, angles = [np.zeros((0, 2))], [np.zeros(0)]
    for depth in (15.5, 27.0):
        found = _walk_contours(random, glands.distance_um, depth, 9.5 / step_um)
        found = found + random.normal(0, 1.0 / step_um, found.shape)
        inner = np.clip(np.rint(found).astype(int), 0, len(inwards) - 1)
        here = (inner[:, 0], inner[:, 1])
        fits = glands.distance_um[here] < glands.wall_um[here] + 4.0
        fits &= random.random(len(fits)) < rich[glands.owner[here]]
        points.append((found[fits] + 0.5) * step_um)
        angles.append(inwards[here][fits])
    return CellParts(CellPart.GOBLET, np.concatenate(points), np.concatenate(angles))


def scattered_points(
    random: np.random.Generator, side_um: float, pitch_um: float
) -> NDArray[np.float64]:
    """Return points about ``pitch_um`` apart that fill a square and fit its copies.

    Returns
    -------
    (N, 2) float64
        (y, x) in um.
    """
    rows = max(2 * round(side_um / pitch_um / 0.866 / 2), 2)
    columns = max(round(side_um / pitch_um), 2)
    row, column = np.divmod(np.arange(rows * columns), columns)
    x = (column + 0.5 * (row % 2)) * side_um / columns
    y = (row + 0.5) * side_um / rows
    points = np.stack([y, x], 1) + random.normal(0, 0.24 * pitch_um, (len(x), 2))
    return points % side_um


def _walk_contours(
    random: np.random.Generator, field: Field, level: float, pitch: float
) -> NDArray[np.float64]:
    """Return points every ``pitch`` pixels along the lines of one level."""
    from skimage.measure import find_contours

    found = [np.zeros((0, 2))]
    for line in find_contours(field, level):
        steps = np.hypot(*np.diff(line, axis=0).T)
        length = np.concatenate([[0.0], np.cumsum(steps)])
        count = int(length[-1] / pitch)
        if count < 1:
            continue
        at = (np.arange(count) + random.uniform(-0.2, 0.2, count)) * pitch
        at = np.clip(at + random.uniform(0, pitch), 0, length[-1])
        found.append(np.stack([np.interp(at, length, axis) for axis in line.T], 1))
    return np.concatenate(found)


def _make_stamps(
    random: np.random.Generator, look: _Look, spacing_um: float
) -> list[Field]:
    """Return one nucleus in all directions, each (k, k) float32 of stain."""
    long_um = max(random.normal(*look.long_um), look.long_um[0] * 0.6)
    short_um = max(random.normal(*look.short_um), look.short_um[0] * 0.6)
    half = int(np.ceil((long_um * 1.25 + 1.0) / spacing_um))
    side = 2 * half + 1
    y, x = (np.mgrid[:side, :side] - half) * spacing_um
    waves = random.normal(0, 0.05, 3)
    phase = random.uniform(0, 2 * np.pi, 3)
    grain = ndimage.gaussian_filter(random.normal(size=(side, side)), 0.6 / spacing_um)
    grain = look.grain * grain / max(float(grain.std()), 1e-6)
    spot = random.normal(0, 0.22, 2) * short_um
    stamps = []
    for turn in range(_TURNS):
        angle = turn * np.pi / _TURNS
        u = x * np.cos(angle) + y * np.sin(angle)
        v = y * np.cos(angle) - x * np.sin(angle)
        around = np.arctan2(v / short_um, u / long_um)
        wave = sum(
            w * np.cos((k + 2) * around + p)
            for k, (w, p) in enumerate(zip(waves, phase, strict=True))
        )
        radius = np.hypot(u / long_um, v / short_um) / (1 + wave)
        width = max(0.45, 0.6 * spacing_um)
        inside = np.clip(0.5 - (radius - 1) * short_um / (2 * width), 0, 1)
        level = look.centre + (look.rim - look.centre) * np.clip(radius, 0, 1) ** 3
        nucleolus = np.exp(-((u - spot[0]) ** 2 + (v - spot[1]) ** 2) / 0.9)
        level = level + 0.45 * nucleolus * (look.rim - look.centre > 0.3) + grain
        stamps.append((inside * level).astype(np.float32))
    return stamps


def _press(stain: Field, stamp: Field, y: int, x: int) -> None:
    half, size = len(stamp) // 2, len(stain)
    y0, x0, y1, x1 = y - half, x - half, y + half + 1, x + half + 1
    if y1 <= 0 or x1 <= 0 or y0 >= size or x0 >= size:
        return
    cut = stamp[max(-y0, 0) : len(stamp) - max(y1 - size, 0),
                max(-x0, 0) : len(stamp) - max(x1 - size, 0)]  # fmt: skip
    target = stain[max(y0, 0) : y1, max(x0, 0) : x1]
    np.maximum(target, cut, out=target)


def _press_around(stain: Field, stamp: Field, y: int, x: int) -> None:
    half, size = len(stamp) // 2, len(stain)
    if half <= y < size - half and half <= x < size - half:
        _press(stain, stamp, y, x)
        return
    for down in (-size, 0, size):
        for right in (-size, 0, size):
            _press(stain, stamp, y + down, x + right)
