"""How well objects agree, one by one: gland challenge, AJI and panoptic quality.

Everything is kept as counts and sums that add up over images, so that one score of a
whole set, and its bootstrap, need no image again. Conventions: two images without
objects agree (scores 1, distance 0). Where one of them has none, overlap scores are 0
and the distance is undefined (None); such objects weigh nothing in a pooled distance.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Labels = NDArray[np.integer]
Floats = NDArray[np.float64]
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class ObjectScores:
    """Object-wise agreement of label images, as sums.

    Attributes
    ----------
    predicted, truth : int
        Number of objects.
    hits : int
        Predicted objects that cover more than half of the true object with which
        they share most (gland challenge).
    pairs : int
        Pairs whose IoU is above 0.5.
    pair_iou : float
        Sum of their IoU.
    shared_px, union_px : float
        Numerator and denominator of the aggregated Jaccard index.
    predicted_px, truth_px : float
        Areas of all objects.
    predicted_dice, truth_dice : float
        Dice of each object with the one it shares most with, times its area, summed.
    predicted_hausdorff, truth_hausdorff : float
        The same with the Hausdorff distance in pixels.
    predicted_measured_px, truth_measured_px : float
        Area of the objects that have such a distance; 0 where none was asked for.
    """

    predicted: float = 0
    truth: float = 0
    hits: float = 0
    pairs: float = 0
    pair_iou: float = 0.0
    shared_px: float = 0.0
    union_px: float = 0.0
    predicted_px: float = 0.0
    truth_px: float = 0.0
    predicted_dice: float = 0.0
    truth_dice: float = 0.0
    predicted_hausdorff: float = 0.0
    truth_hausdorff: float = 0.0
    predicted_measured_px: float = 0.0
    truth_measured_px: float = 0.0

    @property
    def f1(self) -> float:
        """F1 of detection as the gland challenge counts hits."""
        return self._share(2 * self.hits, self.predicted + self.truth)

    @property
    def precision(self) -> float:
        """Share of the predicted objects that are hits; 0 where there are none."""
        return self._share(self.hits, self.predicted)

    @property
    def recall(self) -> float:
        """Share of the true objects that are hit; 0 where there are none."""
        return self._share(self.hits, self.truth)

    @property
    def dice(self) -> float:
        """Object Dice of the gland challenge."""
        truth = self._share(self.truth_dice, self.truth_px)
        return (truth + self._share(self.predicted_dice, self.predicted_px)) / 2

    @property
    def hausdorff(self) -> float | None:
        """Object Hausdorff distance of the gland challenge, in pixels."""
        if not self.predicted and not self.truth:
            return 0.0
        if not self.predicted_measured_px or not self.truth_measured_px:
            return None
        truth = self.truth_hausdorff / self.truth_measured_px
        return (truth + self.predicted_hausdorff / self.predicted_measured_px) / 2

    @property
    def aji(self) -> float:
        """Aggregated Jaccard index (Kumar et al. 2017, IEEE TMI 36:1550)."""
        return self._share(self.shared_px, self.union_px)

    @property
    def sq(self) -> float | None:
        """Segmentation quality: mean IoU of the pairs; None where there are none."""
        if not self.predicted and not self.truth:
            return 1.0
        return self.pair_iou / self.pairs if self.pairs else None

    @property
    def rq(self) -> float:
        """Recognition quality: F1 of detection at an IoU above 0.5."""
        return self._share(2 * self.pairs, self.predicted + self.truth)

    @property
    def pq(self) -> float:
        """Panoptic quality (Kirillov et al. 2019): SQ times RQ."""
        return self._share(2 * self.pair_iou, self.predicted + self.truth)

    def as_dict(self) -> dict[str, float | None]:
        """Return each score by its name in reports."""
        return {
            "object_f1": self.f1,
            "object_precision": self.precision,
            "object_recall": self.recall,
            "object_dice": self.dice,
            "object_hausdorff": self.hausdorff,
            "aji": self.aji,
            "pq": self.pq,
            "sq": self.sq,
            "rq": self.rq,
        }

    def _share(self, part: float, whole: float) -> float:
        if not self.predicted and not self.truth:
            return 1.0
        return part / whole if whole else 0.0


SUMS = tuple(field.name for field in fields(ObjectScores))


def pool_objects(scores: Iterable[ObjectScores]) -> ObjectScores:
    """Add up scores over images: all objects of the set count alike."""
    return from_sums(np.array([astuple(one) for one in scores]).reshape(-1, len(SUMS)))


def from_sums(rows: NDArray[Any]) -> ObjectScores:
    """Return the pooled scores of rows, (N, len(SUMS)), one an image."""
    return ObjectScores(*(float(value) for value in rows.sum(0)))


def score_objects(
    predicted: Labels, truth: Labels, *, hausdorff: bool = False
) -> ObjectScores:
    """Compare two label images object by object.

    Parameters
    ----------
    predicted, truth : (H, W) integers
        One id an object, 0 for background. Ids need not be consecutive.
    hausdorff : bool
        Whether distances are measured too, which takes far longer.

    Returns
    -------
    ObjectScores
        Add them up with `pool_objects`.

    Raises
    ------
    ValueError
        If the images differ in shape.

    Notes
    -----
    Object F1, Dice and Hausdorff distance: Sirinukunwattana et al. 2017, Medical
    Image Analysis 35:489, Sec. 4. As in the challenge's own code a hit is more than
    half, so that no true object is hit twice, and an object that shares nothing with
    any other is held against the one at the least Hausdorff distance.
    """
    if predicted.shape != truth.shape:
        raise ValueError(
            f"The prediction has shape {predicted.shape}, the truth {truth.shape}; "
            "they must be equal."
        )
    table = _Table.of(predicted, truth)
    counts = ObjectScores(
        predicted=table.predicted_px.size,
        truth=table.truth_px.size,
        union_px=float(table.predicted_px.sum() + table.truth_px.sum()),
        predicted_px=float(table.predicted_px.sum()),
        truth_px=float(table.truth_px.sum()),
    )
    if not table.shared.size:
        return counts
    return _Comparison(table, counts).scores(hausdorff=hausdorff)


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """Label images with ids from 1, and the pixels that each pair shares."""

    predicted: NDArray[np.intp]
    truth: NDArray[np.intp]
    shared: Floats
    predicted_px: Floats
    truth_px: Floats

    @classmethod
    def of(cls, predicted: Labels, truth: Labels) -> "_Table":
        rows, columns = _from_one(predicted), _from_one(truth)
        shape = (int(rows.max(initial=0)) + 1, int(columns.max(initial=0)) + 1)
        counts = np.bincount((rows * shape[1] + columns).ravel(), minlength=shape[0])
        table = np.zeros(shape[0] * shape[1])
        table[: counts.size] = counts
        table = table.reshape(shape)
        areas = table.sum(1)[1:], table.sum(0)[1:]
        return cls(rows, columns, table[1:, 1:], *areas)


class _Comparison:
    """Scores of a table in which both sides have objects."""

    def __init__(self, table: _Table, counts: ObjectScores) -> None:
        self._table, self._counts = table, counts
        self._union = table.predicted_px[:, None] + table.truth_px - table.shared

    def scores(self, *, hausdorff: bool) -> ObjectScores:
        table, counts = self._table, self._counts
        shared_px, union_px = self._aggregated_jaccard()
        matched = table.shared > _HALF * self._union  # at most one partner each side
        dice = 2 * table.shared / (table.predicted_px[:, None] + table.truth_px)
        of_predicted = dice[np.arange(len(dice)), table.shared.argmax(1)]
        of_truth = dice[table.shared.argmax(0), np.arange(dice.shape[1])]
        distances = self._distances() if hausdorff else (0.0, 0.0, 0.0, 0.0)
        return ObjectScores(
            predicted=counts.predicted,
            truth=counts.truth,
            hits=int(self._is_hit().sum()),
            pairs=int(matched.sum()),
            pair_iou=float((table.shared / self._union)[matched].sum()),
            shared_px=shared_px,
            union_px=union_px,
            predicted_px=counts.predicted_px,
            truth_px=counts.truth_px,
            predicted_dice=float(table.predicted_px @ of_predicted),
            truth_dice=float(table.truth_px @ of_truth),
            predicted_hausdorff=distances[0],
            truth_hausdorff=distances[1],
            predicted_measured_px=distances[2],
            truth_measured_px=distances[3],
        )

    def _is_hit(self) -> NDArray[np.bool_]:
        shared = self._table.shared
        partner = shared.argmax(1)
        most = shared[np.arange(len(shared)), partner]
        return np.asarray(most > _HALF * self._table.truth_px[partner])

    def _aggregated_jaccard(self) -> tuple[float, float]:
        """AJI as published: a predicted object may serve several true ones."""
        shared = self._table.shared
        best = (shared / self._union).argmax(0)
        columns = np.arange(shared.shape[1])
        hit = shared[best, columns] > 0
        unused = np.ones(len(shared), bool)
        unused[best[hit]] = False
        union = self._union[best, columns][hit].sum() + self._table.truth_px[~hit].sum()
        return (
            float(shared[best, columns][hit].sum()),
            float(union + self._table.predicted_px[unused].sum()),
        )

    def _distances(self) -> tuple[float, float, float, float]:
        table = self._table
        pairs = _Pairs(table.predicted, table.truth)
        found = _partner_distances(table.shared, pairs.between, pairs.at_least)
        back = _partner_distances(
            table.shared.T,
            lambda one, other: pairs.between(other, one),
            lambda one: pairs.at_least_of_truth(one),
        )
        return (
            float(table.predicted_px @ found),
            float(table.truth_px @ back),
            float(table.predicted_px.sum()),
            float(table.truth_px.sum()),
        )


class _Pairs:
    """Hausdorff distances between objects, each found once."""

    def __init__(self, predicted: NDArray[np.intp], truth: NDArray[np.intp]) -> None:
        self._images = predicted, truth
        self._boxes = _boxes(predicted), _boxes(truth)
        self._known: dict[tuple[int, int], float] = {}

    def between(self, row: int, column: int) -> float:
        """Return the distance of a predicted and a true object, counted from 0."""
        key = (row, column)
        if key not in self._known:
            self._known[key] = self._measure(row, column)
        return self._known[key]

    def at_least(self, row: int) -> Floats:
        """Return what the boxes say: no true object is nearer to a predicted one."""
        return _box_gap(self._boxes[0][row], self._boxes[1])

    def at_least_of_truth(self, column: int) -> Floats:
        """Return the same for a true object."""
        return _box_gap(self._boxes[1][column], self._boxes[0])

    def _measure(self, row: int, column: int) -> float:
        first, second = self._boxes[0][row], self._boxes[1][column]
        y0, x0 = np.minimum(first[:2], second[:2])
        y1, x1 = np.maximum(first[2:], second[2:])
        one = self._images[0][y0:y1, x0:x1] == row + 1
        other = self._images[1][y0:y1, x0:x1] == column + 1
        return hausdorff_distance(one, other)


def hausdorff_distance(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the Hausdorff distance of two sets of pixels, in pixels.

    Parameters
    ----------
    one, other : (H, W) bool
        Neither is empty.
    """
    there = ndimage.distance_transform_edt(~other)[one].max()
    back = ndimage.distance_transform_edt(~one)[other].max()
    return float(max(there, back))


def _partner_distances(shared: Floats, between: Any, at_least: Any) -> Floats:
    """Return the distance of each row's object to the one it is held against."""
    distances = np.zeros(len(shared))
    for row, partner in enumerate(shared.argmax(1)):
        if shared[row, partner] > 0:
            distances[row] = between(row, int(partner))
        else:
            distances[row] = _nearest(row, at_least(row), between)
    return distances


def _nearest(row: int, bounds: Floats, between: Any) -> float:
    best = np.inf
    for column in np.argsort(bounds, kind="stable"):
        if bounds[column] >= best:
            break
        best = min(best, between(row, int(column)))
    return float(best)


def _box_gap(box: NDArray[np.intp], others: Sequence[NDArray[np.intp]]) -> Floats:
    """Return lower bounds of a distance: how far the sides of boxes are apart."""
    gaps: Floats = np.abs(np.asarray(others) - box).max(1).astype(np.float64)
    return gaps


def _boxes(labels: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    return [
        np.array([rows.start, columns.start, rows.stop, columns.stop])
        for rows, columns in ndimage.find_objects(labels.astype(np.int32))
    ]


def _from_one(labels: Labels) -> NDArray[np.intp]:
    """Return ids 1, 2, ... without gaps, 0 for background."""
    ids, index = np.unique(labels, return_inverse=True)
    index = index.reshape(labels.shape)
    return index if ids.size and ids[0] == 0 else index + 1
