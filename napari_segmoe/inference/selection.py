"""What prompts point at in a mask, and its objects by size. Loads no torch."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.errors import PromptError
from napari_segmoe.inference.class_parting import part_classes
from napari_segmoe.inference.splitting import NECK, part_touching
from napari_segmoe.types import Mask, Prompts

_MOST_OBJECTS = 200


def check_prompts(prompts: Prompts, shape: tuple[int, int]) -> None:
    """Refuse prompts that lie outside an image of ``shape`` or have no extent.

    Raises
    ------
    PromptError
        If one does.
    """
    points = [(click.y, click.x) for click in prompts.clicks]
    points += [point for stroke in prompts.strokes for point in stroke.points]
    for y, x in points:
        if not (-0.5 <= y < shape[0] - 0.5 and -0.5 <= x < shape[1] - 0.5):
            raise PromptError(
                f"The prompt at y = {y:g}, x = {x:g} lies outside the image of"
                f" {shape[0]} x {shape[1]} px (y, x). Click inside it."
            )
    box = prompts.box
    if box is None:
        return
    height = min(box.y1, shape[0]) - max(box.y0, 0)
    width = min(box.x1, shape[1]) - max(box.x0, 0)
    if not (height >= 1 and width >= 1):
        raise PromptError(
            "The box covers no pixel of the image. Give y0 < y1 and x0 < x1 inside it."
        )


def touched_by(found: Mask, prompts: Prompts) -> Mask:
    """Return the components that a stroke or the box's middle half touches."""
    labels, count = ndimage.label(found, structure=np.ones((3, 3)))
    if not count:
        return found
    hit: set[int] = set()
    for stroke in prompts.strokes:
        if stroke.positive:
            rows, columns = np.rint(np.array(stroke.points)).astype(int).T
            hit.update(labels[rows, columns].tolist())
    for click in prompts.clicks:
        if click.positive:
            hit.add(int(labels[round(click.y), round(click.x)]))
    box = prompts.box
    if box is not None:
        y0, x0 = max(int(box.y0), 0), max(int(box.x0), 0)
        inside = labels[y0 : int(np.ceil(box.y1)), x0 : int(np.ceil(box.x1))]
        sizes = np.bincount(inside.ravel(), minlength=count + 1)
        whole = np.bincount(labels.ravel(), minlength=count + 1)
        hit.update(np.flatnonzero(sizes > 0.5 * np.maximum(whole, 1)).tolist())
    hit.discard(0)
    return np.isin(labels, sorted(hit))


def label_objects(
    mask: Mask,
    smallest_fraction: float,
    *,
    distance: NDArray[np.float32] | None = None,
    neck: float = NECK,
    probability: NDArray[np.float32] | None = None,
    least_mean: float = 0.0,
    classes: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint32]:
    """Return object ids, largest first; specks are dropped.

    Parameters
    ----------
    mask : (H, W) bool
    smallest_fraction : float
        Objects below this share of the image are specks.
    distance : (H, W) float32, optional
        Predicted signed distance, positive inside; parts touching objects.
    neck : float
        Where it parts them; see `part_touching`.
    probability : (H, W) float32, optional
        By which doubtful objects are dropped.
    least_mean : float
        Those whose mean probability is below.
    classes : (H, W) uint8, optional
        Most probable class of each pixel; parts touching objects of two classes.
    """
    smallest_px = smallest_fraction * mask.size
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if distance is not None and count:
        labels = part_touching(labels, distance, smallest_px=smallest_px, neck=neck)
        count = int(labels.max())
    if classes is not None and count:
        labels = part_classes(labels, classes, smallest_px=smallest_px)
        count = int(labels.max())
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    if probability is not None and least_mean > 0:
        sums = np.bincount(labels.ravel(), probability.ravel(), minlength=count + 1)
        sizes[sums < least_mean * sizes] = 0
    order = [
        index
        for index in np.argsort(-sizes, kind="stable")
        if sizes[index] > 0 and sizes[index] >= smallest_px
    ][:_MOST_OBJECTS]
    table = np.zeros(count + 1, np.uint32)
    table[order] = np.arange(1, len(order) + 1)
    return table[labels]
