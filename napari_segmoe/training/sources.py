"""Training images held in memory at a few resolutions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.measure import label, regionprops
from torch import Tensor
from torch.nn import functional as F

from napari_segmoe.data.images import read_image
from napari_segmoe.data.mask_classes import IGNORED, MaskClasses
from napari_segmoe.data.masks import MaskKind, read_mask
from napari_segmoe.data.splits import DataItem
from napari_segmoe.errors import DataFolderError

_LONGEST_SIDES = (640, 420, 290)
_SMALLEST_LESION_PX = 30
IGNORED_ID = -1


@dataclass(frozen=True, slots=True)
class ObjectBox:
    """One object of a source: its id and box, in full-resolution pixels.

    ``class_number`` counts from 0; -1 where the masks tell no classes.
    """

    id: int
    centre_yx: tuple[float, float]
    side: float
    class_number: int = -1


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One training image.

    Attributes
    ----------
    name : str
        File stem.
    shape : (H, W)
        Full-resolution size.
    levels : tuple of (C, h, w) uint8 tensors
        Finest first.
    labels : tuple of (h, w) uint8 tensors
        Object ids at the same resolutions; 0 is background. With a pixel size: one
        int32 tensor, at full resolution. Of masks of classes: int32, -1 where
        nothing is known.
    objects : tuple of ObjectBox
        One an object.
    image_class, object_class : int
        Numbers in the card's lists; -1 where there is none.
    spacing_um : float or None
        Full-resolution pixel size, where samples are drawn at a pixel size.
    mask_classes : int
        How many classes the masks tell apart; 0 where objects have none of their own.
    """

    name: str
    shape: tuple[int, int]
    levels: tuple[Tensor, ...]
    labels: tuple[Tensor, ...]
    objects: tuple[ObjectBox, ...]
    image_class: int
    object_class: int
    spacing_um: float | None = None
    mask_classes: int = 0

    @property
    def class_of_id(self) -> NDArray[np.uint8]:
        """Class of each object id, from 1; 0 of background, last 255 of id -1."""
        table = np.zeros(max((one.id for one in self.objects), default=0) + 2, np.uint8)
        for one in self.objects:
            table[one.id] = one.class_number + 1
        table[IGNORED_ID] = IGNORED
        return table

    @property
    def side(self) -> float:
        """Longer side, in full-resolution pixels."""
        return float(max(self.shape))

    @property
    def centre_yx(self) -> tuple[float, float]:
        """Middle of the image."""
        return (self.shape[0] - 1) / 2, (self.shape[1] - 1) / 2

    def level_for(self, side: float, output_px: int) -> int:
        """Return the coarsest level that still has a pixel for each output pixel."""
        for index in range(len(self.levels) - 1, -1, -1):
            longest = max(self.levels[index].shape[-2:])
            if side * longest / self.side >= output_px:
                return index
        return 0

    def scale_yx(self, level: int) -> tuple[float, float]:
        """Return pixels of a level per full-resolution pixel."""
        height, width = self.levels[level].shape[-2:]
        return height / self.shape[0], width / self.shape[1]


def load_sources(
    items: Sequence[DataItem],
    *,
    classes: Sequence[str],
    object_classes: Sequence[str],
    mask_classes: MaskClasses | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> tuple[Source, ...]:
    """Read images and masks into memory.

    With ``mask_classes`` the masks' values are classes: connected pieces of each are
    objects of their own.

    Raises
    ------
    DataFolderError
        If an image has no mask, or a class is not in ``classes``.
    """
    sources = []
    for number, item in enumerate(items, start=1):
        sources.append(_load(item, classes, object_classes, mask_classes))
        if on_progress is not None:
            on_progress(number)
    return tuple(sources)


def _load(
    item: DataItem,
    classes: Sequence[str],
    object_classes: Sequence[str],
    mask_classes: MaskClasses | None,
) -> Source:
    pixels = read_image(item.image_path).pixels
    if item.mask_path is None:
        raise DataFolderError(f"{item.name} has no mask, so nothing is learnt from it.")
    shape = pixels.shape[:2]
    class_of_id: dict[int, int] = {}
    ids: NDArray[np.integer]
    if mask_classes is None:
        ids = _label_objects(read_mask(item.mask_path, shape).labels > 0)
    else:
        read = read_mask(item.mask_path, shape, kind=MaskKind.SEMANTIC)
        ids, class_of_id = label_class_objects(mask_classes.number(read.labels))
    image_class, object_class = class_numbers(item, classes, object_classes)
    images = image_levels(pixels)
    return Source(
        name=item.name,
        shape=(pixels.shape[0], pixels.shape[1]),
        levels=images,
        labels=tuple(_resize_labels(ids, level.shape[-2:]) for level in images),
        objects=tuple(object_boxes(ids, class_of_id)),
        image_class=image_class,
        object_class=object_class,
        mask_classes=0 if mask_classes is None else len(mask_classes.names),
    )


def class_numbers(
    item: DataItem, classes: Sequence[str], object_classes: Sequence[str]
) -> tuple[int, int]:
    """Return an item's numbers in both lists; -1 where it has none.

    Raises
    ------
    DataFolderError
        If its class is not in ``classes``.
    """
    name = item.class_name
    image_class = -1
    if classes and name is not None:
        if name not in classes:
            raise DataFolderError(
                f"{item.name} has class {name!r}; the model knows {', '.join(classes)}."
            )
        image_class = list(classes).index(name)
    known = name is not None and name in object_classes
    return image_class, list(object_classes).index(name or "") if known else -1


def _label_objects(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return component ids; specks below 30 px are dropped."""
    ids = label(mask)
    kept = np.zeros(mask.shape, np.uint8)
    number = 0
    for region in regionprops(ids):
        if region.area >= _SMALLEST_LESION_PX and number < 255:
            number += 1
            kept[ids == region.label] = number
    return kept


def label_class_objects(
    numbers: NDArray[np.uint8],
) -> tuple[NDArray[np.int32], dict[int, int]]:
    """Return ids of the connected pieces of each class, and each id's class from 0.

    Parameters
    ----------
    numbers : (H, W) uint8
        Class of each pixel, from 1; 255 where it is not known.

    Returns
    -------
    (H, W) int32, dict
        -1 where nothing is known, and on specks below 30 px.
    """
    ids = np.where(numbers == IGNORED, IGNORED_ID, 0).astype(np.int32)
    classes: dict[int, int] = {}
    for number in np.unique(numbers[(numbers > 0) & (numbers != IGNORED)]).tolist():
        pieces = label(numbers == number)
        for region in regionprops(pieces):
            where = pieces[region.slice] == region.label
            if region.area < _SMALLEST_LESION_PX:
                ids[region.slice][where] = IGNORED_ID
                continue
            classes[len(classes) + 1] = number - 1
            ids[region.slice][where] = len(classes)
    return ids, classes


def object_boxes(
    ids: NDArray[np.integer], class_of_id: Mapping[int, int] | None = None
) -> list[ObjectBox]:
    """Return one box an object id, with its class where there is one."""
    boxes = []
    for region in regionprops(np.maximum(ids, 0)):
        y0, x0, y1, x1 = region.bbox
        boxes.append(
            ObjectBox(
                id=region.label,
                centre_yx=((y0 + y1 - 1) / 2, (x0 + x1 - 1) / 2),
                side=float(max(y1 - y0, x1 - x0)),
                class_number=(class_of_id or {}).get(region.label, -1),
            )
        )
    return boxes


def image_levels(pixels: NDArray[np.uint8]) -> tuple[Tensor, ...]:
    """Return an image, (C, h, w) uint8, at up to three sizes, finest first."""
    if pixels.ndim == 2:
        image = torch.from_numpy(pixels.copy())[None]
    else:
        image = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
    longest = max(image.shape[-2:])
    levels = []
    for limit in _LONGEST_SIDES:
        factor = min(1.0, limit / longest)
        size = [max(round(side * factor), 1) for side in image.shape[-2:]]
        resized = F.interpolate(
            image[None].float(), size=size, mode="bilinear", antialias=True
        )[0]
        levels.append(resized.round().clamp(0, 255).to(torch.uint8))
    return tuple(levels)


def _resize_labels(ids: NDArray[np.integer], size: torch.Size) -> Tensor:
    labels = torch.from_numpy(ids)
    resized = F.interpolate(
        labels[None, None].float(), size=tuple(size), mode="nearest-exact"
    )
    return resized[0, 0].to(labels.dtype)
