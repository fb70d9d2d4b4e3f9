"""Training images with a pixel size: ids as they are, and a level near that size."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_segmoe.data.folder import stated_spacing_um
from napari_segmoe.data.images import read_image
from napari_segmoe.data.mask_classes import MaskClasses
from napari_segmoe.data.mask_objects import true_objects
from napari_segmoe.data.masks import MaskKind, read_mask
from napari_segmoe.data.slides.resampling import resample
from napari_segmoe.data.splits import DataItem
from napari_segmoe.errors import ConfigError, DataFolderError
from napari_segmoe.training.sources import (
    Source,
    class_numbers,
    label_class_objects,
    object_boxes,
)

_FINER = 1.6  # so that zooming in by 1.25 still reads real pixels


def load_spaced_sources(
    items: Sequence[DataItem],
    *,
    classes: Sequence[str],
    object_classes: Sequence[str],
    spacing_um: float,
    data_spacing_um: float | None,
    kind: MaskKind | None = None,
    mask_classes: MaskClasses | None = None,
) -> tuple[Source, ...]:
    """Read images and masks into memory, at up to two pixel sizes.

    Parameters
    ----------
    items : sequence of DataItem
        Their column ``spacing_um``, where there is one, says how large pixels are.
    classes, object_classes : sequence of str
        Names behind the sources' class numbers.
    spacing_um : float
        Pixel size of the samples, micrometres.
    data_spacing_um : float or None
        Pixel size of files whose row says none.
    kind : MaskKind or None
        What the folder's masks stand for; instances keep their ids, of others each
        connected piece is an object.
    mask_classes : MaskClasses or None
        What the masks' values mean, where they are classes.

    Raises
    ------
    ConfigError
        If neither says how large an image's pixels are.
    DataFolderError
        If an image has no mask, a class is unknown, or a pixel size is no number.
    """
    sources = []
    for item in items:
        found = spacing_of(item, data_spacing_um)
        one = _load(item, classes, object_classes, spacing_um, found)
        sources.append(_with_objects(one, item, kind, mask_classes))
    return tuple(sources)


def spacing_of(item: DataItem, data_spacing_um: float | None) -> float:
    """Return an image's pixel size: what its row states, else ``data_spacing_um``.

    Raises
    ------
    ConfigError
        If there is neither.
    """
    found = stated_spacing_um(item) or data_spacing_um
    if found is None:
        raise ConfigError(
            f"spacing_um is set, but nothing says how large the pixels of {item.name}"
            " are. Give data_spacing_um, or a column spacing_um in labels.csv."
        )
    return found


def _load(
    item: DataItem,
    classes: Sequence[str],
    object_classes: Sequence[str],
    wanted_um: float,
    found_um: float,
) -> Source:
    """Return an image whose objects are not read yet."""
    pixels = read_image(item.image_path).pixels
    image_class, object_class = class_numbers(item, classes, object_classes)
    return Source(
        name=item.name,
        shape=(pixels.shape[0], pixels.shape[1]),
        levels=spaced_levels(pixels, wanted_um / found_um),
        labels=(),
        objects=(),
        image_class=image_class,
        object_class=object_class,
        spacing_um=found_um,
    )


def _with_objects(
    source: Source,
    item: DataItem,
    kind: MaskKind | None,
    mask_classes: MaskClasses | None,
) -> Source:
    if item.mask_path is None:
        raise DataFolderError(f"{item.name} has no mask, so nothing is learnt from it.")
    mask = read_mask(item.mask_path, source.shape, kind=kind)
    class_of_id: dict[int, int] = {}
    if mask_classes is None:
        ids = true_objects(mask).astype(np.int32)
    else:
        ids, class_of_id = label_class_objects(mask_classes.number(mask.labels))
    return replace(
        source,
        labels=(torch.from_numpy(ids),),
        objects=tuple(object_boxes(ids, class_of_id)),
        mask_classes=0 if mask_classes is None else len(mask_classes.names),
    )


def spaced_levels(pixels: NDArray[np.uint8], step: float) -> tuple[Tensor, ...]:
    """Return the image 1.6 times finer than samples, or as it is, and at their size."""
    finer = step / _FINER
    steps = [finer if finer > 1.05 else 1.0]
    if step > 1.05 * steps[0]:
        steps.append(step)
    return tuple(_level(pixels, one) for one in steps)


def _level(pixels: NDArray[np.uint8], step: float) -> Tensor:
    height, width = (max(round(side / step), 1) for side in pixels.shape[:2])
    exact = (pixels.shape[0] / height, pixels.shape[1] / width)
    level = resample(pixels, start_yx=(0, 0), step_yx=exact, shape=(height, width))
    planes = level[None] if level.ndim == 2 else level.transpose(2, 0, 1)
    return torch.from_numpy(np.array(planes))  # a file may be read only
