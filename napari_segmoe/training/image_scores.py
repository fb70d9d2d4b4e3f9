"""All that is kept of one scored image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.mask_classes import IGNORED
from napari_segmoe.data.mask_objects import label_components
from napari_segmoe.training.cases import Case, ScoredPredictor
from napari_segmoe.training.distance_metrics import DistanceScores, score_distance
from napari_segmoe.training.metrics import Overlap, measure_overlap
from napari_segmoe.training.object_metrics import ObjectScores, score_objects
from napari_segmoe.training.outline_metrics import OutlineScores, score_outlines
from napari_segmoe.types import Mask, Prediction

THRESHOLD = 0.5


@runtime_checkable
class DistancePredictor(Protocol):
    """A predictor that can add the network's signed distance to its answer."""

    def predict_with_distance(self) -> Prediction:
        """Segment everything; ``distance`` is filled where the network has one."""
        ...


@dataclass(frozen=True, slots=True)
class ImageScores:
    """All that is kept of one scored image.

    Attributes
    ----------
    name, group, class_name : str
        Which image it is; ``class_name`` is the true class
        (None where it is not told).
    has_truth, is_marked : bool
        Whether the truth has an object, and whether the answer marks anything.
    overlap : Overlap
        Pixel counts.
    outline : OutlineScores
        Distances of the outlines.
    objects : ObjectScores
        Object counts and sums.
    distance : DistanceScores or None
        Agreement of the distance; None where the network predicts none.
    probabilities : mapping of str to float, or None
        Class probabilities of the image; None where they were withheld.
    """

    name: str
    group: str
    class_name: str | None
    has_truth: bool
    is_marked: bool
    overlap: Overlap
    outline: OutlineScores
    objects: ObjectScores
    distance: DistanceScores | None = None
    probabilities: Mapping[str, float] | None = None

    def figures(self) -> dict[str, float | None]:
        """Return every figure of the image by its name in reports."""
        distance = {} if self.distance is None else self.distance.as_dict()
        return {
            **self.overlap.as_dict(),
            **self.outline.as_dict(),
            **self.objects.as_dict(),
            **distance,
        }

    def as_row(self) -> dict[str, Any]:
        """Return one flat row of the per-image table."""
        classes = {f"p_{name}": p for name, p in (self.probabilities or {}).items()}
        return {
            "name": self.name,
            "class": self.class_name,
            **self.figures(),
            "objects": self.objects.truth,
            "objects_found": self.objects.predicted,
            "marked": self.is_marked,
            **classes,
        }


def score_image(
    predictor: ScoredPredictor, case: Case, *, threshold: float = THRESHOLD
) -> ImageScores:
    """Ask for everything in one image and compare the answer with the truth.

    Parameters
    ----------
    predictor : ScoredPredictor
        Asked through its automatic mode.
    case : Case
        The image and its truth.
    threshold : float
        Of the mask's probability.
    """
    return score_answer(
        ask_for_everything(predictor, case), case, predictor.card, threshold=threshold
    )


def ask_for_everything(predictor: ScoredPredictor, case: Case) -> Prediction:
    """Show an image and return the automatic mode's answer."""
    case.show_to(predictor)
    if isinstance(predictor, DistancePredictor):
        return predictor.predict_with_distance()
    return predictor.predict()


def score_answer(
    prediction: Prediction, case: Case, card: Any, *, threshold: float = THRESHOLD
) -> ImageScores:
    """Compare an answer of the automatic mode with the truth."""
    mask, labels = _cut(prediction, card, threshold)
    if case.classes is not None:  # what is not known is neither right nor wrong
        counted = case.classes != IGNORED
        mask, labels = mask & counted, np.where(counted, labels, 0)
    distance = prediction.distance
    return ImageScores(
        name=case.item.name,
        group=case.item.group,
        class_name=case.item.class_name,
        has_truth=bool(case.truth.any()),
        is_marked=bool(mask.any()),
        overlap=measure_overlap(mask, case.truth),
        outline=score_outlines(mask, case.truth, case.spacing_um),
        objects=score_objects(labels, case.objects, hausdorff=True),
        distance=None if distance is None else score_distance(distance, case.objects),
        probabilities=dict(prediction.classes) if prediction.classes else None,
    )


def _cut(
    prediction: Prediction, card: Any, threshold: float
) -> tuple[Mask, NDArray[np.integer]]:
    """Take the answer as shown, or re-cut it where the card cuts elsewhere."""
    if card.mask_threshold == threshold:
        return prediction.mask, prediction.labels
    mask = prediction.probability >= threshold
    return mask, label_components(mask)
