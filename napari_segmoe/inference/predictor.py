"""Answer clicks, boxes and strokes on one image; the same for window and script."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_segmoe.data.images import as_uint8_image
from napari_segmoe.errors import NoImageError
from napari_segmoe.inference.classification import AnswerClassifier, is_uncertain
from napari_segmoe.inference.closer_look import look_at_each, look_closer
from napari_segmoe.inference.devices import choose_device
from napari_segmoe.inference.domain import why_class_is_withheld
from napari_segmoe.inference.explanations.canvas import Canvas
from napari_segmoe.inference.explanations.collection import (
    explain_answer,
    missing_explanations,
)
from napari_segmoe.inference.explanations.counterfactuals import (
    explain_without,
    vetoes,
)
from napari_segmoe.inference.merging import agree_with
from napari_segmoe.inference.network import WindowAnswer, WindowNetwork
from napari_segmoe.inference.question import AskedImage, Question, ask, choose_mask
from napari_segmoe.inference.selection import label_objects
from napari_segmoe.models.card import WeightsCard, find_weights
from napari_segmoe.models.weights import load_weights
from napari_segmoe.types import (
    Box,
    Click,
    Explanation,
    Mask,
    Modality,
    Prediction,
    Prompts,
    Spacing,
    Steering,
    Stroke,
)

_FEW_OBJECTS = 3  # each costs another forward
_NOTHING_HERE = "No object here. Click inside one, or draw a box around it."


def load_predictor(
    name_or_path: str | Path, *, device: str = "auto", threads: int | None = None
) -> "SegmentationPredictor":
    """Load weights and make them ready to answer.

    Parameters
    ----------
    name_or_path : str or Path
        Shipped weights, e.g. "breast_ultrasound", or a file.
    device : str
        auto, cpu, cuda:N or mps.
    threads : int, optional
        CPU threads; None leaves torch's choice.

    Raises
    ------
    WeightsError
        If the weights are missing, damaged or do not fit.
    DeviceError
        If the device is absent or cannot be used.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    model, card = load_weights(find_weights(name_or_path))
    return SegmentationPredictor(WindowNetwork(model, card, choose_device(device)))


class SegmentationPredictor:
    """Answers questions about one image at a time.

    Parameters
    ----------
    network : WindowNetwork
        Network, card and device.
    """

    def __init__(self, network: WindowNetwork) -> None:
        self._network = network
        self._classifier = AnswerClassifier(network)
        self._image: AskedImage | None = None
        self._unavailable: dict[str, str] | None = None

    @property
    def card(self) -> WeightsCard:
        """The card of the weights."""
        return self._network.card

    @property
    def device_name(self) -> str:
        """Device in torch's words."""
        return str(self._network.device)

    def set_image(
        self,
        image: NDArray[Any],
        spacing_um: Spacing | None = None,
        *,
        modality: Modality = Modality.UNKNOWN,
    ) -> None:
        """Take the image that is asked about next.

        Parameters
        ----------
        image : (H, W) or (H, W, 3), uint8 or float in 0..1
        spacing_um : (y, x), optional
            Micrometres per pixel; without it areas in um^2 are None.
        modality : Modality
            What made it; decides whether a class is given.

        Raises
        ------
        ImageReadError
            If the pixels cannot be used.
        """
        pixels = as_uint8_image(image)
        withheld = why_class_is_withheld(self.card, modality, pixels)
        self._network.set_image(pixels)
        self._image = AskedImage(pixels, spacing_um, withheld)

    def predict(
        self,
        clicks: Sequence[Click] = (),
        *,
        strokes: Sequence[Stroke] = (),
        box: Box | None = None,
        previous: Prediction | NDArray[Any] | None = None,
        locked: Mask | None = None,
        explain: bool = False,
        steering: Steering | None = None,
    ) -> Prediction:
        """Return the object that the prompts mean; without prompts, every object.

        Parameters
        ----------
        clicks, strokes, box
            All prompts of this object so far, oldest first.
        previous : Prediction or (H, W) mask or probability, optional
            The answer before; the newest click changes it only where it points.
        locked : (H, W) bool, optional
            Pixels that must not change.
        explain : bool
            Whether ``explanations`` is filled, with what the network computed at its
            first look; counterfactuals are asked for apart.
        steering : Steering, optional
            Experts that must or must not be asked.

        Returns
        -------
        Prediction
            Its mask may be empty: "no object here" is an answer.

        Raises
        ------
        NoImageError
            If no image was set.
        PromptError
            If a prompt lies outside the image or has no extent.
        ModelOptionError
            If the network cannot be steered so.
        """
        question = self._ask(clicks, strokes, box, previous)
        if steering is not None and (steering.pinned or steering.vetoed):
            question = replace(question, steering=steering)
        answer = self._answer(question, explain=explain)
        if question.prompts:
            prediction = self._one_object(question, answer, locked)
        else:
            prediction = self._everything(question, answer, locked)
        if not explain:
            return prediction
        explanations = explain_answer(answer, self._network, question.image.shape)
        return replace(prediction, explanations=explanations)

    def counterfactuals(
        self,
        clicks: Sequence[Click] = (),
        *,
        strokes: Sequence[Stroke] = (),
        box: Box | None = None,
        previous: Prediction | NDArray[Any] | None = None,
    ) -> tuple[Explanation, ...]:
        """Return what the mask would be without each expert.

        The image is encoded once, or not at all just after `predict` explained the
        same question; the rest of the network runs once for each expert.

        Parameters
        ----------
        clicks, strokes, box, previous
            As in `predict`.

        Returns
        -------
        tuple of Explanation
            Empty where the network has no experts.

        Raises
        ------
        NoImageError, PromptError
            As `predict`.
        """
        question = self._ask(clicks, strokes, box, previous)
        canvas = Canvas(
            self._answer(question, explain=True), self._network, question.image.shape
        )
        found: list[Explanation] = []
        for expert, steering in vetoes(canvas).items():
            without = self._answer(replace(question, steering=steering), explain=False)
            found += explain_without(canvas, expert, without.probability)
        return tuple(found)

    def unavailable_explanations(self) -> dict[str, str]:
        """Return why groups of explanations never come from these weights.

        Returns
        -------
        dict of str to str
            One sentence for each `ExplanationGroup` that the network lacks.
        """
        if self._unavailable is None:
            self._unavailable = missing_explanations(self._network)
        return dict(self._unavailable)

    def release(self) -> None:
        """Give the device's memory back; `set_image` must follow before a question."""
        self._network.release()
        self._image = None

    def _ask(
        self,
        clicks: Sequence[Click],
        strokes: Sequence[Stroke],
        box: Box | None,
        previous: Prediction | NDArray[Any] | None,
    ) -> Question:
        if self._image is None:
            raise NoImageError("Set an image first.")
        prompts = Prompts(tuple(clicks), box, tuple(strokes))
        return ask(self._image, prompts, previous, card=self.card)

    def _answer(self, question: Question, *, explain: bool) -> WindowAnswer:
        return self._network.answer(
            question.window,
            question.prompts,
            question.previous,
            explain=explain,
            steering=question.steering,
        )

    def _everything(
        self, question: Question, answer: WindowAnswer, locked: Mask | None
    ) -> Prediction:
        network, card, image = self._network, self.card, question.image
        probability = network.enlarge(answer.probability, answer.window, image.shape)
        classes = self._classifier.classify_image(image, answer)
        notes = () if image.withheld is None else (image.withheld,)
        if self._classifier.says_empty(answer):
            labels = np.zeros(image.shape, np.uint32)
        else:
            probability, labels = self._all_labels(
                question, answer, probability, locked
            )
        if not labels.any():
            notes = (*notes, "No object was found.")
        return Prediction(
            mask=labels > 0,
            probability=probability,
            labels=labels,
            objects=self._classifier.describe_all(image, answer, labels),
            classes=classes,
            is_uncertain=is_uncertain(classes, card),
            notes=notes,
        )

    def _all_labels(
        self,
        question: Question,
        answer: WindowAnswer,
        probability: NDArray[np.float32],
        locked: Mask | None,
    ) -> tuple[NDArray[np.float32], NDArray[np.uint32]]:
        """Return probability and object ids; a few objects get a closer look."""
        card, network, shape = self.card, self._network, question.image.shape
        allowed = np.ones(shape, bool) if locked is None else ~locked
        distance = network.distance(answer, shape)
        labels = label_objects(
            (probability > card.mask_threshold) & allowed,
            card.smallest_object_fraction,
            distance=distance,
        )
        if not 0 < labels.max() <= _FEW_OBJECTS:
            return probability, labels
        closer = look_at_each(network, question, probability, labels)
        mask = (closer > card.mask_threshold) & allowed
        return closer, label_objects(
            mask, card.smallest_object_fraction, distance=distance
        )

    def _one_object(
        self, question: Question, answer: WindowAnswer, locked: Mask | None
    ) -> Prediction:
        image, card = question.image, self.card
        probability = self._network.enlarge(
            answer.probability, answer.window, image.shape
        )
        mask = choose_mask(probability, question, card=card, locked=locked)
        if question.previous is None and mask.any():
            closer = look_closer(
                self._network, question, probability, mask, question.prompts
            )
            if closer is not None:
                probability = closer
                mask = choose_mask(probability, question, card=card, locked=locked)
        probability = agree_with(probability, mask, card.mask_threshold)
        labels = mask.astype(np.uint32)
        notes = () if image.withheld is None else (image.withheld,)
        if not mask.any():
            return Prediction(mask, probability, labels, notes=(_NOTHING_HERE,))
        described = self._classifier.describe_all(image, answer, labels)
        classes = described[0].probabilities
        return Prediction(
            mask=mask,
            probability=probability,
            labels=labels,
            objects=described,
            classes=classes,
            is_uncertain=is_uncertain(classes, card),
            notes=notes,
        )
