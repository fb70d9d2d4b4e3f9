"""How well masks agree pixel by pixel, of one image and pooled.

Conventions: two empty masks agree (every score is 1). Where one of them is empty Dice
and IoU are 0; precision is then 0 without a prediction, recall without a truth.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from napari_segmoe.types import Mask


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

    @property
    def precision(self) -> float:
        """|P and T| / |P|; 1 where both are empty."""
        return self._share_of(self.predicted)

    @property
    def recall(self) -> float:
        """|P and T| / |T| (sensitivity); 1 where both are empty."""
        return self._share_of(self.truth)

    def as_dict(self) -> dict[str, float | None]:
        """Return each score by its name in reports."""
        return {
            "dice": self.dice,
            "iou": self.iou,
            "precision": self.precision,
            "recall": self.recall,
        }

    def _share_of(self, side: int) -> float:
        if not self.predicted and not self.truth:
            return 1.0
        return self.both / side if side else 0.0


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
