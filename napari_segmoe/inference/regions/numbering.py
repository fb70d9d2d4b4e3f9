"""Give the objects of a stitched mask their final ids. Loads no torch."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

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


class Numbering:
    """Parts components, drops specks, and numbers the rest from 1 by size.

    Parameters
    ----------
    stitcher : Stitcher
        All parts of the mask are in; its labels are changed in place.
    distance : (H, W) float16, or None
        Predicted signed distance.
    smallest_px : float
        Objects below this area are specks.
    neck : float
        Where touching objects are parted; see `part_touching`.
    """

    def __init__(
        self,
        stitcher: Stitcher,
        distance: NDArray[np.float16] | None,
        *,
        smallest_px: float,
        neck: float = NECK,
    ) -> None:
        self._labels = stitcher.labels
        self._distance = distance
        self._smallest_px = smallest_px
        self._neck = neck
        self._roots = stitcher.roots()
        self._latest = len(self._roots) - 1
        self._components = stitcher.components()
        self._parts: list[_Part] = []

    def steps(self) -> Iterator[None]:
        """Do the work, a little at a time; then the labels are final."""
        for component in self._components:
            if component.area_px >= max(self._smallest_px, 1):
                self._part(component)
                yield
        table = self._table()
        for row in range(0, len(self._labels), _BAND_PX):
            band = self._labels[row : row + _BAND_PX]
            band[:] = table[band]
            yield

    def _part(self, component: Component) -> None:
        y0, x0, y1, x1 = component.box
        small = max(y1 - y0, x1 - x0) <= _LARGEST_BOX_PX
        worth = component.area_px >= 2 * self._smallest_px
        whole = _Part(component.root, component.area_px, component.first)
        if self._distance is None or not (small and worth):
            self._parts.append(whole)
            return
        inside = self._labels[y0:y1, x0:x1]
        own = self._roots[np.minimum(inside, len(self._roots) - 1)] == component.root
        own &= inside < len(self._roots)
        deep = self._distance[y0:y1, x0:x1].astype(np.float32)
        parts = parts_of(own, deep, smallest_px=self._smallest_px, neck=self._neck)
        areas = np.bincount(parts.ravel())
        if len(areas) <= 2:
            self._parts.append(whole)
            return
        for number, place in enumerate(ndimage.find_objects(parts), 1):
            here = parts[place] == number
            self._latest += 1
            inside[place][here] = self._latest
            top = (y0 + place[0].start, x0 + place[1].start + int(here[0].argmax()))
            self._parts.append(_Part(self._latest, int(areas[number]), top))

    def _table(self) -> NDArray[np.uint32]:
        """Return the final id of each provisional one; 0 where it is a speck."""
        kept = [one for one in self._parts if one.area_px >= self._smallest_px]
        kept.sort(key=lambda one: (-one.area_px, one.first))
        final = np.zeros(self._latest + 1, np.uint32)
        final[[one.number for one in kept]] = np.arange(1, len(kept) + 1)
        final[: len(self._roots)] = final[self._roots]
        return final
