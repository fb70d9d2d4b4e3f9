"""Classes of objects by vote: each window scores the pieces that it sees best."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.inference.class_parting import part_classes
from napari_segmoe.inference.network import TileAnswers, WindowNetwork
from napari_segmoe.inference.regions.lattice import Lattice
from napari_segmoe.inference.regions.objects_in_parts import innermost, rough_parts
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.types import Mask

_COARSE_PX = 64  # side of the window where pieces are parted: they only vote
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


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """Pieces of one window's mask.

    Attributes
    ----------
    answers : TileAnswers
    index : int
        Of the window in them.
    points : list of (y, x)
        The innermost pixel of each, in the image.
    masks : list of (n, n) bool
    """

    answers: TileAnswers
    index: int
    points: list[tuple[int, int]]
    masks: list[Mask]


def can_vote(network: WindowNetwork) -> bool:
    """Whether a network scores objects and its card names their classes."""
    has_head = getattr(network.model, "region_head", None) is not None
    return has_head and bool(network.card.object_classes)


def find_pieces(
    answers: TileAnswers,
    index: int,
    card: WeightsCard,
    *,
    lattice: Lattice,
    place: tuple[int, int],
) -> Pieces | None:
    """Return the pieces of a window whose middle it sees best; None where none are.

    Parameters
    ----------
    answers : TileAnswers
    index : int
        Of the window in them.
    card : WeightsCard
        Of the network that answered.
    lattice : Lattice
    place : (row, column)
        Of the window in it.
    """
    mask = answers.probability[index] > card.mask_threshold
    if not mask.any():
        return None
    distance = None if answers.distance is None else answers.distance[index]
    classes = None if answers.classes is None else answers.classes[index]
    top, left = lattice.corner(*place)
    height, width = lattice.shape
    found = Pieces(answers, index, [], [])
    for piece, (y, x) in _pieces(mask, distance, classes, card):
        at_y = min(max(top + y, 0), height - 1)
        at_x = min(max(left + x, 0), width - 1)
        if lattice.owns(*place, at_y, at_x):
            found.points.append((at_y, at_x))
            found.masks.append(piece)
    return found if found.points else None


def votes_of(network: WindowNetwork, pieces: Pieces) -> list[Vote]:
    """Return what the region head says of pieces."""
    rows = score_pieces(network, pieces.answers, pieces.index, pieces.masks)
    return [
        Vote(y, x, float(piece.sum()), row)
        for (y, x), piece, row in zip(pieces.points, pieces.masks, rows, strict=True)
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
    mask: Mask,
    distance: NDArray[np.float32] | None,
    classes: NDArray[np.uint8] | None,
    card: WeightsCard,
) -> Iterator[tuple[Mask, tuple[int, int]]]:
    """Give the pieces of a window's mask, and their innermost pixels."""
    smallest_px = card.smallest_object_fraction * mask.size
    step = max(len(mask) // _COARSE_PX, 1)
    components = ndimage.label(mask, structure=_EIGHT)[0]
    if classes is not None:
        components = part_classes(components, classes, smallest_px=smallest_px)
    for number, box in enumerate(ndimage.find_objects(components), 1):
        own = components[box] == number
        if own.sum() < smallest_px:
            continue
        for part in _parts(own, distance, box, card, step=step):
            whole = np.zeros(mask.shape, bool)
            whole[box] = part
            y, x = innermost(part[::step, ::step])
            yield whole, (box[0].start + step * y, box[1].start + step * x)


def _parts(
    component: Mask,
    distance: NDArray[np.float32] | None,
    box: tuple[slice, slice],
    card: WeightsCard,
    *,
    step: int,
) -> Iterator[Mask]:
    """Give a component, or the parts in which a coarse look at it parts it."""
    if distance is None:
        yield component
        return
    coarse = component[::step, ::step]
    deep = np.ascontiguousarray(distance[box][::step, ::step])
    smallest_px = card.smallest_object_fraction * distance.size / step**2
    parts = rough_parts(coarse, deep, neck=card.part_below)
    numbers = range(1, int(parts.max(initial=0)) + 1)
    if len(numbers) < 2:
        yield component
        return
    fine = parts.repeat(step, 0).repeat(step, 1)
    fine = fine[: component.shape[0], : component.shape[1]]
    for number in numbers:
        if (parts == number).sum() >= smallest_px:
            yield (fine == number) & component


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
