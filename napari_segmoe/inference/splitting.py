"""Part touching objects where a predicted distance narrows. Loads no torch."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

# Two peaks are two objects where the distance between them falls below this share of
# the lower one, unless weights say another. A share, as a distance is scaled to the
# image's largest object.
NECK = 0.75
# Distances below are noise, and what lies outside by the distance is not parted.
_SHALLOW = 0.05


def part_touching(
    components: NDArray[np.integer],
    distance: NDArray[np.float32],
    *,
    smallest_px: float,
    neck: float = NECK,
) -> NDArray[np.int32]:
    """Return objects, one or more in each component.

    Parameters
    ----------
    components : (H, W) int
        Ids of the mask's connected components, 0 being background.
    distance : (H, W) float32
        Signed distance that the network predicts, positive inside.
    smallest_px : float
        Parts below this area stay with a neighbour.
    neck : float
        Share of the lower peak below which two are parted, in 0..1.

    Returns
    -------
    (H, W) int32
        Ids from 1 without gaps; the same foreground as ``components``.

    Notes
    -----
    Watershed on the distance from its maxima, of which those are left out whose
    height over the saddle to a higher one is small (h-maxima of its logarithm).
    """
    inside = np.pad(components > 0, 1)
    height = np.log(np.maximum(np.pad(distance, 1), _SHALLOW).astype(np.float64))
    height[~inside] = np.log(_SHALLOW) + 2 * np.log(neck)
    filled = reconstruction(height + np.log(neck), height)
    markers = label(local_maxima(filled) & inside, connectivity=2)
    parts = _flood(height, markers, inside)
    markers[~np.isin(markers, _to_keep(parts, np.pad(components, 1), smallest_px))] = 0
    markers = label(markers, connectivity=2)
    return _flood(height, markers, inside)[1:-1, 1:-1]


def _flood(
    height: NDArray[np.float64], markers: NDArray[np.int32], inside: NDArray[np.bool_]
) -> NDArray[np.int32]:
    found = watershed(-height, markers, mask=inside, connectivity=2)
    return np.asarray(found, dtype=np.int32)


def _to_keep(
    parts: NDArray[np.int32], components: NDArray[np.integer], smallest_px: float
) -> NDArray[np.intp]:
    """Return the parts that are large enough, and one part of each component."""
    numbers = np.arange(1, int(parts.max(initial=0)) + 1)
    sizes = np.bincount(parts.ravel())[1:]
    owners = np.asarray(ndimage.maximum(components, parts, numbers))
    by_size = np.argsort(-sizes, kind="stable")
    _, first = np.unique(owners[by_size], return_index=True)
    keep = sizes >= smallest_px
    keep[by_size[first]] = True
    return numbers[keep]
