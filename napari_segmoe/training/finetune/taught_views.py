"""What a round took for the truth on unlabelled tissue, kept to be looked at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.measure import label
from torch import Tensor

from napari_segmoe.inference.splitting import part_touching
from napari_segmoe.project.label_runs import Labels
from napari_segmoe.project.proposals import (
    FILE,
    ProposedObject,
    ProposedPlace,
    pack_labels,
    write_proposals,
)
from napari_segmoe.training.finetune.gathering import LEAST_OBJECT_PX
from napari_segmoe.training.finetune.view_places import ViewPlace
from napari_segmoe.training.finetune.views import PartialSample
from napari_segmoe.training.pseudo_labels import PseudoLabels

_BYTE, _SIGNED = 255.0, 127.0
_LEAST_COUNTED = 0.5  # of an object's pixels: else it did not teach as an object


@dataclass(frozen=True, slots=True, eq=False)
class TaughtView:
    """What one view was taught last; small, as a round's state holds many.

    Attributes
    ----------
    foreground : Tensor, (n, n) uint8
        Probability, 255 standing for 1.
    distance : Tensor, (n, n) int8, or None
        Signed, 127 standing for 1.
    counted : Tensor, (n, n) bool
        Where it taught.
    agreement : float
        Share of those pixels on which the learning network agreed.
    weight : float
        Of the loss.
    """

    foreground: Tensor
    distance: Tensor | None
    counted: Tensor
    agreement: float
    weight: float


def keep_taught(
    labels: PseudoLabels,
    counted: Tensor,
    row: int,
    *,
    is_mirrored: bool,
    agreement: float,
    weight: float,
) -> TaughtView:
    """Return what one row of a batch was taught, as the view is and not mirrored."""
    found = labels.mask[row, 0] > 0
    sure = labels.confidence[row, 0].float()
    foreground = (torch.where(found, sure, 1 - sure) * _BYTE).round()
    distance = None
    if labels.distance is not None:
        distance = (labels.distance[row, 0] * _SIGNED).round().clamp(-127, 127)
    return TaughtView(
        _as_it_is(foreground.to(torch.uint8), is_mirrored),
        None if distance is None else _as_it_is(distance.to(torch.int8), is_mirrored),
        _as_it_is(counted[row, 0], is_mirrored),
        agreement,
        weight,
    )


def _as_it_is(values: Tensor, is_mirrored: bool) -> Tensor:
    return (values.flip(1) if is_mirrored else values).cpu().clone()


def taught_state(taught: Mapping[int, TaughtView]) -> dict[int, dict[str, Any]]:
    """Return what resuming needs of views."""
    names = [one.name for one in fields(TaughtView)]
    return {
        number: {name: getattr(one, name) for name in names}
        for number, one in taught.items()
    }


def read_taught(state: Mapping[int, Mapping[str, Any]]) -> dict[int, TaughtView]:
    """Take what `taught_state` returned."""
    return {number: TaughtView(**values) for number, values in state.items()}


def write_taught(
    folder: Path,
    views: Sequence[PartialSample],
    taught: Mapping[int, TaughtView],
) -> dict[str, float]:
    """Write what was taught into a run folder; return count, agreement and weight.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    places = []
    for number, one in sorted(taught.items()):
        where = views[number].place
        if where is not None:
            place = _place(one, where, source=folder.name)
            if place.objects:
                places.append(place)
    write_proposals(folder / FILE, places)
    return {
        "views": len(taught),
        "places": len(places),
        "objects": sum(len(one.objects) for one in places),
        "agreement": _mean([one.agreement for one in taught.values()]),
        "weight": max((one.weight for one in taught.values()), default=0.0),
    }


def _place(one: TaughtView, where: ViewPlace, *, source: str) -> ProposedPlace:
    labels, confidence = _objects(one, where)
    return ProposedPlace(
        where.record.name,
        where.record.fingerprint,
        where.box,
        pack_labels(labels),
        tuple(
            ProposedObject(number, value)
            for number, value in sorted(confidence.items())
        ),
        source,
        round(one.agreement, 4),
        round(one.weight, 4),
    )


def _objects(one: TaughtView, where: ViewPlace) -> tuple[Labels, dict[int, float]]:
    """Return a view's objects in pixels of the image, and how sure each is."""
    foreground = one.foreground.numpy().astype(np.float32) / _BYTE
    ids = _split(foreground > 0.5, one.distance)
    shares = _means(ids, one.counted.numpy().astype(np.float32))
    areas = np.bincount(ids.ravel())
    sure = _means(ids, foreground)
    kept = [
        number
        for number in range(1, areas.size)
        if areas[number] >= LEAST_OBJECT_PX and shares[number] >= _LEAST_COUNTED
    ]
    ids = np.where(np.isin(ids, kept), ids, 0)
    wide = where.to_image(ids, order=0).astype(np.uint32)
    wide[where.to_image(foreground, order=1) <= 0.5] = 0
    labels = np.zeros_like(wide)
    confidence: dict[int, float] = {}
    cut = _cut_off(wide, where)
    for number in kept:
        own = wide == number
        if number not in cut and own.any():
            new = len(confidence) + 1
            labels[own] = new
            confidence[new] = float(sure[number])
    return labels, confidence


def _cut_off(labels: Labels, where: ViewPlace) -> set[int]:
    """Return the objects that a view's edge cuts: accepted, they would be half ones."""
    y0, x0, y1, x1 = where.box
    height, width = where.record.shape
    edges = (
        (y0 > 0, labels[0]),
        (x0 > 0, labels[:, 0]),
        (y1 < height, labels[-1]),
        (x1 < width, labels[:, -1]),
    )
    return {int(one) for is_inner, edge in edges if is_inner for one in np.unique(edge)}


def _split(mask: NDArray[np.bool_], distance: Tensor | None) -> NDArray[np.int32]:
    components: NDArray[np.int32] = label(mask, connectivity=2)
    if distance is None or not mask.any():
        return components
    values = distance.numpy().astype(np.float32) / _SIGNED
    return part_touching(components, values, smallest_px=LEAST_OBJECT_PX)


def _means(ids: NDArray[np.int32], values: NDArray[np.float32]) -> NDArray[np.float64]:
    sums = np.bincount(ids.ravel(), weights=values.ravel())
    means: NDArray[np.float64] = sums / np.maximum(np.bincount(ids.ravel()), 1)
    return means


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else 0.0
