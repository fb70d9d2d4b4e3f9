"""Objects of one region that lie in another one of the same slide."""

import numpy as np

from napari_segmoe.data.slides.region import SlideRegion
from napari_segmoe.session.predictor import locked_pixels
from napari_segmoe.session.workspace import Workspace
from napari_segmoe.types import Mask


def locked_in(workspace: Workspace, others: tuple[Workspace, ...]) -> Mask | None:
    """Return the pixels that committed objects hold, (H, W); None where there are none.

    Parameters
    ----------
    workspace : Workspace
        On the image that is asked about.
    others : tuple of Workspace
        Those on other regions of the same slide: their objects are locked too, so
        that nothing is found twice where regions overlap.
    """
    locked = locked_pixels(workspace.labels)
    region = workspace.image.pixels
    if not isinstance(region, SlideRegion):
        return locked
    for other in others:
        if isinstance(other.image.pixels, SlideRegion) and other.snapshot.records:
            seen = _seen_from(region, other.image.pixels, other.labels > 0)
            locked = seen if locked is None or seen is None else locked | seen
    return locked


def _seen_from(region: SlideRegion, other: SlideRegion, mask: Mask) -> Mask | None:
    """Return a mask of another region on the pixels of ``region``; None: none there."""
    rows = _nearest(region, other, axis=0)
    columns = _nearest(region, other, axis=1)
    found: Mask = np.zeros(region.shape, bool)
    in_rows, in_columns = rows >= 0, columns >= 0
    if not in_rows.any() or not in_columns.any():
        return None
    part = mask[np.ix_(rows[in_rows], columns[in_columns])]
    found[np.ix_(in_rows, in_columns)] = part
    return found if part.any() else None


def _nearest(region: SlideRegion, other: SlideRegion, *, axis: int) -> np.ndarray:
    """Return the other region's pixel at each of ours on one axis; -1 outside."""
    centres = (
        region.origin_yx[axis]
        + (np.arange(region.shape[axis]) + 0.5) * (region.step_yx[axis])
    )
    places = np.floor((centres - other.origin_yx[axis]) / other.step_yx[axis])
    inside = (places >= 0) & (places < other.shape[axis])
    return np.where(inside, places, -1).astype(np.intp)
