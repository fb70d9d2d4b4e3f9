"""Paint one square block of made-up H&E tissue that fits any other at its border."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.data.synthetic_slide_glands import (
    GlandField,
    GlandHabit,
    border_distance,
    grow_glands,
)
from napari_segmoe.data.synthetic_slide_nuclei import (
    CellPart,
    CellParts,
    CellStamps,
    epithelial_nuclei,
    goblets,
    scattered_points,
)
from napari_segmoe.data.synthetic_slide_texture import (
    Field,
    enlarge,
    fibres,
    smooth_noise,
    smooth_step,
)

GLASS = (243, 241, 244)
_HAEMATOXYLIN = (0.92, 1.22, 0.48)  # optical density per unit of stain, (R, G, B)
_EOSIN = (0.10, 0.62, 0.27)
_SHARED_UM = 7.0  # nuclei whose centre is nearer to the border are in every block
_SHARED_PITCH_UM = 10.5


class TissueKind(StrEnum):
    """What the glands of a block are."""

    BENIGN = "benign"
    MALIGNANT = "malignant"


class _Patch(StrEnum):
    """What lies between the glands of some blocks."""

    NONE = "none"
    FIBROUS = "fibrous"
    LYMPHOID = "lymphoid"


@dataclass(frozen=True, slots=True)
class _Stroma:
    """Eosin of the ground, strength of its strands, pitch and kind of its nuclei."""

    eosin: float
    strands: float
    pitch_um: float
    spindles: float


_STROMA: dict[TissueKind | _Patch, _Stroma] = {
    TissueKind.BENIGN: _Stroma(0.50, 0.15, 9.2, 0.30),
    TissueKind.MALIGNANT: _Stroma(0.55, 0.20, 11.5, 0.70),
    _Patch.FIBROUS: _Stroma(0.66, 0.22, 16.0, 0.85),
    _Patch.LYMPHOID: _Stroma(0.45, 0.12, 6.9, 0.08),
}
# A block's number says what it has; the first of each kind are plain.
_PATCHES = (
    _Patch.NONE, _Patch.NONE, _Patch.FIBROUS, _Patch.NONE, _Patch.LYMPHOID,
    _Patch.FIBROUS, _Patch.NONE,
)  # fmt: skip
_HABITS = {
    TissueKind.BENIGN: GlandHabit(
        radius_um=(34, 50), length_um=(10, 120), roughness_um=3, gap_um=16,
        growth_um=11, disorder=0.45, wall_um=(24, 32), tries=900,
    ),
    TissueKind.MALIGNANT: GlandHabit(
        radius_um=(30, 62), length_um=(30, 160), roughness_um=13, gap_um=8,
        growth_um=15, disorder=1.2, wall_um=(26, 40), tries=900,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class TissueBlock:
    """A square of tissue with its truth.

    Attributes
    ----------
    kind : TissueKind
    pixels : (n, n, 3) uint8
        At level 0.
    glands : GlandField
        On the coarse grid.
    nuclei_um : (N, 2) float64
        Centres of all nuclei.
    """

    kind: TissueKind
    pixels: NDArray[np.uint8]
    glands: GlandField
    nuclei_um: NDArray[np.float64]


class TissuePainter:
    """Paints blocks that share their stain and what lies at their borders.

    Parameters
    ----------
    seed : int
    size : int
        Side of a block in level-0 pixels.
    spacing_um : float
        Micrometres per level-0 pixel.
    """

    def __init__(self, seed: int, *, size: int, spacing_um: float) -> None:
        random = np.random.default_rng([seed, 1])
        self.factor = 2 ** max(round(float(np.log2(2.0 / spacing_um))), 0)
        self.grid = size // self.factor
        self.step_um = spacing_um * self.factor
        self._seed = seed
        self._side_um = size * spacing_um
        self._spacing_um = spacing_um
        self._stamps = CellStamps(random, spacing_um)
        self._strands = [
            fibres(random, self.grid, step_um=self.step_um, waves=5) for _ in range(2)
        ]
        self._fine = smooth_noise(random, size, round(self._side_um / 1.3))
        self._thickness = smooth_noise(random, self.grid, round(self._side_um / 170))
        # rounding, and the noise of a camera
        self._camera = random.standard_normal((size, size), dtype=np.float32)
        self._camera *= np.float32(1.6)
        self._camera += np.float32(0.5)
        self._vectors = _vary_stain(random)
        self._shared = self._scatter(
            random, _SHARED_PITCH_UM, 0.5, self._strands[0][1], near_border=True
        )
        self._own = smooth_step((border_distance(self.grid, self.step_um) - 7) / 14)

    def paint(self, kind: TissueKind, number: int) -> TissueBlock:
        """Paint a block.

        Parameters
        ----------
        kind : TissueKind
        number : int
            Chooses one of the endless blocks of that kind.
        """
        random = np.random.default_rng([self._seed, 3, number, *kind.encode()])
        patch = _PATCHES[number % len(_PATCHES)]
        share = self._patch_share(random, patch)
        glands = grow_glands(
            random, share > 0.15, step_um=self.step_um, habit=_HABITS[kind]
        )
        angle, stain = self._paint_stroma(
            random, (_STROMA[kind], _STROMA.get(patch)), share, glands
        )
        nuclei = self._stroma_nuclei(random, _STROMA[kind], 1 - share, glands, angle)
        if patch in _STROMA:
            nuclei += self._stroma_nuclei(random, _STROMA[patch], share, glands, angle)
        if glands.count:
            self._paint_glands(random, kind, glands, stain)
            nuclei += [
                epithelial_nuclei(
                    random,
                    glands,
                    step_um=self.step_um,
                    malignant=kind == TissueKind.MALIGNANT,
                )
            ]
        for parts in self._shared:
            shapes = np.random.default_rng([self._seed, 4])
            self._stamps.draw(stain[0], parts, shapes, wrap=True)
        for parts in nuclei:
            self._stamps.draw(stain[0], parts, random, wrap=False)
        centres = [parts.centres_um for parts in (*self._shared, *nuclei)]
        pixels = self._develop(random, *stain)
        return TissueBlock(kind, pixels, glands, np.concatenate(centres))

    def _patch_share(self, random: np.random.Generator, patch: _Patch) -> Field:
        """Return the share of a patch of other tissue in each pixel, 0 to 1."""
        if patch == _Patch.NONE:
            return np.zeros((self.grid, self.grid), np.float32)
        centre = random.uniform(0.4, 0.6, 2) * self._side_um
        at = (np.arange(self.grid, dtype=np.float32) + 0.5) * self.step_um
        away = np.hypot((at - centre[0])[:, None], (at - centre[1])[None, :])
        size = 0.30 if patch == _Patch.FIBROUS else 0.17
        rough = smooth_noise(random, self.grid, round(self._side_um / 190))
        edge = self._side_um * (size + 0.09 * rough) - away
        border = border_distance(self.grid, self.step_um)
        return smooth_step(np.minimum(edge, border - 30.0) / 60.0)

    def _paint_stroma(
        self, random: np.random.Generator, looks: tuple[_Stroma, _Stroma | None],
        share: Field, glands: GlandField,
    ) -> tuple[Field, tuple[Field, Field]]:  # fmt: skip
        """Return the directions of the fibres, and maps of both stains."""
        main, other = looks[0], looks[1] or looks[0]
        shift = random.integers(0, self.grid, 2)
        own = [np.roll(field, shift, (0, 1)) for field in self._strands[1]]
        if random.random() < 0.5:
            own = [own[0].T, np.pi / 2 - own[1].T]
        weight = self._own
        angle = np.where(weight > 0.5, own[1], self._strands[0][1])
        strands = own[0] * weight + self._strands[0][0] * (1 - weight)
        far = smooth_step(border_distance(self.grid, self.step_um) / 80)
        base = main.eosin + (other.eosin - main.eosin) * share
        base = 0.5 + (base - 0.5) * far
        strength = main.strands + (other.strands - main.strands) * share
        patches = smooth_noise(random, self.grid, round(self._side_um / 40)) * weight
        eosin = base + (0.15 + (strength - 0.15) * far) * strands + 0.07 * patches
        if glands.count:
            wall = glands.distance_um
            eosin += 0.16 * np.exp(-(((wall + 2.0) / 1.6) ** 2))
            cleft = smooth_noise(random, self.grid, round(self._side_um / 60))
            cleft = np.exp(-(((wall + 6.0) / 2.6) ** 2)) * smooth_step(cleft - 0.6)
            eosin *= 1 - 0.9 * cleft * weight
        eosin = enlarge(np.clip(eosin, 0.05, 1.2).astype(np.float32), self.factor)
        eosin *= 1 + 0.13 * self._fine
        return angle, (0.06 + 0.16 * eosin, eosin)

    def _paint_glands(
        self, random: np.random.Generator, kind: TissueKind, glands: GlandField,
        stain: tuple[Field, Field],
    ) -> None:  # fmt: skip
        """Paint epithelium and lumen over the stroma; nuclei come later."""
        malignant = kind == TissueKind.MALIGNANT
        soft = max(1.0, self._spacing_um)
        wall = np.maximum(glands.wall_um, 1.0)
        beyond = glands.distance_um - glands.wall_um
        apical = np.exp(-(((beyond + 2.0) / 2.0) ** 2))
        relative = np.clip(glands.distance_um / wall, 0, 1)
        if malignant:
            levels = (0.31 - 0.05 * relative, 0.64 + 0.1 * apical)
        else:
            levels = (0.27 - 0.12 * relative, 0.54 + 0.14 * apical)
        tissue = np.clip(0.5 + enlarge(glands.distance_um, self.factor) / soft, 0, 1)
        lumen = np.clip(0.5 + enlarge(beyond, self.factor) / (1.5 * soft), 0, 1)
        texture = 1 + 0.09 * self._fine
        if not malignant:
            pale = np.zeros_like(lumen)
            mucus = goblets(random, glands, step_um=self.step_um)
            self._stamps.draw(pale, mucus, random, wrap=False)
            texture *= 1 - 0.8 * pale
        slime = smooth_noise(random, self.grid, round(self._side_um / 9))
        slime = enlarge(np.clip(0.035 + 0.03 * slime, 0, 0.2), self.factor)
        for target, level, share in zip(stain, levels, (0.4, 1.0), strict=True):
            cell = enlarge(level.astype(np.float32), self.factor)
            cell *= texture
            cell += (share * slime - cell) * lumen
            cell -= target
            cell *= tissue
            target += cell
        if malignant:
            self._paint_debris(random, glands, stain)

    def _paint_debris(
        self, random: np.random.Generator, glands: GlandField,
        stain: tuple[Field, Field],
    ) -> None:  # fmt: skip
        """Put dead cells into the lumina of some glands."""
        dirty = np.concatenate([[False], random.random(glands.count) < 0.4])
        clumps = smooth_noise(random, self.grid, round(self._side_um / 24))
        inside = glands.distance_um - glands.wall_um
        where = dirty[glands.owner] & (inside > 5) & (clumps > 0.1)
        points = scattered_points(random, self._side_um, 6.0)
        cell = tuple((points // self.step_um).astype(int).T)
        chosen = points[where[cell]]
        turns = random.uniform(0, np.pi, len(chosen))
        dark = random.random(len(chosen)) < 0.3
        red = CellParts(CellPart.RED, chosen[~dark], turns[~dark])
        self._stamps.draw(stain[1], red, random, wrap=False)
        shrunken = CellParts(CellPart.ROUND, chosen[dark], turns[dark])
        self._stamps.draw(stain[0], shrunken, random, wrap=False)

    def _stroma_nuclei(
        self, random: np.random.Generator, look: _Stroma, share: Field,
        glands: GlandField, angle: Field,
    ) -> list[CellParts]:  # fmt: skip
        """Return the nuclei between the glands, in a share of the tissue."""
        parts = self._scatter(
            random, look.pitch_um, look.spindles, angle, near_border=False
        )
        border = border_distance(self.grid, self.step_um)
        crowd = smooth_noise(random, self.grid, round(self._side_um / 110))
        usual = min((look.pitch_um / _SHARED_PITCH_UM) ** 2, 1.0)
        inner = smooth_step(border / 30 + 0.6 * crowd)
        chance = share * (usual + (1 - usual) * inner)
        kept = []
        for some in parts:
            here = tuple((some.centres_um // self.step_um).astype(int).T)
            free = glands.distance_um[here] < -4.5
            free &= random.random(len(free)) < chance[here]
            kept.append(CellParts(some.kind, some.centres_um[free], some.angles[free]))
        return kept

    def _scatter(
        self, random: np.random.Generator, pitch_um: float, spindles: float,
        angle: Field, *, near_border: bool,
    ) -> list[CellParts]:  # fmt: skip
        """Return spindle and round nuclei, those near the border or the others."""
        points = scattered_points(random, self._side_um, pitch_um)
        edge = np.minimum(points, self._side_um - points).min(1)
        points = points[(edge < _SHARED_UM) == near_border]
        here = tuple((points // self.step_um).astype(int).T)
        turns = angle[here] + random.normal(0, 0.25, len(points))
        is_spindle = random.random(len(points)) < spindles
        return [
            CellParts(kind, points[chosen], turns[chosen])
            for kind, chosen in (
                (CellPart.SPINDLE, is_spindle),
                (CellPart.ROUND, ~is_spindle),
            )
        ]

    def _develop(
        self, random: np.random.Generator, haematoxylin: Field, eosin: Field
    ) -> NDArray[np.uint8]:
        """Return the colours of a stained section, seen through a microscope."""
        sharp = 0.38 / self._spacing_um
        thick = enlarge(1 + 0.05 * self._thickness, self.factor, periodic=True)
        for field in (haematoxylin, eosin):
            if sharp > 0.3:
                ndimage.gaussian_filter(
                    field, sharp, output=field, mode="wrap", truncate=2.6
                )
            field *= thick
        size = len(eosin)
        pixels = np.empty((size, size, 3), np.uint8)
        for channel, glass in enumerate(GLASS):
            density = haematoxylin * np.float32(-self._vectors[0][channel])
            density -= eosin * np.float32(self._vectors[1][channel])
            np.exp(density, out=density)
            density *= glass
            shift = tuple(int(v) for v in random.integers(0, size, 2))
            density += np.roll(self._camera, shift, (0, 1))
            np.clip(density, 0, 255, out=density)
            pixels[..., channel] = density
        return pixels


def _vary_stain(
    random: np.random.Generator,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the optical densities of both stains as one laboratory makes them."""
    strength = random.normal(1.0, 0.07, 2)
    hue = random.normal(1.0, 0.05, (2, 3))
    return tuple(
        tuple(float(v) for v in np.array(stain) * hue[i] * strength[i])
        for i, stain in enumerate((_HAEMATOXYLIN, _EOSIN))
    )  # type: ignore[return-value]
