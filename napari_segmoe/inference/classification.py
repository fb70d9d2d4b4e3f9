"""The classes of an image and of its objects, as the weights' card words them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.errors import WeightsError
from napari_segmoe.inference.network import WindowAnswer, WindowNetwork
from napari_segmoe.inference.objects import describe_object
from napari_segmoe.inference.question import AskedImage
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.types import Mask, SegmentedObject

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
        self, image: AskedImage, answer: WindowAnswer, masks: Sequence[Mask]
    ) -> list[Classes | None]:
        """Return the class probabilities of objects, (H, W) bool each.

        Where the network has no region head they are those of the image.
        """
        if image.withheld is not None:
            return [None] * len(masks)
        scores = self._network.object_scores(answer, masks)
        if scores is None:
            return [self.classify_image(image, answer)] * len(masks)
        card = self._network.card
        scores = scores / card.object_temperature
        shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
        rows = shifted / shifted.sum(axis=1, keepdims=True)
        return [_named(card.object_classes, row) for row in rows]

    def describe_all(
        self, image: AskedImage, answer: WindowAnswer, labels: NDArray[np.uint32]
    ) -> tuple[SegmentedObject, ...]:
        """Return every object of (H, W) ids with class, size and outline."""
        masks = [labels == number for number in range(1, int(labels.max()) + 1)]
        described = []
        found = self.classify_objects(image, answer, masks)
        for number, (mask, classes) in enumerate(zip(masks, found, strict=True), 1):
            one = describe_object(
                mask, image.spacing_um, object_id=number, probabilities=classes
            )
            if is_uncertain(classes, self._network.card):
                one = replace(one, class_name=None)
            described.append(one)
        return tuple(described)


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
