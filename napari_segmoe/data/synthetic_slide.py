"""Made-up H&E slides of any size with the truth of every gland; no patient."""

import math
import shutil
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from napari_segmoe.data.slide_writing import (
    WritingStep,
    finished_files,
    write_pyramid,
)
from napari_segmoe.data.slide_writing_tiles import (
    SlideFormat,
    TileCodec,
    format_of,
)
from napari_segmoe.data.synthetic_slide_block import TissuePainter
from napari_segmoe.data.synthetic_slide_plan import plan_slide
from napari_segmoe.data.synthetic_slide_tiles import SlideTiles
from napari_segmoe.data.synthetic_slide_truth import write_truth
from napari_segmoe.errors import SlideError

SPACING_UM = 0.5
TISSUE_SHARE = 0.5
_SIDES = (256, 200_000)  # px
_SPACINGS = (0.2, 2.0)  # um
_SHARES = (0.01, 0.9)
_TILES = {SlideFormat.OME_TIFF: 256, SlideFormat.OME_ZARR: 512}


@dataclass(frozen=True, slots=True)
class SyntheticSlide:
    """A made-up slide that was written.

    Attributes
    ----------
    path : Path
        The slide.
    truth_path : Path
        OME-Zarr of gland ids, uint32, at about 1 um per pixel.
    table_path : Path
        CSV with a line for each gland: id, class, box and centre in level-0 pixels,
        area in um2.
    shape : (H, W)
        In level-0 pixels.
    spacing_um : float
    seed : int
    levels : int
    benign, malignant : int
        Number of glands.
    nuclei : int
    tissue_share : float
        Of the slide's area.
    size_bytes : int
        Of the slide's tiles.
    """

    path: Path
    truth_path: Path
    table_path: Path
    shape: tuple[int, int]
    spacing_um: float
    seed: int
    levels: int
    benign: int
    malignant: int
    nuclei: int
    tissue_share: float
    size_bytes: int


def write_synthetic_slide(
    path: str | Path,
    shape: tuple[int, int],
    *,
    spacing_um: float = SPACING_UM,
    seed: int = 0,
    tissue_share: float = TISSUE_SHARE,
) -> SyntheticSlide:
    """Write a made-up slide and its truth; the same seed gives the same bytes.

    Parameters
    ----------
    path : path
        Ends in .ome.tif or .ome.zarr. ``STEM.truth.ome.zarr`` and
        ``STEM.truth.csv`` come beside it.
    shape : (H, W)
        In level-0 pixels, 256 to 200 000 a side.
    spacing_um : float
        Micrometres per level-0 pixel, 0.2 to 2.
    seed : int
    tissue_share : float
        Of the slide's area, about; 0.01 to 0.9.

    Raises
    ------
    SlideError
        If a value is out of range, a file exists, or nothing can be written there.
    """
    job = synthesise_slide(
        path, shape, spacing_um=spacing_um, seed=seed, tissue_share=tissue_share
    )
    while True:
        try:
            next(job)
        except StopIteration as stop:
            return stop.value


def synthesise_slide(
    path: str | Path,
    shape: tuple[int, int],
    *,
    spacing_um: float = SPACING_UM,
    seed: int = 0,
    tissue_share: float = TISSUE_SHARE,
) -> Generator[WritingStep, None, SyntheticSlide]:
    """Do as `write_synthetic_slide`, yielding progress; closing it cancels."""
    path = Path(path)
    form = format_of(path)
    _check(shape, spacing_um, seed, tissue_share)
    truth_path, table_path = truth_paths(path)
    tile_px = _TILES[form]
    plan = plan_slide(
        shape, spacing_um=spacing_um, seed=seed, tissue_share=tissue_share,
        tile_px=tile_px,
    )  # fmt: skip
    step = 2 ** max(round(math.log2(1 / spacing_um)), 0)
    with finished_files(path, truth_path, table_path) as unfinished:
        slide, truth, table = unfinished
        with tempfile.TemporaryFile(dir=slide.parent) as spool:
            painter = TissuePainter(seed, size=plan.block_px, spacing_um=spacing_um)
            tiles = SlideTiles(
                plan, painter, TileCodec(form), tile_px=tile_px, truth_step=step,
                spool=spool, seed=seed,
            )  # fmt: skip
            whole = round(tiles.steps * 1.2) + 1
            for done, _ in enumerate(tiles.paint_all(), start=1):
                yield WritingStep(done, whole, "tissue")
            pyramid = tiles.pyramid(_stem(path), spacing_um)
            _check_room(slide.parent, pyramid.size_bytes, path.name)
            counts = write_truth(
                truth, table, plan=plan, tiles=tiles, spacing_um=spacing_um, step=step
            )
            for part in write_pyramid(slide, pyramid):
                share = part.done / max(part.total, 1)
                done = tiles.steps + round(share * (whole - tiles.steps))
                yield WritingStep(done, whole, part.name)
    area_um2 = shape[0] * shape[1] * spacing_um**2
    return SyntheticSlide(
        path, truth_path, table_path, shape, spacing_um, seed, len(pyramid.levels),
        counts["benign"], counts["malignant"], tiles.nuclei,
        tiles.tissue_um2 / area_um2,
        pyramid.size_bytes,
    )  # fmt: skip


def truth_paths(path: Path) -> tuple[Path, Path]:
    """Return where the ids and the table of a slide's truth lie."""
    stem = _stem(path)
    return (
        path.with_name(f"{stem}.truth.ome.zarr"),
        path.with_name(f"{stem}.truth.csv"),
    )


def _stem(path: Path) -> str:
    return path.name[: path.name.lower().rindex(".ome.")] or "slide"


def _check(
    shape: tuple[int, int], spacing_um: float, seed: int, tissue_share: float
) -> None:
    low, high = _SIDES
    if not all(low <= side <= high for side in shape):
        raise SlideError(
            f"A slide of {shape[0]} x {shape[1]} px cannot be made; both sides must be "
            f"{low} to {high} px."
        )
    if not _SPACINGS[0] <= spacing_um <= _SPACINGS[1]:
        raise SlideError(
            f"A pixel size of {spacing_um:g} um cannot be made; give one of "
            f"{_SPACINGS[0]} to {_SPACINGS[1]:g} um."
        )
    if not _SHARES[0] <= tissue_share <= _SHARES[1]:
        raise SlideError(
            f"A tissue share of {tissue_share:g} cannot be made; give one of "
            f"{_SHARES[0]} to {_SHARES[1]}."
        )
    if seed < 0:
        raise SlideError(f"The seed is {seed}; give a whole number from 0 on.")


def _check_room(folder: Path, wanted: int, name: str) -> None:
    free = shutil.disk_usage(folder).free
    if wanted * 1.02 > free:
        raise SlideError(
            f"{name} needs {wanted / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free; "
            "make room, or write it elsewhere."
        )
