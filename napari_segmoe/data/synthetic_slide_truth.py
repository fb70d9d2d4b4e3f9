"""Write the truth of a made-up slide: gland ids as OME-Zarr, and a table."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data import ome_zarr
from napari_segmoe.data.synthetic_slide_block import TissueKind
from napari_segmoe.data.synthetic_slide_plan import SlidePlan
from napari_segmoe.data.synthetic_slide_tiles import BlockTruth, SlideTiles

COLUMNS = ("id", "class", "y0", "x0", "y1", "x1", "centre_y", "centre_x", "area_um2")
_COLOURS = {
    TissueKind.BENIGN: (0, 158, 115, 255),
    TissueKind.MALIGNANT: (213, 94, 0, 255),
}
_MOST_PROPERTIES = 10_000  # beyond, the table alone says the classes


def write_truth(
    labels: Path, table: Path, *, plan: SlidePlan, tiles: SlideTiles,
    spacing_um: float, step: int,
) -> dict[str, int]:  # fmt: skip
    """Write ids and table, gland by gland in the order of the lattice.

    Parameters
    ----------
    labels, table : Path
        Written as they stand.
    plan : SlidePlan
    tiles : SlideTiles
        Painted.
    spacing_um : float
        Of level 0.
    step : int
        Level-0 pixels per pixel of the truth.

    Returns
    -------
    mapping of str to int
        Number of glands of each class.
    """
    root = ome_zarr.open_root(labels)
    shape = (max(plan.shape[0] // step, 1), max(plan.shape[1] // step, 1))
    downs, arrays = _make_levels(root, shape, plan.block_px // step)
    classes: list[str] = []
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for place in sorted(tiles.kept):
            truth = tiles.truths[int(plan.choice[place])]
            kept = np.flatnonzero(tiles.kept[place])
            if not len(kept):
                continue
            numbers = np.zeros(len(truth.areas) + 1, np.uint32)
            numbers[kept + 1] = len(classes) + 1 + np.arange(len(kept))
            for array, down in zip(arrays, downs, strict=True):
                _put(
                    array,
                    place,
                    numbers[truth.ids[down // 2 :: down, down // 2 :: down]],
                )
            writer.writerows(
                _row(
                    truth, int(index), int(numbers[index + 1]), place, spacing_um, step
                )
                for index in kept
            )
            classes += [str(truth.kind)] * len(kept)
    _write_meaning(root, classes, spacing_um * step, downs)
    return {str(kind): classes.count(str(kind)) for kind in _COLOURS}


def _make_levels(
    root: Any, shape: tuple[int, int], side: int
) -> tuple[list[int], list[Any]]:
    """Make the arrays; a chunk is what one block covers."""
    downs = [1]
    while side // (downs[-1] * 4) >= 32 and max(shape) // downs[-1] > 1024:
        downs.append(downs[-1] * 4)
    return downs, [
        ome_zarr.create_array(
            root,
            str(number),
            (max(shape[0] // down, 1), max(shape[1] // down, 1)),
            (side // down, side // down),
            np.uint32,
        )
        for number, down in enumerate(downs)
    ]


def _put(array: Any, place: tuple[int, int], ids: NDArray[np.uint32]) -> None:
    """Write a block's ids; what lies beyond the slide is left out."""
    y, x = (index * len(ids) for index in place)
    ids = ids[: max(array.shape[0] - y, 0), : max(array.shape[1] - x, 0)]
    if ids.any():
        array[y : y + ids.shape[0], x : x + ids.shape[1]] = ids


def _row(
    truth: BlockTruth, index: int, number: int, place: tuple[int, int],
    spacing_um: float, step: int,
) -> list[int | float | str]:  # fmt: skip
    """Return one line of the table."""
    side = len(truth.ids)
    corner = np.array(place) * side
    box = (truth.boxes[index] + np.tile(corner, 2)) * step
    centre = (truth.centres[index] + corner + 0.5) * step - 0.5
    area = int(truth.areas[index]) * (spacing_um * step) ** 2
    return [
        number, str(truth.kind), *(int(edge) for edge in box),
        *(round(float(value), 2) for value in centre), round(area, 2),
    ]  # fmt: skip


def _write_meaning(
    root: Any, classes: list[str], spacing_um: float, downs: list[int]
) -> None:
    """Write the scale, and each gland's class where the list stays short."""
    scales = ome_zarr.pyramid_scales("yx", (spacing_um, spacing_um), downs)
    ome_zarr.write_multiscales(root, scales)
    told = classes if len(classes) <= _MOST_PROPERTIES else []
    meaning = ome_zarr.LabelImage(
        colours={n: _COLOURS[TissueKind(name)] for n, name in enumerate(told, 1)},
        properties={n: {"class": name} for n, name in enumerate(told, 1)},
    )
    ome_zarr.write_label_image(root, meaning, version=scales.version)
