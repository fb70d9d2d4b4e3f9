"""Which images are corrected, held out, or tell whether the old domain is forgotten."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from loop.stain_shift import StainShift
from napari_segmoe.data.folder import DataFolder, DataItem, read_data_folder
from napari_segmoe.data.images import read_image
from napari_segmoe.data.mask_objects import true_objects
from napari_segmoe.data.masks import MaskKind, read_mask

GLAS_UM = 0.62
_OLD_IMAGES = 10
_STU_OLD = 16


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One image as a user meets it, and the truth that the user knows.

    Attributes
    ----------
    item : DataItem
        Its file, class and patient.
    kind : MaskKind
        How its mask is read.
    spacing_um : float or None
    """

    item: DataItem
    kind: MaskKind | None
    spacing_um: float | None

    @property
    def name(self) -> str:
        """Stem of its file."""
        return self.item.name

    def pixels(self) -> NDArray[np.uint8]:
        """Return the image, (H, W) or (H, W, 3)."""
        return read_image(self.item.image_path).pixels

    def truth(self) -> NDArray[np.uint32]:
        """Return the true objects, (H, W), one id an object."""
        height, width = self.pixels().shape[:2]
        assert self.item.mask_path is not None
        mask = read_mask(self.item.mask_path, (height, width), kind=self.kind)
        return np.ascontiguousarray(true_objects(mask), np.uint32)


@dataclass(frozen=True, slots=True, eq=False)
class Division:
    """Images of one seed, in the order in which they are corrected.

    Attributes
    ----------
    corrected : sequence of Picture
        Those that lie in the project; a user corrects the first ones.
    held_out : sequence of Picture
        New domain, never in a project.
    old : sequence of Picture
        Old domain, used nowhere else.
    """

    corrected: Sequence[Picture]
    held_out: Sequence[Picture]
    old: Sequence[Picture]


@dataclass(frozen=True, slots=True, eq=False)
class GlasMaterial:
    """Images of glas, as they are and under the shift.

    Attributes
    ----------
    plain, shifted : sequence of Picture
        The same images in the same order.
    """

    plain: Sequence[Picture]
    shifted: Sequence[Picture]

    def divide(self, seed: int) -> Division:
        """Half of the images are a project's, by image; the other half is held out.

        The last of the project's half are not put into it: unshifted, they tell
        whether the old domain is forgotten.
        """
        order = np.random.default_rng([seed, 61]).permutation(len(self.plain))
        half = len(order) // 2
        mine, others = order[:half], order[half:]
        return Division(
            corrected=[self.shifted[place] for place in mine[:-_OLD_IMAGES]],
            held_out=[self.shifted[place] for place in others],
            old=[self.plain[place] for place in mine[-_OLD_IMAGES:]],
        )


@dataclass(frozen=True, slots=True, eq=False)
class StuMaterial:
    """Images of stu_hospital, and test images of busi as the old domain."""

    new: Sequence[Picture]
    old: Sequence[Picture]

    def divide(self, seed: int) -> Division:
        """16 images are a project's, the other 18 are held out."""
        order = np.random.default_rng([seed, 62]).permutation(len(self.new))
        chosen = np.random.default_rng([seed, 63]).permutation(len(self.old))
        return Division(
            corrected=[self.new[place] for place in order[:16]],
            held_out=[self.new[place] for place in order[16:]],
            old=[self.old[place] for place in chosen[:_STU_OLD]],
        )


def read_glas(data: Path, out: Path, shift: StainShift, split: str) -> GlasMaterial:
    """Write a split of glas under the shift once, and return both kinds of images."""
    folder = read_data_folder(data)
    items = folder.select(split)
    for item in items:
        _write_shifted(item, out, shift)
    moved = [replace(item, image_path=_place(item, out)) for item in items]
    _write_table(out, moved)
    return GlasMaterial(
        plain=_pictures(folder, items, GLAS_UM),
        shifted=_pictures(folder, moved, GLAS_UM),
    )


def read_stu(stu: Path, busi: Path) -> StuMaterial:
    """Return the lesions of stu_hospital and those of busi's test images."""
    new, old = read_data_folder(stu), read_data_folder(busi)
    with_lesion = [one for one in old.select("test") if one.class_name != "normal"]
    return StuMaterial(
        new=_pictures(new, new.items, None), old=_pictures(old, with_lesion, None)
    )


def _pictures(
    folder: DataFolder, items: Sequence[DataItem], spacing_um: float | None
) -> list[Picture]:
    return [Picture(item, folder.mask_kind, spacing_um) for item in items]


def _place(item: DataItem, out: Path) -> Path:
    return out / "images" / f"{item.name}.png"


def _write_shifted(item: DataItem, out: Path, shift: StainShift) -> None:
    place = _place(item, out)
    if place.is_file():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f".{place.name}")
    shifted = shift.apply(read_image(item.image_path).pixels)
    Image.fromarray(shifted).save(partial, format="PNG", compress_level=1)
    partial.replace(place)


def _write_table(out: Path, items: Sequence[DataItem]) -> None:
    with (out / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "class", "split", "group"])
        for item in items:
            row = [item.image_path.name, item.class_name, item.split, item.group]
            writer.writerow(row)
