"""Score objects for which no window voted, each in a window of its own."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.inference.regions.forwarding import TileForward
from napari_segmoe.inference.regions.objects_in_parts import innermost
from napari_segmoe.inference.regions.voting import score_pieces
from napari_segmoe.types import PixelSource


def score_voteless(
    forward: TileForward,
    pixels: PixelSource,
    labels: NDArray[np.uint32],
    scores: dict[int, NDArray[np.float32]],
) -> Iterator[None]:
    """Add the scores that are missing, one object a step.

    Parameters
    ----------
    forward : TileForward
        Of a network with a region head.
    pixels : PixelSource
        The image.
    labels : (H, W) uint32
        Ids of the objects, from 1 without gaps.
    scores : dict of int to (C,) float32
        By object; is filled.
    """
    missing = [n for n in range(1, int(labels.max(initial=0)) + 1) if n not in scores]
    if not missing:
        return
    places = ndimage.find_objects(labels)
    for number in missing:
        place = places[number - 1]
        y, x = innermost(labels[place] == number)
        y0, x0 = (
            _start(at + part.start, length, forward.network.card.input_px)
            for at, part, length in zip((y, x), place, labels.shape, strict=True)
        )
        scores[number] = _score(forward, pixels, labels, number=number, corner=(y0, x0))
        yield


def _start(centre: int, length: int, side: int) -> int:
    if length <= side:
        return -((side - length) // 2)
    return min(max(centre - side // 2, 0), length - side)


def _score(
    forward: TileForward,
    pixels: PixelSource,
    labels: NDArray[np.uint32],
    *,
    number: int,
    corner: tuple[int, int],
) -> NDArray[np.float32]:
    (y, x), side = corner, forward.network.card.input_px
    tile = pixels.read((y, x, y + side, x + side))
    mask = np.zeros((side, side), bool)
    top, left = max(y, 0), max(x, 0)
    seen = labels[top : y + side, left : x + side] == number
    rows, columns = seen.shape
    mask[top - y : top - y + rows, left - x : left - x + columns] = seen
    ((_, answers),) = forward.answer([tile])
    return score_pieces(forward.network, answers, 0, [mask])[0]
