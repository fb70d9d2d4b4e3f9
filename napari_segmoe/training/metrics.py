"""How well masks agree: per image, per object, and pooled.

Conventions. Where prediction and truth are both empty they agree: every score is
1 and the distance 0. Where one of them is empty overlap scores are 0 and the
distance is undefined (None), never a made-up large number.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_segmoe.types import Mask

Labels = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Pixel counts of one prediction and its truth; they add up over images."""

    both: int
    predicted: int
    truth: int

    @property
    def dice(self) -> float:
        """2 |P and T| / (|P| + |T|); 1 where both are empty."""
        total = self.predicted + self.truth
        return 2 * self.both / total if total else 1.0

    @property
    def iou(self) -> float:
        """|P and T| / |P or T|; 1 where both are empty."""
        union = self.predicted + self.truth - self.both
        return self.both / union if union else 1.0


@dataclass(frozen=True, slots=True)
class ObjectScores:
    """Object-wise agreement of two label images.

    Attributes
    ----------
    f1 : float
        F1 of detection; a pair counts where its IoU is above 0.5.
    dice : float
        Object Dice of the gland challenge: the mean over truth objects weighted by
        area, and over predicted ones, each against its largest overlap.
    aji : float
        Aggregated Jaccard index (Kumar et al. 2017).
    pq : float
        Panoptic quality: sum of matched IoU over TP + FP/2 + FN/2.
    """

    f1: float
    dice: float
    aji: float
    pq: float


def measure_overlap(predicted: Mask, truth: Mask) -> Overlap:
    """Count the pixels of a prediction, of its truth, and of both.

    Parameters
    ----------
    predicted, truth : (H, W) bool
        The two masks.

    Returns
    -------
    Overlap
        Counts from which Dice and IoU follow.

    Raises
    ------
    ValueError
        If the masks differ in shape.
    """
    if predicted.shape != truth.shape:
        raise ValueError(
            f"The prediction has shape {predicted.shape}, the truth {truth.shape}; "
            "they must be equal."
        )
    return Overlap(
        int(np.count_nonzero(predicted & truth)),
        int(np.count_nonzero(predicted)),
        int(np.count_nonzero(truth)),
    )


def pool_overlaps(overlaps: Iterable[Overlap]) -> Overlap:
    """Add pixel counts over images, as if they were one large image."""
    rows = [(o.both, o.predicted, o.truth) for o in overlaps]
    both, predicted, truth = np.asarray(rows, int).reshape(-1, 3).sum(0)
    return Overlap(int(both), int(predicted), int(truth))


def hausdorff95(predicted: Mask, truth: Mask) -> float | None:
    """Measure the 95th percentile of the distance between two outlines.

    Parameters
    ----------
    predicted, truth : (H, W) bool
        The two masks.

    Returns
    -------
    float or None
        The larger of the two directed 95th percentiles, in pixels, between the
        masks' border pixels (as MONAI and the ACDC challenge compute it). 0 where
        both are empty, None where one is.
    """
    if not predicted.any() and not truth.any():
        return 0.0
    if not predicted.any() or not truth.any():
        return None
    first, second = _border_points(predicted), _border_points(truth)
    there = cKDTree(second).query(first)[0]
    back = cKDTree(first).query(second)[0]
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))


def score_objects(predicted: Labels, truth: Labels) -> ObjectScores:
    """Compare two label images object by object.

    Parameters
    ----------
    predicted, truth : (H, W) integers
        One id an object, 0 for background. Ids need not be consecutive.

    Returns
    -------
    ObjectScores
        All four scores in 0..1; 1 where both images are empty.
    """
    shared, predicted_area, truth_area = _shared_areas(predicted, truth)
    if predicted_area.size == 0 or truth_area.size == 0:
        agree = float(predicted_area.size == truth_area.size)
        return ObjectScores(agree, agree, agree, agree)
    union = predicted_area[:, None] + truth_area[None] - shared
    iou = shared / union
    matched = iou > 0.5  # at most one partner on either side
    hits = int(matched.sum())
    half_sum = (predicted_area.size + truth_area.size) / 2  # = TP + FP/2 + FN/2
    return ObjectScores(
        f1=hits / half_sum,
        dice=_object_dice(shared, predicted_area, truth_area),
        aji=_aggregated_jaccard(shared, union, predicted_area),
        pq=float(iou[matched].sum()) / half_sum,
    )


def label_components(mask: Mask, *, min_area_px: int = 1) -> NDArray[np.int32]:
    """Give each connected component (8 neighbours) of a mask its own id.

    Parameters
    ----------
    mask : (H, W) bool
        Any mask.
    min_area_px : int
        Smaller components are left out.

    Returns
    -------
    (H, W) int32
        Ids 1, 2, ... in reading order; 0 elsewhere.
    """
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    keep = areas >= min_area_px
    keep[0] = False
    ids = np.cumsum(keep) * keep
    return ids.astype(np.int32)[labels]


def _border_points(mask: Mask) -> NDArray[np.intp]:
    return np.argwhere(mask & ~ndimage.binary_erosion(mask))


def _shared_areas(
    predicted: Labels, truth: Labels
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    predicted_ids, rows = np.unique(predicted, return_inverse=True)
    truth_ids, columns = np.unique(truth, return_inverse=True)
    shape = (predicted_ids.size, truth_ids.size)
    pairs = rows.ravel() * truth_ids.size + columns.ravel()
    counts = np.bincount(pairs, minlength=shape[0] * shape[1])
    table = counts.reshape(shape).astype(np.float64)
    objects = np.ix_(predicted_ids > 0, truth_ids > 0)
    predicted_area = table.sum(1)[predicted_ids > 0]
    truth_area = table.sum(0)[truth_ids > 0]
    return table[objects], predicted_area, truth_area


def _object_dice(
    shared: NDArray[np.float64],
    predicted_area: NDArray[np.float64],
    truth_area: NDArray[np.float64],
) -> float:
    """Object Dice of Sirinukunwattana et al. 2017, Eq. (2)."""
    dice = 2 * shared / (predicted_area[:, None] + truth_area[None])
    columns, rows = np.arange(truth_area.size), np.arange(predicted_area.size)
    of_truth = dice[shared.argmax(0), columns]
    of_predicted = dice[rows, shared.argmax(1)]
    return float(
        (truth_area @ of_truth / truth_area.sum()) / 2
        + (predicted_area @ of_predicted / predicted_area.sum()) / 2
    )


def _aggregated_jaccard(
    shared: NDArray[np.float64],
    union: NDArray[np.float64],
    predicted_area: NDArray[np.float64],
) -> float:
    """AJI as published: a predicted object may serve several truth objects."""
    best = (shared / union).argmax(0)
    columns = np.arange(shared.shape[1])
    hit = shared[best, columns] > 0
    missed_area = (union - predicted_area[:, None] + shared)[0, ~hit].sum()
    unused = np.setdiff1d(np.arange(predicted_area.size), best[hit])
    intersection = shared[best[hit], columns[hit]].sum()
    total = union[best[hit], columns[hit]].sum() + missed_area
    return float(intersection / (total + predicted_area[unused].sum()))
