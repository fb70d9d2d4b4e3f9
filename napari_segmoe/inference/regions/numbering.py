"""Give the objects of a stitched mask their final ids. Loads no torch."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.inference.class_parting import part_classes
from napari_segmoe.inference.regions.components import Component, Stitcher
from napari_segmoe.inference.regions.objects_in_parts import parts_of
from napari_segmoe.inference.splitting import NECK

_LARGEST_BOX_PX = 4096  # longer components are left whole
_BAND_PX = 512


@dataclass(frozen=True, slots=True)
class _Part:
    """An object with its provisional id."""

    number: int
    area_px: int
    first: tuple[int, int]
    mean: float = 1.0


class Numbering:
    """Parts components, drops specks, and numbers the rest from 1 by size.

    Components may come as soon as they are complete, in any order.

    Parameters
    ----------
    stitcher : Stitcher
        Its labels are changed in place.
    smallest_px : float
        Objects below this area are specks.
    neck : float
        Where touching objects are parted; see `part_touching`.
    least_mean : float
        Objects whose mean probability is below are dropped too.
    """

    def __init__(
        self,
        stitcher: Stitcher,
        *,
        smallest_px: float,
        neck: float = NECK,
        least_mean: float = 0.0,
    ) -> None:
        self._stitcher = stitcher
        self._smallest_px = smallest_px
        self._neck = neck
        self._least_mean = least_mean
        self._parts: list[_Part] = []

    def add(
        self,
        component: Component,
        distance: NDArray[np.float16] | None,
        probability: NDArray[np.uint8] | None = None,
        classes: NDArray[np.uint8] | None = None,
    ) -> None:
        """Part a component that is complete by the signed distance, (H, W) or None.

        By the probability, (H, W) in steps of 1/255, doubtful parts are dropped; by
        the classes of pixels, (H, W), objects of two of them are parted.
        """
        if component.area_px < max(self._smallest_px, 1):
            return
        y0, x0, y1, x1 = component.box
        small = max(y1 - y0, x1 - x0) <= _LARGEST_BOX_PX
        worth = component.area_px >= 2 * self._smallest_px
        whole = _Part(component.root, component.area_px, component.first)
        doubted = self._least_mean > 0 and probability is not None
        told = distance is not None or classes is not None
        if not small or not (doubted or (worth and told)):
            self._parts.append(whole)
            return
        inside = self._stitcher.labels[y0:y1, x0:x1]
        own = inside == component.root
        if len(component.members) > 1:
            own = np.isin(inside, component.members)
        sure = probability[y0:y1, x0:x1] if doubted and probability is not None else own
        parts = own.astype(np.int32)
        if worth and distance is not None:
            deep = distance[y0:y1, x0:x1].astype(np.float32)
            parts = parts_of(own, deep, smallest_px=self._smallest_px, neck=self._neck)
        if worth and classes is not None:
            seen = classes[y0:y1, x0:x1]
            parts = part_classes(parts, seen, smallest_px=self._smallest_px)
        areas = np.bincount(parts.ravel())
        if len(areas) <= 2:
            self._parts.append(replace(whole, mean=_mean(sure, own)))
            return
        before = self._stitcher.take_ids(len(areas) - 1)
        for number, (rows, columns) in enumerate(ndimage.find_objects(parts), 1):
            here = parts[rows, columns] == number
            new = before + number - 1
            inside[rows, columns][here] = new
            top = (y0 + rows.start, x0 + columns.start + int(here[0].argmax()))
            mean = _mean(sure[rows, columns], here)
            self._parts.append(_Part(new, int(areas[number]), top, mean))

    def finish(self) -> Iterator[None]:
        """Write the final ids, a little at a time; all components are in."""
        table, labels = self._table(), self._stitcher.labels
        for row in range(0, len(labels), _BAND_PX):
            band = labels[row : row + _BAND_PX]
            band[:] = table[band]
            yield

    def _table(self) -> NDArray[np.uint32]:
        """Return the final id of each provisional one; 0 where it is a speck."""
        kept = [
            one
            for one in self._parts
            if one.area_px >= self._smallest_px and one.mean >= self._least_mean
        ]
        kept.sort(key=lambda one: (-one.area_px, one.first))
        roots = self._stitcher.roots()
        final = np.zeros(len(roots), np.uint32)
        final[[one.number for one in kept]] = np.arange(1, len(kept) + 1)
        return final[roots]


def _mean(sure: NDArray[np.generic], here: NDArray[np.bool_]) -> float:
    """Return the mean probability of pixels; 1 where it is not asked for (bool)."""
    if sure.dtype == np.bool_:
        return 1.0
    return float(sure[here].mean()) / 255
