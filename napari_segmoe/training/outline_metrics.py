"""How far two masks' outlines lie apart: HD95, mean distance, boundary F1.

Conventions: outlines are the pixels of a mask that touch its outside, or the image's
border. Two empty masks agree (distances 0, F1 1). Where one is empty the F1 is 0 and
the distances are undefined (None), never a made-up large number.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_segmoe.types import Mask, Spacing

BOUNDARY_PX = 3.0
_BELOW = -1.0  # below every coordinate


@dataclass(frozen=True, slots=True)
class OutlineScores:
    """Agreement of two outlines.

    Attributes
    ----------
    hd95, asd : float or None
        95th percentile of the Hausdorff distance and average surface distance, in
        pixels.
    boundary_f1 : float
        F1 of outline pixels that have one of the other outline within 3 px.
    hd95_um, asd_um : float or None
        The distances in micrometres; None where the pixel size is not known.
    """

    hd95: float | None
    asd: float | None
    boundary_f1: float
    hd95_um: float | None = None
    asd_um: float | None = None

    def as_dict(self) -> dict[str, float | None]:
        """Return each score by its name in reports."""
        found = {
            "hd95": self.hd95,
            "asd": self.asd,
            "boundary_f1": self.boundary_f1,
        }
        if self.hd95_um is not None:
            found |= {"hd95_um": self.hd95_um, "asd_um": self.asd_um}
        return found


def score_outlines(
    predicted: Mask, truth: Mask, spacing_um: Spacing | None = None
) -> OutlineScores:
    """Compare the outlines of two masks.

    Parameters
    ----------
    predicted, truth : (H, W) bool
        The two masks.
    spacing_um : (y, x), optional
        Micrometres per pixel.

    Returns
    -------
    OutlineScores
        Distances are those between border pixels, as MONAI and the ACDC challenge
        take them: HD95 is the larger of the two directed 95th percentiles, ASD the
        mean over the border pixels of both; the F1 is that of Csurka et al. 2013.
    """
    n_empty = 2 - int(predicted.any()) - int(truth.any())
    if n_empty == 2:
        zero = None if spacing_um is None else 0.0
        return OutlineScores(0.0, 0.0, 1.0, zero, zero)
    if n_empty:
        return OutlineScores(None, None, 0.0)
    first, second = border_points(predicted), border_points(truth)
    there, back = _gaps(first, second)
    hd95_um = asd_um = None
    if spacing_um is not None:
        scale = np.asarray(spacing_um, float)
        hd95_um, asd_um = _distances(*_gaps(first * scale, second * scale))
    hits = float(np.mean(there <= BOUNDARY_PX)), float(np.mean(back <= BOUNDARY_PX))
    f1 = 2 * hits[0] * hits[1] / sum(hits) if sum(hits) else 0.0
    return OutlineScores(*_distances(there, back), f1, hd95_um, asd_um)


def border_points(mask: Mask) -> NDArray[np.intp]:
    """Return the (y, x) of a mask's pixels that touch its outside, (N, 2)."""
    return np.argwhere(mask & ~ndimage.binary_erosion(mask))


def _gaps(
    first: NDArray[np.number], second: NDArray[np.number]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distances of all points of each side to the other side.

    No coordinate is 0: where a training has made the CPU take denormal numbers for
    zeros, scipy's tree never ends on a point at 0, and the process dies.
    """
    one, other = first - _BELOW, second - _BELOW
    there, back = cKDTree(other).query(one)[0], cKDTree(one).query(other)[0]
    return np.asarray(there), np.asarray(back)


def _distances(
    there: NDArray[np.float64], back: NDArray[np.float64]
) -> tuple[float, float]:
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    return float(hd95), float(np.concatenate([there, back]).mean())
