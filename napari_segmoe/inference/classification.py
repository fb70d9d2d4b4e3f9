"""The classes of an image and of its objects, as the weights' card words them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.data.patches import Patch
from napari_segmoe.errors import WeightsError
from napari_segmoe.inference.asked_image import AskedImage
from napari_segmoe.inference.network import WindowAnswer, WindowNetwork
from napari_segmoe.inference.objects import describe_object
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.types import SegmentedObject

Classes = Mapping[str, float]


class AnswerClassifier:
    """Turns a network's answers into calibrated class probabilities.

    Parameters
    ----------
    network : WindowNetwork
        Scores images and objects; its card names the classes.
    """

    def __init__(self, network: WindowNetwork) -> None:
        self._network = network

    def classify_image(self, image: AskedImage, answer: WindowAnswer) -> Classes | None:
        """Return the image's class probabilities; None where they are withheld."""
        scores = self._network.image_classes(answer)
        if scores is None or image.withheld is not None:
            return None
        return _named(self._network.card.classes, scores)

    def says_empty(self, answer: WindowAnswer) -> bool:
        """Whether the image is so probably without objects that none is marked."""
        card, scores = self._network.card, self._network.image_classes(answer)
        if scores is None or card.empty_class not in card.classes:
            return False
        found = float(scores[card.classes.index(card.empty_class)])
        return found > card.empty_class_above

    def classify_objects(
        self, image: AskedImage, answer: WindowAnswer, masks: Sequence[Patch]
    ) -> list[Classes | None]:
        """Return the class probabilities of objects, those of the image without a head.

        Masks are bool, in the pixels in which the weights answer.
        """
        if image.withheld is not None:
            return [None] * len(masks)
        scores = self._network.object_scores(answer, masks)
        if scores is None:
            return [self.classify_image(image, answer)] * len(masks)
        return name_scores(self._network.card, scores)

    def describe_all(
        self, image: AskedImage, answer: WindowAnswer, labels: NDArray[np.uint32]
    ) -> tuple[SegmentedObject, ...]:
        """Return every object of (H, W) ids with class, size and outline."""
        masks = object_masks(labels)
        found = self.classify_objects(image, answer, list(masks.values()))
        return describe_masks(masks, found, image, self._network.card)


def name_scores(card: WeightsCard, scores: NDArray[np.float32]) -> list[Classes | None]:
    """Return calibrated probabilities of the region head's scores, (N, C)."""
    scores = scores / card.object_temperature
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    rows = shifted / shifted.sum(axis=1, keepdims=True)
    return [_named(card.object_classes, row) for row in rows]


def describe_masks(
    masks: Mapping[int, Patch],
    classes: Sequence[Classes | None],
    image: AskedImage,
    card: WeightsCard,
) -> tuple[SegmentedObject, ...]:
    """Measure objects, by id; an uncertain class is not called.

    Parameters
    ----------
    masks : mapping of int to Patch
        Their pixels, bool, in the image's own frame.
    classes : sequence
        Of each object.
    image : AskedImage
        For its spacing.
    card : WeightsCard
    """
    described = []
    for (number, mask), one_class in zip(masks.items(), classes, strict=True):
        one = describe_object(
            mask.values,
            image.spacing_um,
            origin_yx=(mask.y0, mask.x0),
            object_id=number,
            probabilities=one_class,
        )
        if is_uncertain(one_class, card):
            one = replace(one, class_name=None)
        described.append(one)
    return tuple(described)


def object_masks(labels: NDArray[np.uint32]) -> dict[int, Patch]:
    """Return each object's own rectangle of (H, W) ids, by id."""
    found = ndimage.find_objects(labels.astype(np.int32, copy=False))
    return {
        number: Patch(labels[box] == number, box[0].start, box[1].start)
        for number, box in enumerate(found, start=1)
        if box is not None
    }


def is_uncertain(classes: Classes | None, card: WeightsCard) -> bool:
    """Whether no class is probable enough to be called."""
    return classes is not None and max(classes.values()) < card.uncertain_below


def _named(names: Sequence[str], values: NDArray[np.float32]) -> Classes:
    if len(names) != len(values):
        raise WeightsError(
            f"The weights' card names {len(names)} classes, but the network scores"
            f" {len(values)}. Use weights whose card fits their network."
        )
    return {name: float(value) for name, value in zip(names, values, strict=True)}
