"""Turn a plan into encoded tiles and truth, one block of tissue at a time."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.data.slide_writing_tiles import (
    TileCodec,
    TiledLevel,
    TiledPyramid,
    cut_tiles,
    halve,
    level_shapes,
    tile_counts,
)
from napari_segmoe.data.synthetic_slide_block import (
    GLASS,
    TissueBlock,
    TissueKind,
    TissuePainter,
)
from napari_segmoe.data.synthetic_slide_glands import border_distance
from napari_segmoe.data.synthetic_slide_plan import GLASS_BLOCK, SlidePlan
from napari_segmoe.data.synthetic_slide_texture import (
    Field,
    enlarge,
    smooth_noise,
    smooth_step,
)

_CUFF_UM = 18.0  # stroma kept around a gland at the edge of an island
_CLEAR_UM = 6.0  # glass around the place of one that was left out
_EDGE_UM = 2.0
_GLASS_TILE = (0, 0)

_Place = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class BlockTruth:
    """The glands of a block, at the resolution of the truth.

    Attributes
    ----------
    kind : TissueKind
    ids : (n, n) uint16
        Glands from 1.
    boxes : (N, 4) int
        (y0, x0, y1, x1) of each, half open, in pixels of ``ids``.
    centres : (N, 2) float64
        Centre of gravity, pixel centres whole.
    areas : (N,) int
        In pixels of ``ids``.
    """

    kind: TissueKind
    ids: NDArray[np.uint16]
    boxes: NDArray[np.int64]
    centres: NDArray[np.float64]
    areas: NDArray[np.int64]


class SlideTiles:
    """All tiles and the truth of one slide; painted by `paint_all`.

    Parameters
    ----------
    plan : SlidePlan
    painter : TissuePainter
    codec : TileCodec
    tile_px : int
    truth_step : int
        Level-0 pixels per pixel of the truth; a power of two.
    spool : binary file
        Takes the tiles of blocks that an island's edge runs through.
    seed : int
        Of the islands' rough edges.
    """

    def __init__(
        self, plan: SlidePlan, painter: TissuePainter, codec: TileCodec, *,
        tile_px: int, truth_step: int, spool: BinaryIO, seed: int,
    ) -> None:  # fmt: skip
        self._plan, self._painter, self._codec = plan, painter, codec
        self._tile_px, self._truth_step, self._spool = tile_px, truth_step, spool
        self._shapes = level_shapes(plan.shape, 2 * tile_px)
        self._shared_levels = min(
            int(np.log2(plan.block_px // tile_px)) + 1, len(self._shapes)
        )
        self._library: list[list[list[bytes]]] = []
        self._cut: dict[_Place, list[list[tuple[int, int]]]] = {}
        self._end = 0
        self._glass = codec.encode(glass_pixels(tile_px))
        rough = np.random.default_rng([seed, 5])
        side_um = painter.grid * painter.step_um
        self._rough = 7 * smooth_noise(rough, painter.grid, round(side_um / 60))
        self._rough += 4 * smooth_noise(rough, painter.grid, round(side_um / 16))
        small = plan.block_px >> self._shared_levels
        self._mosaic = np.tile(
            glass_pixels(small), (*plan.choice.shape, 1)
        ) if len(self._shapes) > self._shared_levels else None  # fmt: skip
        self.truths: list[BlockTruth] = []
        self.kept: dict[_Place, NDArray[np.bool_]] = {}
        self.nuclei = 0
        self.tissue_um2 = 0.0

    @property
    def steps(self) -> int:
        """Number of steps that `paint_all` yields."""
        return len(self._plan.library) + int(self._plan.is_cut.sum())

    def paint_all(self) -> Generator[None, None, None]:
        """Paint and encode every block, yielding after each."""
        for index, (kind, number) in enumerate(self._plan.library):
            block = self._painter.paint(kind, number)
            truth = measure_block(block, self._painter, self._truth_step)
            self.truths.append(truth)
            places = np.argwhere(self._plan.choice == index)
            whole = [(int(y), int(x)) for y, x in places if not self._plan.is_cut[y, x]]
            levels, small = self._encode_levels(block.pixels)
            self._library.append(levels if whole else [])
            for place in whole:
                self.kept[place] = np.ones(len(truth.areas), np.bool_)
                self._add(place, small, len(block.nuclei_um), 1.0)
            yield
            for y, x in places:
                if self._plan.is_cut[y, x]:
                    self._paint_cut((int(y), int(x)), block, truth)
                    yield

    def pyramid(self, name: str, spacing_um: float) -> TiledPyramid:
        """Return the slide for a writer; call it after `paint_all`."""
        levels = []
        size = 0
        mosaic = self._mosaic
        for number, shape in enumerate(self._shapes):
            if number < self._shared_levels:
                tiles = partial(self._block_tiles, number)
                size += self._block_bytes(number)
            else:
                assert mosaic is not None, "made where there are such levels"
                mosaic = mosaic[: shape[0], : shape[1]]
                encoded = [
                    self._codec.encode(tile)
                    for tile in cut_tiles(mosaic, self._tile_px)
                ]
                tiles = partial(iter, encoded)
                size += sum(map(len, encoded))
                mosaic = halve(mosaic)
            levels.append(TiledLevel(shape, tiles))
        spacing = (spacing_um, spacing_um)
        return TiledPyramid(
            tuple(levels), self._tile_px, spacing, name, self._codec, size
        )

    def _encode_levels(
        self, pixels: NDArray[np.uint8]
    ) -> tuple[list[list[bytes]], NDArray[np.uint8]]:
        """Return a block's tiles of each shared level, and what is left of it."""
        levels = []
        for _ in range(self._shared_levels):
            tiles = cut_tiles(pixels, self._tile_px)
            levels.append([self._codec.encode(tile) for tile in tiles])
            pixels = halve(pixels)
        return levels, pixels

    def _add(
        self, place: _Place, small: NDArray[np.uint8], nuclei: int, share: float
    ) -> None:
        self.nuclei += nuclei
        self.tissue_um2 += share * (self._painter.grid * self._painter.step_um) ** 2
        if self._mosaic is not None:
            side = len(small)
            y, x = place[0] * side, place[1] * side
            self._mosaic[y : y + side, x : x + side] = small

    def _paint_cut(self, place: _Place, block: TissueBlock, truth: BlockTruth) -> None:
        """Paint a block with glass where there is no tissue."""
        tissue, kept = self._edge(place, block, truth)
        shown = np.clip(0.5 + tissue / _EDGE_UM, 0, 1)
        alpha = np.clip(enlarge(shown, self._painter.factor), 0, 1)
        pixels = _lay_on_glass(block.pixels, alpha)
        levels = []
        for _ in range(self._shared_levels):
            bare = cut_tiles(glass_pixels(len(pixels)), self._tile_px)
            levels.append([
                self._keep(tile, empty)
                for tile, empty in zip(
                    cut_tiles(pixels, self._tile_px), bare, strict=True
                )
            ])  # fmt: skip
            pixels = halve(pixels)
        self._cut[place] = levels
        self.kept[place] = kept
        cell = tuple((block.nuclei_um // self._painter.step_um).astype(int).T)
        nuclei = int((tissue[cell] > 0).sum())
        self._add(place, pixels, nuclei, float((tissue > 0).mean()))

    def _keep(
        self, tile: NDArray[np.uint8], glass: NDArray[np.uint8]
    ) -> tuple[int, int]:
        """Put a tile into the spool; return where it is, and its length."""
        if np.array_equal(tile, glass):
            return _GLASS_TILE
        encoded = self._codec.encode(tile)
        self._spool.write(encoded)
        where = (self._end, len(encoded))
        self._end += len(encoded)
        return where

    def _edge(
        self, place: _Place, block: TissueBlock, truth: BlockTruth
    ) -> tuple[Field, NDArray[np.bool_]]:
        """Return the distance to the tissue's edge, and which glands are in it.

        The edge goes around glands: each is in the tissue as a whole, or left out.
        """
        plan, grid = self._plan, self._painter.grid
        tissue = plan.tissue_in_block(*place, grid) + self._rough
        glands = block.glands
        if not glands.count:
            return tissue, np.zeros(0, np.bool_)
        index = np.arange(1, glands.count + 1)
        inside = np.where(glands.distance_um > 0, glands.owner, 0)
        kept = np.asarray(ndimage.mean(tissue, inside, index)) > 0
        y1 = (plan.shape[0] - place[0] * plan.block_px) // self._truth_step
        x1 = (plan.shape[1] - place[1] * plan.block_px) // self._truth_step
        kept &= (truth.boxes[:, 2] <= y1) & (truth.boxes[:, 3] <= x1)
        kept &= truth.areas > 0
        return self._bend_edge(tissue, block, kept), kept

    def _bend_edge(
        self, tissue: Field, block: TissueBlock, kept: NDArray[np.bool_]
    ) -> Field:
        """Lead the tissue's edge around glands, nowhere at the block's border."""
        step_um = self._painter.step_um
        border = border_distance(len(tissue), step_um)
        is_kept = np.concatenate([[False], kept])[block.glands.owner]
        near = block.glands.distance_um
        bent = np.clip(tissue, -60, 60)
        for cuff, clear in ((_CUFF_UM, _CLEAR_UM), (_CUFF_UM / 2, _CLEAR_UM / 2)):
            with_cuff = np.maximum(bent, np.minimum(near + cuff, border - 3.0))
            bent = np.where(is_kept, with_cuff, np.minimum(bent, -(near + clear)))
            if cuff == _CUFF_UM:
                smooth = ndimage.gaussian_filter(bent, 9.0 / step_um)
                bent += (smooth - bent) * smooth_step(border / 40 - 0.1)
        return bent.astype(np.float32)

    def _inner(self, level: int) -> int:
        """Return the tiles along a block's side."""
        return (self._plan.block_px >> level) // self._tile_px

    def _lengths(self, level: int) -> Iterator[tuple[_Place, int]]:
        """Yield each tile's block and its number within it, row by row."""
        rows, columns = tile_counts(self._shapes[level], self._tile_px)
        inner = self._inner(level)
        for row in range(rows):
            for column in range(columns):
                place = (row // inner, column // inner)
                yield place, (row % inner) * inner + column % inner

    def _block_bytes(self, level: int) -> int:
        """Return the bytes of one level."""
        total = 0
        for place, number in self._lengths(level):
            index = int(self._plan.choice[place])
            if place in self._cut:
                total += self._cut[place][level][number][1] or len(self._glass)
            elif index == GLASS_BLOCK:
                total += len(self._glass)
            else:
                total += len(self._library[index][level][number])
        return total

    def _block_tiles(self, level: int) -> Iterator[bytes]:
        """Yield the tiles of one level."""
        for place, number in self._lengths(level):
            index = int(self._plan.choice[place])
            if place in self._cut:
                start, length = self._cut[place][level][number]
                if length == 0:
                    yield self._glass
                    continue
                self._spool.seek(start)
                yield self._spool.read(length)
            elif index == GLASS_BLOCK:
                yield self._glass
            else:
                yield self._library[index][level][number]


def _lay_on_glass(pixels: NDArray[np.uint8], alpha: Field) -> NDArray[np.uint8]:
    """Return a mixture of tissue and glass, rounded to 1/256."""
    share = np.rint(alpha * 256).astype(np.uint16)
    mixed = np.empty_like(pixels)
    for channel, glass in enumerate(GLASS):
        total = pixels[..., channel] * share
        total += np.uint16(glass) * (256 - share)
        mixed[..., channel] = (total + np.uint16(128)) >> 8
    return mixed


def glass_pixels(side: int) -> NDArray[np.uint8]:
    """Return the bare glass around tissue, (side, side, 3)."""
    return np.full((side, side, 3), GLASS, np.uint8)


def measure_block(block: TissueBlock, painter: TissuePainter, step: int) -> BlockTruth:
    """Return the truth of a block at a resolution of ``step`` level-0 pixels."""
    factor = painter.factor // step
    inside = enlarge(block.glands.distance_um, factor) > 0
    owner = np.kron(block.glands.owner, np.ones((factor, factor), np.int32))
    ids = np.where(inside, owner, 0).astype(np.uint16)
    count = block.glands.count
    boxes = np.zeros((count, 4), np.int64)
    for index, box in enumerate(ndimage.find_objects(ids, count)):
        if box is not None:
            boxes[index] = (box[0].start, box[1].start, box[0].stop, box[1].stop)
    numbers = np.arange(1, count + 1)
    centres = np.array(ndimage.center_of_mass(inside, ids, numbers)).reshape(-1, 2)
    areas = np.bincount(ids.ravel(), minlength=count + 1)[1:]
    return BlockTruth(block.kind, ids, boxes, centres, areas)
