"""Distance, boundary, and where they contradict the mask."""

import numpy as np
from scipy import ndimage
from skimage.morphology import disk

from napari_segmoe.inference.explanations.canvas import (
    SHARES,
    SIGNED,
    Canvas,
    Map,
    make_map,
)
from napari_segmoe.types import Explanation, ExplanationGroup

_GROUP = ExplanationGroup.GEOMETRY
RING_PX = 2


def explain_geometry(canvas: Canvas) -> list[Explanation]:
    """Return distance, boundary and their disagreements with the mask."""
    output, mask = canvas.answer.output, canvas.answer.probability
    found = []
    if output.distance is not None:
        distance = np.clip(canvas.on_grid(output.distance), -1, 1)
        found.append(_distance(canvas, distance))
        found.append(
            _disagreement(
                canvas,
                distance_disagreement(mask, distance),
                key="disagreement/distance",
                name="Mask against distance",
                description=(
                    "Where mask and distance contradict each other, one saying inside"
                    " and the other outside; 0 where they agree."
                ),
            )
        )
    if output.boundary is not None:
        boundary = canvas.on_grid(output.boundary.float().sigmoid())
        found.append(_boundary(canvas, boundary))
        found.append(
            _disagreement(
                canvas,
                np.abs(boundary - ring_of(mask)),
                key="disagreement/boundary",
                name="Mask against boundary",
                description=(
                    "Where the boundary is not just outside the mask: difference of"
                    " the boundary and the mask's own outer ring; 0 where they agree."
                ),
            )
        )
    return found


def distance_disagreement(probability: Map, distance: Map) -> Map:
    """Return how strongly mask and distance contradict each other, 0..1.

    Parameters
    ----------
    probability : (h, w) float32
        Of the mask.
    distance : (h, w) float32
        -1..1, positive inside.

    Returns
    -------
    (h, w) float32
        Zero where both say inside or both outside; else the geometric mean of how
        far each is from undecided.
    """
    product = (2 * probability - 1) * distance
    return np.sqrt(np.maximum(-product, 0)).astype(np.float32)


def ring_of(probability: Map, *, width_px: int = RING_PX) -> Map:
    """Return the outer ring of a soft mask: what dilation by a disk adds, 0..1.

    The boundary's training target is the same of a hard mask.
    """
    grown = ndimage.grey_dilation(probability, footprint=disk(width_px))
    return grown - probability


def _distance(canvas: Canvas, distance: Map) -> Explanation:
    return make_map(
        "distance",
        "Distance to the edge",
        canvas.paint(distance, outside=-1.0),
        value_range=SIGNED,
        group=_GROUP,
        colormap="RdBu_r",
        description=(
            "How deep inside an object (above 0) or how far outside (below 0) each"
            " place lies, as a share of the most there is; the edge is at 0."
        ),
    )


def _boundary(canvas: Canvas, boundary: Map) -> Explanation:
    return make_map(
        "boundary",
        "Boundary",
        canvas.paint(boundary),
        value_range=SHARES,
        group=_GROUP,
        description="Probability that a place lies on the ring just outside an object.",
    )


def _disagreement(canvas: Canvas, values: Map, **words: str) -> Explanation:
    return make_map(
        words["key"],
        words["name"],
        canvas.paint(values),
        value_range=SHARES,
        group=_GROUP,
        colormap="inferno",
        description=words["description"],
    )
