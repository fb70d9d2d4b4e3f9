"""How well a predicted signed distance agrees with the true one.

What a network's distance is scaled to differs (a crop's deepest object, a limit in
pixels), so only its sign and its order are compared, never its values.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from napari_segmoe.data.targets import clipped_distance_px

_NO_LIMIT_PX = 1e6


@dataclass(frozen=True, slots=True)
class DistanceScores:
    """Agreement of two signed distances.

    Attributes
    ----------
    sign : float or None
        Share of the pixels on which both say inside, or both say outside. Pixels on
        the objects' edges, whose true distance is 0, do not count.
    rank : float or None
        Spearman's rank correlation over all pixels; None where one of the two is
        the same everywhere, as the truth is in an image without objects.
    """

    sign: float | None
    rank: float | None

    def as_dict(self) -> dict[str, float | None]:
        """Return each score by its name in reports."""
        return {"distance_sign": self.sign, "distance_rank": self.rank}


def score_distance(
    predicted: NDArray[np.floating], objects: NDArray[np.integer]
) -> DistanceScores:
    """Compare a predicted signed distance with that of the true objects.

    Parameters
    ----------
    predicted : (H, W) float
        Positive inside; of any scale.
    objects : (H, W) integers
        One id an object, 0 for background; edges run between touching objects too.

    Returns
    -------
    DistanceScores
        Both scores.
    """
    true = clipped_distance_px(objects, limit_px=_NO_LIMIT_PX, per_instance=True)
    told = true != 0
    signs = np.sign(predicted[told]) == np.sign(true[told])
    sign = float(signs.mean()) if told.any() else None
    return DistanceScores(sign, rank_correlation(predicted, true))


def rank_correlation(first: NDArray[Any], second: NDArray[Any]) -> float | None:
    """Return Spearman's rank correlation; None where an array is constant."""
    ranks = rankdata(first.ravel()), rankdata(second.ravel())
    deviations = [rank - rank.mean() for rank in ranks]
    spread = np.sqrt(np.prod([np.sum(one**2) for one in deviations]))
    if spread == 0:
        return None
    return float(np.sum(deviations[0] * deviations[1]) / spread)
