"""Answer clicks, boxes and strokes on one image; the same for window and script."""

from collections.abc import Generator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_segmoe.errors import NoImageError
from napari_segmoe.inference.asked_image import AskedImage, ask_about
from napari_segmoe.inference.classification import (
    AnswerClassifier,
    describe_masks,
    is_uncertain,
)
from napari_segmoe.inference.devices import choose_device
from napari_segmoe.inference.domain_guard import judge, judge_all
from napari_segmoe.inference.everything import (
    estimate_cost,
    run_to_end,
    segment_whole,
    segment_windows,
    window_shown,
)
from napari_segmoe.inference.explanations.canvas import Canvas
from napari_segmoe.inference.explanations.collection import (
    explain_answer,
    missing_explanations,
)
from napari_segmoe.inference.explanations.counterfactuals import (
    explain_without,
    vetoes,
)
from napari_segmoe.inference.explanations.placing import maps_to_own
from napari_segmoe.inference.network import WindowAnswer, WindowNetwork
from napari_segmoe.inference.one_object import find_object
from napari_segmoe.inference.question import Question, ask
from napari_segmoe.models.card import WeightsCard, find_weights
from napari_segmoe.models.weights import load_weights
from napari_segmoe.types import (
    Box,
    Click,
    Explanation,
    Mask,
    Modality,
    PixelSource,
    Prediction,
    Prompts,
    RegionEstimate,
    RegionProgress,
    Spacing,
    Steering,
    Stroke,
)

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
    def network(self) -> WindowNetwork:
        """What answers; other predictors may share it."""
        return self._network

    @property
    def device_name(self) -> str:
        """Device in torch's words."""
        return str(self._network.device)

    def set_image(
        self,
        image: NDArray[Any] | PixelSource,
        spacing_um: Spacing | None = None,
        *,
        modality: Modality = Modality.UNKNOWN,
    ) -> None:
        """Take the image that is asked about next.

        Parameters
        ----------
        image : (H, W) or (H, W, 3), uint8 or float in 0..1, or PixelSource
            Of a source, such as a region of a slide, only what is needed is read.
        spacing_um : (y, x), optional
            Micrometres per pixel; without it areas in um^2 are None, and weights
            with a pixel size take the card's assumed one and say so.
        modality : Modality
            What made it; decides whether a class is given.

        Raises
        ------
        ImageReadError
            If the pixels, or their size, cannot be used.
        """
        asked = ask_about(self.card, image, spacing_um, modality)
        self._network.set_image(asked.seen)
        self._image = asked

    def estimate(self) -> RegionEstimate:
        """Return what segmenting everything in the image will cost.

        Raises
        ------
        NoImageError
            If no image was set.
        """
        return estimate_cost(self._network, self.asked_image())

    def predict_steps(
        self, *, locked: Mask | None = None
    ) -> Generator[RegionProgress, None, Prediction]:
        """Segment everything in the image as it is now set, step by step.

        Other images may be set, and clicks be answered, between the steps. Closing
        the generator ends the work.

        Parameters
        ----------
        locked : (H, W) bool, optional
            Pixels that belong to no object.

        Returns
        -------
        generator
            Yields `RegionProgress` and returns the `Prediction`.

        Raises
        ------
        NoImageError
            If no image was set.
        """
        return self._steps(locked)

    def predict_with_distance(self) -> Prediction:
        """Segment everything; ``distance`` is filled where the network has one.

        Raises
        ------
        NoImageError
            If no image was set.
        """
        return run_to_end(self._steps(None, keep_distance=True))

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
        if not question.prompts and question.image.scaled is not None:
            return self._everywhere(question, locked, explain=explain)
        answer = self._answer(question, explain=explain)
        if question.prompts:
            prediction = self._one_object(question, answer, locked)
        else:
            prediction = segment_whole(self._network, question, answer, locked)
        if not explain:
            return prediction
        return replace(prediction, explanations=self._explain(question, answer))

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
        frame = question.image.frame
        canvas = Canvas(
            self._answer(question, explain=True), self._network, frame.shape
        )
        found: list[Explanation] = []
        for expert, steering in vetoes(canvas).items():
            without = self._answer(replace(question, steering=steering), explain=False)
            found += explain_without(canvas, expert, without.probability)
        return maps_to_own(found, frame, question.image.shape)

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

    def asked_image(self) -> AskedImage:
        """Return the image as it is asked about, or raise `NoImageError`."""
        if self._image is None:
            raise NoImageError("Set an image first.")
        return self._image

    def _ask(
        self,
        clicks: Sequence[Click],
        strokes: Sequence[Stroke],
        box: Box | None,
        previous: Prediction | NDArray[Any] | None,
    ) -> Question:
        image = self.asked_image()
        prompts = Prompts(tuple(clicks), box, tuple(strokes))
        return ask(image, prompts, previous, card=self.card)

    def _answer(self, question: Question, *, explain: bool) -> WindowAnswer:
        return self._network.answer(
            question.window,
            question.prompts,
            question.previous,
            explain=explain,
            steering=question.steering,
        )

    def _explain(
        self, question: Question, answer: WindowAnswer
    ) -> tuple[Explanation, ...]:
        frame = question.image.frame
        found = explain_answer(answer, self._network, frame.shape)
        return maps_to_own(found, frame, question.image.shape)

    def _steps(
        self, locked: Mask | None, *, keep_distance: bool = False
    ) -> Generator[RegionProgress, None, Prediction]:
        image = self.asked_image()
        if image.scaled is None:
            return self._whole_steps(image, locked, keep_distance)
        image = judge_all(self._network, image)
        return segment_windows(
            self._network, image, locked, keep_distance=keep_distance
        )

    def _whole_steps(
        self, image: AskedImage, locked: Mask | None, keep_distance: bool
    ) -> Generator[RegionProgress, None, Prediction]:
        yield RegionProgress(0, 1)
        question = ask(image, Prompts(), None, card=self.card)
        other = image is not self._image  # set between the steps
        with self._network.looking_at(image.seen) if other else nullcontext():
            answer = self._answer(question, explain=False)
            prediction = segment_whole(
                self._network, question, answer, locked, keep_distance=keep_distance
            )
        yield RegionProgress(1, 1, 0.0)
        return prediction

    def _everywhere(
        self, question: Question, locked: Mask | None, *, explain: bool
    ) -> Prediction:
        """Return every object that weights with a pixel size find."""
        prediction = run_to_end(self.predict_steps(locked=locked))
        if question.steering is not None:
            note = "Pinned and vetoed experts count for clicks only; all were asked."
            prediction = replace(prediction, notes=(*prediction.notes, note))
        if not explain:
            return prediction
        shown = replace(question, window=window_shown(question, prediction))
        found = self._explain(shown, self._answer(shown, explain=True))
        note = "Heatmaps show one window; click an object to see its own."
        return replace(prediction, explanations=found, notes=(*prediction.notes, note))

    def _one_object(
        self, question: Question, answer: WindowAnswer, locked: Mask | None
    ) -> Prediction:
        image, card = question.image, self.card
        found = find_object(self._network, question, answer, locked)
        probability = found.own.probability.on(image.shape)
        mask = found.own.mask.on(image.shape)
        labels = found.own.mask.as_type(np.uint32).on(image.shape)
        if not found.own.mask.values.any():
            notes = (_NOTHING_HERE, *image.notes)
            return Prediction(mask, probability, labels, notes=notes)
        image = judge(self._network, image, question.prompts)
        named = self._classifier.classify_objects(image, answer, [found.seen])
        described = describe_masks({1: found.own.mask}, named, image, card)
        classes = described[0].probabilities
        return Prediction(
            mask=mask,
            probability=probability,
            labels=labels,
            objects=described,
            classes=classes,
            is_uncertain=is_uncertain(classes, card),
            notes=image.said,
        )
