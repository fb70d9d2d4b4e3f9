"""Training images without masks, in memory; no mask file is opened for them."""

from collections.abc import Sequence

import numpy as np
import torch

from napari_segmoe.data.folder import list_images, read_data_folder
from napari_segmoe.data.images import read_image
from napari_segmoe.data.splits import DataItem
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.sources import Source, image_levels
from napari_segmoe.training.spaced_sources import spaced_levels, spacing_of


def find_unlabelled(config: TrainingConfig) -> tuple[DataItem, ...]:
    """Return the images of the folder ``config.unlabelled``, if it is set.

    Images lie in it, or in its folder ``images``; where it has a ``labels.csv``, those
    of the split to train on are taken, so that no test image is learnt from.

    Raises
    ------
    DataFolderError
        If there are none, or ``labels.csv`` does not fit them.
    """
    folder = config.unlabelled
    if folder is None:
        return ()
    if (folder / "labels.csv").is_file():
        return read_data_folder(folder, all_masks=False).select(config.split)
    inner = folder / "images"
    found = list_images(inner if inner.is_dir() else folder)
    return tuple(DataItem(path.stem, path, group=path.stem) for path in found.values())


def load_unlabelled(
    items: Sequence[DataItem], config: TrainingConfig, spacing_um: float | None
) -> tuple[Source, ...]:
    """Read images into memory as sources without objects and classes.

    Parameters
    ----------
    items : sequence of DataItem
        Their masks, where they have some, are not opened.
    config : TrainingConfig
        Its ``spacing_um`` decides whether samples have a pixel size.
    spacing_um : float or None
        Pixel size of files whose row states none.

    Raises
    ------
    ConfigError
        If pixel sizes are asked for and an image's is not known.
    ImageReadError
        If a file cannot be read.
    """
    return tuple(_load(item, config.spacing_um, spacing_um) for item in items)


def _load(item: DataItem, wanted_um: float | None, assumed_um: float | None) -> Source:
    pixels = read_image(item.image_path).pixels
    height, width = pixels.shape[:2]
    if wanted_um is None:
        found_um = None
        levels = image_levels(pixels)
        labels = tuple(
            torch.zeros(level.shape[-2:], dtype=torch.uint8) for level in levels
        )
    else:
        found_um = spacing_of(item, assumed_um)
        levels = spaced_levels(pixels, wanted_um / found_um)
        labels = (torch.from_numpy(np.zeros((height, width), np.int32)),)
    return Source(
        name=item.name,
        shape=(height, width),
        levels=levels,
        labels=labels,
        objects=(),
        image_class=-1,
        object_class=-1,
        spacing_um=found_um,
    )
