"""The objects of a mask: one id each."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.data.masks import MaskImage, MaskKind
from napari_segmoe.types import Mask


def true_objects(mask: MaskImage) -> NDArray[np.integer]:
    """Return one id an object, (H, W).

    Instances keep their ids. Of other masks each connected piece of a value is an
    object; so it is where an instance mask has one id in all: its pieces were never
    numbered (two images of GlaS are so), or it is one piece anyway.
    """
    if mask.kind is MaskKind.INSTANCES and mask.labels.max() > 1:
        return mask.labels
    objects = np.zeros(mask.labels.shape, np.int32)
    for value in np.unique(mask.labels[mask.labels > 0]):
        components = label_components(mask.labels == value)
        objects = np.where(components > 0, components + objects.max(), objects)
    return objects


def label_components(mask: Mask, *, min_area_px: int = 1) -> NDArray[np.int32]:
    """Give each connected component (8 neighbours) of a mask its own id.

    Parameters
    ----------
    mask : (H, W) bool
        Any mask.
    min_area_px : int
        Smaller components are left out.

    Returns
    -------
    (H, W) int32
        Ids 1, 2, ... in reading order; 0 elsewhere.
    """
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    keep = areas >= min_area_px
    keep[0] = False
    ids = np.cumsum(keep) * keep
    return ids.astype(np.int32)[labels]
