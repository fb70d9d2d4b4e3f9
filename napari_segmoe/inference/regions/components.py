"""Join the components of parts of a mask across their borders. Loads no torch."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.inference.regions.lattice import PixelBox
from napari_segmoe.types import Mask

_EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True, slots=True)
class Component:
    """One connected component of the whole mask.

    Attributes
    ----------
    root : int
        The id that stands for it.
    box : (y0, x0, y1, x1)
        Bounding box, half open.
    area_px : int
    first : (y, x)
        Its first pixel, row by row.
    members : tuple of int
        The provisional ids of its pixels.
    """

    root: int
    box: PixelBox
    area_px: int
    first: tuple[int, int]
    members: tuple[int, ...]


class Stitcher:
    """Labels a mask part by part; the parts may come in any order, each once.

    Parameters
    ----------
    shape : (H, W)
        Of the whole mask.

    Attributes
    ----------
    labels : (H, W) uint32
        Provisional ids; `roots` says which are one component.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.labels = np.zeros(shape, np.uint32)
        self._parents: list[int] = [0]
        self._whole: dict[int, Component] = {}
        self._open: set[int] = set()

    def add(self, box: PixelBox, mask: Mask) -> None:
        """Take the mask of a part, (h, w) bool, and join it with its neighbours."""
        y0, x0, y1, x1 = box
        found, count = ndimage.label(mask, structure=_EIGHT)
        if not count:
            return
        before = self.take_ids(count)
        areas = np.bincount(found.ravel())
        for number, (rows, columns) in enumerate(ndimage.find_objects(found), 1):
            root = before + number - 1
            left = int(np.argmax(found[rows.start, columns] == number))
            self._whole[root] = Component(
                root=root,
                box=(
                    y0 + rows.start,
                    x0 + columns.start,
                    y0 + rows.stop,
                    x0 + columns.stop,
                ),
                area_px=int(areas[number]),
                first=(y0 + rows.start, x0 + columns.start + left),
                members=(root,),
            )
            self._open.add(root)
        shifted = found.astype(np.uint32)
        shifted[found > 0] += np.uint32(before - 1)
        self.labels[y0:y1, x0:x1] = shifted
        self._join_borders(box)

    def take_ids(self, count: int) -> int:
        """Return the first of some provisional ids that nothing has yet."""
        before = len(self._parents)
        self._parents.extend(range(before, before + count))
        return before

    def take_complete(self, is_done: Callable[[PixelBox], bool]) -> list[Component]:
        """Return the components that no further part can touch, each once.

        Parameters
        ----------
        is_done : callable
            Whether all parts that a box touches are in.
        """
        complete = []
        for root in sorted(self._open):
            y0, x0, y1, x1 = self._whole[root].box
            if is_done((y0 - 1, x0 - 1, y1 + 1, x1 + 1)):
                complete.append(self._whole[root])
                self._open.remove(root)
        return complete

    def roots(self) -> NDArray[np.uint32]:
        """Return the id that stands for each provisional id, (ids + 1,)."""
        return np.array(
            [self._root(number) for number in range(len(self._parents))], np.uint32
        )

    def components(self) -> list[Component]:
        """Return the components, largest first; ties by their first pixel."""
        return sorted(self._whole.values(), key=lambda one: (-one.area_px, one.first))

    def _root(self, number: int) -> int:
        parents = self._parents
        root = number
        while parents[root] != root:
            root = parents[root]
        while parents[number] != root:
            parents[number], number = root, parents[number]
        return root

    def _join_borders(self, box: PixelBox) -> None:
        y0, x0, y1, x1 = box
        height, width = self.labels.shape
        wide = slice(max(x0 - 1, 0), min(x1 + 1, width))
        tall = slice(max(y0 - 1, 0), min(y1 + 1, height))
        if y0 > 0:
            self._join(self.labels[y0 - 1, wide], self.labels[y0, wide])
        if y1 < height:
            self._join(self.labels[y1 - 1, wide], self.labels[y1, wide])
        if x0 > 0:
            self._join(self.labels[tall, x0 - 1], self.labels[tall, x0])
        if x1 < width:
            self._join(self.labels[tall, x1 - 1], self.labels[tall, x1])

    def _join(self, one: NDArray[np.uint32], other: NDArray[np.uint32]) -> None:
        """Join ids that touch between two lines of pixels, also at corners."""
        pairs = [np.stack((one, other), 1)]
        pairs.append(np.stack((one[:-1], other[1:]), 1))
        pairs.append(np.stack((one[1:], other[:-1]), 1))
        touching = np.concatenate(pairs)
        touching = touching[(touching > 0).all(axis=1)]
        for a, b in np.unique(touching, axis=0).tolist():
            first, second = self._root(a), self._root(b)
            kept, gone = min(first, second), max(first, second)
            if kept != gone:
                self._parents[gone] = kept
                self._open.discard(gone)
                joined = _joined(self._whole[kept], self._whole.pop(gone))
                self._whole[kept] = joined


def _joined(kept: Component, other: Component) -> Component:
    (y0, x0, y1, x1), (top, left, bottom, right) = kept.box, other.box
    return Component(
        root=kept.root,
        box=(min(y0, top), min(x0, left), max(y1, bottom), max(x1, right)),
        area_px=kept.area_px + other.area_px,
        first=min(kept.first, other.first),
        members=kept.members + other.members,
    )
