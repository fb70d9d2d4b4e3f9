"""What a predictor is scored on: an image, its true objects and its true class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.folder import (
    DataFolder,
    DataItem,
    read_data_folder,
    stated_spacing_um,
)
from napari_segmoe.data.images import read_image
from napari_segmoe.data.mask_classes import IGNORED, MaskClasses, choose_classes
from napari_segmoe.data.mask_objects import true_objects
from napari_segmoe.data.masks import MaskImage, MaskKind, read_mask
from napari_segmoe.errors import DataFolderError, SplitError
from napari_segmoe.types import Click, LoadedImage, Mask, Modality, Prediction, Spacing


class ScoredPredictor(Protocol):
    """The part of a predictor that scoring needs."""

    @property
    def card(self) -> Any:
        """The weights' card: ``name``, ``classes``, ``object_classes``, ..."""
        ...

    def set_image(
        self,
        image: NDArray[Any],
        spacing_um: Spacing | None = None,
        *,
        modality: Modality = Modality.UNKNOWN,
    ) -> None:
        """Take the image that is asked about next."""
        ...

    def predict(
        self,
        clicks: Sequence[Click] = (),
        *,
        previous: Prediction | Mask | None = None,
    ) -> Prediction:
        """Answer the clicks, or segment everything where there are none."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One image of a data folder with its truth.

    Attributes
    ----------
    item : DataItem
        Name, class, group and split.
    image : LoadedImage
        The pixels.
    truth : (H, W) bool
        All objects.
    objects : (H, W) integers
        One id an object: the mask file's own ids where it has instances, else its
        connected components (of each value, where values are classes).
    classes : (H, W) uint8 or None
        Class of each pixel by its number in ``class_names``, from 1; 255 where it is
        not known. None: the weights or the masks tell no classes apart.
    class_names : tuple of str
        Of the numbers from 1.
    """

    item: DataItem
    image: LoadedImage
    truth: Mask
    objects: NDArray[np.integer]
    classes: NDArray[np.uint8] | None = None
    class_names: tuple[str, ...] = ()

    def class_of(self, mask: Mask) -> str | None:
        """Return the class of an object: its own, else that of the image."""
        if self.classes is None:
            return self.item.class_name
        numbers = self.classes[mask & self.truth]
        return self.class_names[int(numbers[0]) - 1] if numbers.size else None

    @property
    def has_several_classes(self) -> bool:
        """Whether the image's objects are of two classes or more."""
        if self.classes is None:
            return False
        return np.unique(self.classes[self.truth]).size > 1

    @property
    def spacing_um(self) -> Spacing | None:
        """Micrometres per pixel; labels.csv counts more than the file."""
        stated = stated_spacing_um(self.item)
        return self.image.spacing_um if stated is None else (stated, stated)

    def show_to(self, predictor: ScoredPredictor) -> None:
        """Make this the image that the predictor is asked about."""
        predictor.set_image(
            self.image.pixels, self.spacing_um, modality=self.image.modality
        )


@dataclass(frozen=True, slots=True)
class ScoringProgress:
    """How far a scoring run is."""

    done: int
    total: int
    name: str


def choose_items(
    folder: DataFolder | Path | str, split: str, *, limit: int | None = None
) -> tuple[DataFolder, tuple[DataItem, ...]]:
    """Open a data folder and choose the images to score.

    Parameters
    ----------
    folder : DataFolder or path
        The data.
    split : str
        Names separated by commas; "test" takes every split that begins with it.
    limit : int, optional
        Take only the first so many images.

    Returns
    -------
    DataFolder, tuple of DataItem
        The folder as read, and the chosen images.

    Raises
    ------
    DataFolderError
        If the folder cannot be read or no image is in the split.
    """
    if not isinstance(folder, DataFolder):
        folder = read_data_folder(Path(folder))
    items = tuple(folder.select(split))
    if not items:
        raise SplitError(f"No image is in split {split!r}. Choose another --split.")
    return folder, items[:limit]


def read_case(
    item: DataItem,
    kind: MaskKind | None = None,
    mask_classes: MaskClasses | None = None,
) -> Case:
    """Read one image and its mask.

    Parameters
    ----------
    item : DataItem
        The image.
    kind : MaskKind, optional
        What the folder's masks hold. Default: judged from this mask alone.
    mask_classes : MaskClasses, optional
        What their values mean, where the weights tell them apart; see `shared_classes`.

    Raises
    ------
    DataFolderError
        If the image has no mask file.
    ImageReadError
        If a file cannot be read.
    """
    if item.mask_path is None:
        raise DataFolderError(
            f"{item.name} has no mask; scoring needs one for every image. "
            "Add it to masks/, or leave the image out of the split."
        )
    image = read_image(item.image_path)
    shape = image.pixels.shape[:2]
    mask = read_mask(item.mask_path, (shape[0], shape[1]), kind=kind)
    if mask_classes is None:
        return Case(item, image, mask.labels > 0, true_objects(mask))
    numbers = mask_classes.number(mask.labels)
    known = np.where(numbers == IGNORED, 0, numbers)
    objects = true_objects(MaskImage(known, MaskKind.SEMANTIC, mask.note))
    return Case(item, image, known > 0, objects, numbers, mask_classes.names)


def shared_classes(folder: DataFolder, card: Any) -> MaskClasses | None:
    """Return what a folder's mask values mean to weights.

    Returns
    -------
    MaskClasses or None
        Classes that the weights do not know are of value 255. None: the weights, or
        the folder's masks, tell no classes apart.
    """
    wanted = getattr(card, "mask_classes", ())
    if not wanted or not folder.mask_classes:
        return None
    merged = {
        old: new
        for old, new in card.merged_classes.items()
        if old in folder.mask_classes
    }
    return choose_classes(folder.mask_classes, merged, wanted=wanted)


def count_leaky_groups(folder: DataFolder, items: Sequence[DataItem]) -> str | None:
    """Say how many groups of the scored images occur in other splits too.

    Returns
    -------
    str or None
        "n of m" where n > 0, else None.
    """
    scored = {item.group for item in items}
    splits = {item.split for item in items}
    elsewhere = {item.group for item in folder.items if item.split not in splits}
    leaky = scored & elsewhere
    return f"{len(leaky)} of {len(scored)}" if leaky else None


def describe_split(folder: DataFolder, split: str) -> dict[str, Any]:
    """Name the data without giving away where it lies."""
    return {"data": folder.path.name, "split": split}
