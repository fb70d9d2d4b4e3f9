"""Classes of objects by vote: each window scores the pieces that it sees best."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.inference.network import TileAnswers, WindowNetwork
from napari_segmoe.inference.regions.lattice import Lattice
from napari_segmoe.inference.regions.objects_in_parts import innermost, parts_of
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.types import Mask

_COARSE = 2  # pieces are found at half the resolution: they only point at objects
_EIGHT = np.ones((3, 3), bool)
_MOST_AT_ONCE = 8


@dataclass(frozen=True, slots=True, eq=False)
class Vote:
    """What one window says of the object at a pixel.

    Attributes
    ----------
    y, x : int
        In the image.
    weight : float
        Area of the piece, in pixels.
    scores : (C,) float32
        Of the region head, uncalibrated.
    """

    y: int
    x: int
    weight: float
    scores: NDArray[np.float32]


def can_vote(network: WindowNetwork) -> bool:
    """Whether a network scores objects and its card names their classes."""
    has_head = getattr(network.model, "region_head", None) is not None
    return has_head and bool(network.card.object_classes)


def votes_of(
    network: WindowNetwork,
    answers: TileAnswers,
    index: int,
    *,
    lattice: Lattice,
    place: tuple[int, int],
) -> list[Vote]:
    """Return the votes of a window for the pieces whose middle it sees best.

    Parameters
    ----------
    network : WindowNetwork
        Which gave the answers.
    answers : TileAnswers
    index : int
        Of the window in them.
    lattice : Lattice
    place : (row, column)
        Of the window in it.
    """
    card = network.card
    mask = answers.probability[index] > card.mask_threshold
    if not mask.any():
        return []
    distance = None if answers.distance is None else answers.distance[index]
    top, left = lattice.corner(*place)
    height, width = lattice.shape
    points, masks = [], []
    for piece, (y, x) in _pieces(mask, distance, card):
        at_y = min(max(top + y, 0), height - 1)
        at_x = min(max(left + x, 0), width - 1)
        if lattice.owns(*place, at_y, at_x):
            points.append((at_y, at_x))
            masks.append(piece)
    rows = score_pieces(network, answers, index, masks)
    return [
        Vote(y, x, float(piece.sum()), row)
        for (y, x), piece, row in zip(points, masks, rows, strict=True)
    ]


@torch.inference_mode()
def score_pieces(
    network: WindowNetwork, answers: TileAnswers, index: int, masks: Sequence[Mask]
) -> list[NDArray[np.float32]]:
    """Return the region head's scores, (C,), of masks in one window, (n, n) bool."""
    output, rows = answers.output, []
    for start in range(0, len(masks), _MOST_AT_ONCE):
        some = np.stack(masks[start : start + _MOST_AT_ONCE]).astype(np.float32)
        count = len(some)
        one = replace(
            output,
            features=tuple(feature[index : index + 1] for feature in output.features),
            embedding=None
            if output.embedding is None
            else output.embedding[index : index + 1].expand(count, -1),
        )
        weight = torch.from_numpy(some)[:, None].to(network.device)
        scores = network.model.classify_region(one, weight)  # type: ignore[operator]
        rows.extend(scores.float().cpu().numpy())
    return rows


def _pieces(
    mask: Mask, distance: NDArray[np.float32] | None, card: WeightsCard
) -> list[tuple[Mask, tuple[int, int]]]:
    """Return the pieces of a window's mask and their innermost pixels."""
    coarse = mask[::_COARSE, ::_COARSE]
    least = card.smallest_object_fraction * mask.size / _COARSE**2
    if distance is None:
        parts = ndimage.label(coarse, structure=_EIGHT)[0]
    else:
        deep = np.ascontiguousarray(distance[::_COARSE, ::_COARSE])
        parts = parts_of(coarse, deep, smallest_px=least, neck=card.part_below)
    found = []
    for number, place in enumerate(ndimage.find_objects(parts), 1):
        if place is None:
            continue
        own = parts[place] == number
        if own.sum() < max(least, 1):
            continue
        y, x = innermost(own)
        whole = np.zeros(coarse.shape, bool)
        whole[place] = own
        fine = whole.repeat(_COARSE, 0).repeat(_COARSE, 1)
        fine = fine[: mask.shape[0], : mask.shape[1]] & mask
        at = (_COARSE * (place[0].start + y), _COARSE * (place[1].start + x))
        found.append((fine, at))
    return found


def tally(
    votes: Sequence[Vote], labels: NDArray[np.uint32]
) -> dict[int, NDArray[np.float32]]:
    """Return mean scores, (C,), by object; votes that point at none are void.

    Parameters
    ----------
    votes : sequence of Vote
    labels : (H, W) uint32
        Final ids of the objects.
    """
    sums: dict[int, NDArray[np.float32]] = {}
    weights: dict[int, float] = {}
    for vote in sorted(votes, key=lambda one: (one.y, one.x, one.weight)):
        number = int(labels[vote.y, vote.x])
        if number:
            weighted = np.float32(vote.weight) * vote.scores
            sums[number] = sums[number] + weighted if number in sums else weighted
            weights[number] = weights.get(number, 0.0) + vote.weight
    return {
        number: total / np.float32(weights[number]) for number, total in sums.items()
    }
