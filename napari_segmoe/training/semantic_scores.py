"""How well masks of several classes agree, class by class.

An image counts for a class where its truth or its answer holds the class: elsewhere
both are empty and would score a trivial 1. Pixels of value 255 are not counted.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.mask_classes import IGNORED
from napari_segmoe.training.metrics import Overlap

Classes = NDArray[np.uint8]


def class_overlaps(
    found: Classes, truth: Classes, count: int
) -> tuple[Overlap | None, ...]:
    """Return the pixel counts of each class of one image.

    Parameters
    ----------
    found, truth : (H, W) uint8
        Class of each pixel, from 1; 255 in the truth is not counted.
    count : int
        Number of classes.

    Returns
    -------
    tuple
        None for a class that neither holds.
    """
    counted = truth != IGNORED
    overlaps: list[Overlap | None] = []
    for number in range(1, count + 1):
        one, other = (found == number) & counted, truth == number
        sizes = int(one.sum()), int(other.sum())
        both = int((one & other).sum())
        overlaps.append(Overlap(both, *sizes) if any(sizes) else None)
    return tuple(overlaps)


def class_dice(
    pairs: Iterable[tuple[Classes, Classes]], count: int
) -> tuple[float | None, ...]:
    """Return the mean Dice of each class over the images that count for it.

    Parameters
    ----------
    pairs : iterable of ((H, W) uint8, (H, W) uint8)
        Found and true class of each pixel, image by image.
    count : int
        Number of classes.

    Returns
    -------
    tuple
        None for a class that no image holds.
    """
    scores: list[list[float]] = [[] for _ in range(count)]
    for found, truth in pairs:
        for number, overlap in enumerate(class_overlaps(found, truth, count)):
            if overlap is not None:
                scores[number].append(overlap.dice)
    return tuple(float(np.mean(one)) if one else None for one in scores)
