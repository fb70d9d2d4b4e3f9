"""Where the tissue of a made-up slide lies, and which block stands where."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.data.synthetic_slide_block import TissueKind
from napari_segmoe.data.synthetic_slide_texture import Field, enlarge

GLASS_BLOCK = -1
_LARGEST_BLOCK_UM = 1250.0
_SURE_UM = 40.0  # an island's edge wanders less than this
_MOST = 17  # blocks of a kind in the library


@dataclass(frozen=True, slots=True, eq=False)
class SlidePlan:
    """The blocks of a slide, on a lattice.

    Attributes
    ----------
    shape : (H, W)
        Of the slide, in level-0 pixels.
    block_px : int
        Side of a block.
    library : tuple of (TissueKind, int)
        The blocks to paint: kind and number.
    choice : (rows, columns) int
        Index into ``library``; `GLASS_BLOCK` where there is no tissue.
    is_cut : (rows, columns) bool
        Whether an island's edge runs through the block.
    tissue_um : (h, w) float32
        Distance to the nearest edge of an island, positive inside, on a grid of
        ``cells`` a block.
    cells : int
    """

    shape: tuple[int, int]
    block_px: int
    library: tuple[tuple[TissueKind, int], ...]
    choice: NDArray[np.int64]
    is_cut: NDArray[np.bool_]
    tissue_um: Field
    cells: int

    def tissue_in_block(self, row: int, column: int, grid: int) -> Field:
        """Return the distance to the tissue's edge in a block, (grid, grid), in um."""
        halo, cells = 2, self.cells
        window = self.tissue_um[
            row * cells : (row + 1) * cells + 2 * halo,
            column * cells : (column + 1) * cells + 2 * halo,
        ]
        factor = grid // cells
        large = enlarge(window, factor)
        inner = slice(halo * factor, halo * factor + grid)
        return large[inner, inner]


def plan_slide(
    shape: tuple[int, int],
    *,
    spacing_um: float,
    seed: int,
    tissue_share: float,
    tile_px: int,
) -> SlidePlan:
    """Lay out islands of tissue and choose a block for each place in them.

    Parameters
    ----------
    shape : (H, W)
        In level-0 pixels.
    spacing_um : float
    seed : int
    tissue_share : float
        Of the slide's area, about.
    tile_px : int
        Blocks are made of whole tiles.
    """
    random = np.random.default_rng([seed, 0])
    block = choose_block(shape, spacing_um, tile_px)
    rows, columns = -(-shape[0] // block), -(-shape[1] // block)
    cells = next(c for c in (64, 32, 16) if c * max(rows, columns) <= 2000 or c == 16)
    tissue = _lay_islands(
        random,
        (rows * cells, columns * cells),
        slide=(shape[0] * cells / block, shape[1] * cells / block),
        pitch_um=block * spacing_um / cells,
        share=tissue_share,
    )
    blocks = tissue.reshape(rows, cells, columns, cells)
    least, most = blocks.min((1, 3)), blocks.max((1, 3))
    reach = _SURE_UM + 1.5 * block * spacing_um / cells
    has_tissue = most > -reach
    is_cut = has_tissue & (least < reach)
    library, choice = _choose_blocks(random, has_tissue, most)
    return SlidePlan(
        shape, block, library, choice, is_cut, np.pad(tissue, 2, mode="edge"), cells
    )


def choose_block(shape: tuple[int, int], spacing_um: float, tile_px: int) -> int:
    """Return the side of a block in pixels: tiles times a power of two, about 1 mm."""
    block = 2 * tile_px
    while (
        block < 2048
        and 2 * block * spacing_um <= _LARGEST_BLOCK_UM
        and block < max(shape)
    ):
        block *= 2
    return block


def _lay_islands(
    random: np.random.Generator, shape: tuple[int, int], *,
    slide: tuple[float, float], pitch_um: float, share: float,
) -> Field:  # fmt: skip
    """Return the signed distance in um to the edges of smooth islands."""
    short_um = min(slide) * pitch_um
    grain = float(np.clip(short_um * 0.25, 120, 4500)) / pitch_um
    field = np.zeros(shape, np.float64)
    for part, weight in ((1.0, 1.0), (0.4, 0.4), (0.15, 0.12)):
        layer = random.standard_normal(shape)
        layer = ndimage.gaussian_filter(layer, max(grain * part / 2, 0.7))
        field += weight * layer / layer.std()
    y = np.minimum(np.arange(shape[0]) + 0.5, slide[0] - np.arange(shape[0]) - 0.5)
    x = np.minimum(np.arange(shape[1]) + 0.5, slide[1] - np.arange(shape[1]) - 0.5)
    border = np.minimum(y[:, None], x[None, :])
    margin = max(45.0 / pitch_um, 0.02 * min(slide))
    bulge = ndimage.gaussian_filter(random.standard_normal(shape), max(grain / 5, 0.7))
    # the margin is uneven too: no island ends in a straight line
    even = border - margin - np.abs(bulge / bulge.std()) * 0.16 * grain
    field += 3.0 * np.clip(even / (2.0 * grain), -1, 1)
    field[border < margin] = -np.inf
    if share < 0.8:
        field[even < 0] = -np.inf
    wanted = min(round(share * slide[0] * slide[1]), int(np.isfinite(field).sum()))
    level = np.partition(field.ravel(), field.size - wanted)[field.size - wanted]
    mask = _without_crumbs(field >= level, (0.35 * grain) ** 2)
    mask = ~_without_crumbs(~mask, (0.2 * grain) ** 2)
    inside = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    outside = ndimage.distance_transform_edt(~mask) if mask.any() else 1e3
    distance = np.where(mask, inside - 0.5, 0.5 - outside) * pitch_um
    return ndimage.gaussian_filter(distance.astype(np.float32), 1.0)


def _without_crumbs(mask: NDArray[np.bool_], area: float) -> NDArray[np.bool_]:
    pieces, _ = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    keep = sizes >= min(area, sizes.max())
    keep[0] = False
    return keep[pieces]


def _choose_blocks(
    random: np.random.Generator, has_tissue: NDArray[np.bool_], most: Field
) -> tuple[tuple[tuple[TissueKind, int], ...], NDArray[np.int64]]:
    """Return the library and each place's index into it."""
    places = np.argwhere(has_tissue)
    kinds = _choose_kinds(random, has_tissue, most)
    library: list[tuple[TissueKind, int]] = []
    members: dict[TissueKind, list[int]] = {}
    for kind in TissueKind:
        wanted = kinds.count(kind)
        unique = wanted if wanted <= 3 else min(3 + wanted // 8, _MOST)
        members[kind] = list(range(len(library), len(library) + unique))
        library += [(kind, number) for number in range(unique)]
    choice = np.full(has_tissue.shape, GLASS_BLOCK, np.int64)
    unused = {kind: list(random.permutation(members[kind])) for kind in TissueKind}
    for (row, column), kind in zip(places, kinds, strict=True):
        if unused[kind]:
            choice[row, column] = unused[kind].pop()
            continue
        near = {choice[max(row - 1, 0), column], choice[row, max(column - 1, 0)]}
        other = [one for one in members[kind] if one not in near] or members[kind]
        choice[row, column] = other[random.integers(len(other))]
    return tuple(library), choice


def _choose_kinds(
    random: np.random.Generator, has_tissue: NDArray[np.bool_], most: Field
) -> list[TissueKind]:
    """Return the kind of tissue at each place that has any, row by row."""
    zones = ndimage.gaussian_filter(random.standard_normal(has_tissue.shape), 1.3)
    zones = zones[has_tissue]
    depth = most[has_tissue]
    count = len(zones)
    rank = np.empty(count)
    # places with hardly any tissue take no part in sharing out the kinds
    order = np.lexsort((zones, depth > 60.0))
    rank[order] = np.arange(count)
    solid = int((depth > 60.0).sum()) or count
    is_malignant = rank >= count - max(round(0.42 * solid), int(solid > 1))
    return [TissueKind.MALIGNANT if m else TissueKind.BENIGN for m in is_malignant]
