"""Weights that keep frequent classes from drowning rare ones."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_segmoe.training.sources import Source


@dataclass(slots=True, eq=False)  # not frozen: Fabric copies into it
class ClassBalance:
    """Weights of the classes that masks tell apart.

    All go by one over the root of a frequency.

    Attributes
    ----------
    pixels : Tensor, (C + 1,) float32
        Of a pixel, background first. The background weighs 1, and so does a pixel of
        the objects on average: classes are weighed among themselves.
    images : Tensor, (C,) float32
        Of a class that an image holds; 1 on average over those that occur. Objects
        weigh the same: their class is drawn before them.
    """

    pixels: Tensor
    images: Tensor

    def to(self, device: torch.device) -> "ClassBalance":
        """Return the weights on a device."""
        moved = [getattr(self, one.name).to(device) for one in fields(self)]
        return ClassBalance(*moved)


def balance_classes(sources: Sequence[Source]) -> ClassBalance | None:
    """Return the weights for training images; None where masks tell no classes."""
    count = max((source.mask_classes for source in sources), default=0)
    if not count:
        return None
    pixels, images = np.zeros(count), np.zeros(count)
    for source in sources:
        if not source.mask_classes:
            continue
        ids = source.labels[0].numpy()
        numbers = source.class_of_id[ids[ids > 0]]
        found = np.bincount(numbers, minlength=count + 1)[1:] / ids.size
        pixels += found
        images += found > 0
    weights = _inverse_root(pixels)
    return ClassBalance(
        torch.from_numpy(np.concatenate([[1.0], weights]).astype(np.float32)),
        torch.from_numpy(_inverse_root(images).astype(np.float32)),
    )


def repeat_rare(sources: Sequence[Source], share: float) -> tuple[Source, ...]:
    """Return the images, those with rare classes more than once.

    Parameters
    ----------
    sources : sequence of Source
    share : float
        A class that fewer than this share of the images show is rare. An image is
        repeated by the root of ``share`` over its rarest class's share, rounded.

    Notes
    -----
    Gupta et al., LVIS, CVPR 2019, section 5. Each copy is augmented on its own.
    """
    shown = [{one.class_number for one in s.objects if s.mask_classes} for s in sources]
    every = sorted(set().union(*shown)) if shown else []
    found = {c: sum(c in classes for classes in shown) / len(shown) for c in every}
    factors = [
        max((np.sqrt(share / found[c]) for c in classes), default=1.0)
        for classes in shown
    ]
    copies = [max(round(float(factor)), 1) for factor in factors]
    return tuple(s for s, n in zip(sources, copies, strict=True) for _ in range(n))


def _inverse_root(frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / sqrt(f), scaled to a mean of 1 over what occurs; 1 for the rest."""
    known = frequency > 0
    weights = np.ones_like(frequency)
    if known.any():
        weights[known] = 1 / np.sqrt(frequency[known])
        weights[known] *= frequency.sum() / (weights * frequency)[known].sum()
    return weights
