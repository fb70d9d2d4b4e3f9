"""Answer clicks, boxes and strokes on one image; the same for window and script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_segmoe.data.images import as_uint8_image
from napari_segmoe.data.windows import whole_window, zoom_window
from napari_segmoe.errors import NoImageError
from napari_segmoe.inference.devices import choose_device
from napari_segmoe.inference.domain import why_class_is_withheld
from napari_segmoe.inference.explanations import explain_answer
from napari_segmoe.inference.merging import component_under, merge_click
from napari_segmoe.inference.network import WindowAnswer, WindowNetwork
from napari_segmoe.inference.objects import describe_object
from napari_segmoe.inference.selection import check_prompts, label_objects, touched_by
from napari_segmoe.models.card import WeightsCard, find_weights
from napari_segmoe.models.weights import load_weights
from napari_segmoe.types import (
    Box,
    Click,
    Mask,
    Modality,
    Prediction,
    Prompts,
    SegmentedObject,
    Spacing,
    Stroke,
)

_NOTHING_HERE = "No object here. Click inside one, or draw a box around it."
_REACH_GRID_PX = 2.0


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


@dataclass(frozen=True, slots=True, eq=False)
class _Image:
    """The image asked about."""

    pixels: NDArray[np.uint8]
    spacing_um: Spacing | None
    withheld: str | None

    @property
    def shape(self) -> tuple[int, int]:
        return self.pixels.shape[0], self.pixels.shape[1]


class SegmentationPredictor:
    """Answers questions about one image at a time.

    Parameters
    ----------
    network : WindowNetwork
        Network, card and device.
    """

    def __init__(self, network: WindowNetwork) -> None:
        self._network = network
        self._image: _Image | None = None

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
        self._image = _Image(pixels, spacing_um, withheld)

    def predict(
        self,
        clicks: Sequence[Click] = (),
        *,
        strokes: Sequence[Stroke] = (),
        box: Box | None = None,
        previous: Prediction | NDArray[Any] | None = None,
        locked: Mask | None = None,
        explain: bool = False,
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
            Whether ``explanations`` is filled.

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
        """
        if self._image is None:
            raise NoImageError("Set an image first.")
        prompts = Prompts(tuple(clicks), box, tuple(strokes))
        check_prompts(prompts, self._image.shape)
        if not prompts:
            return self._everything(self._image, locked, explain=explain)
        return self._one_object(
            self._image, prompts, _as_probability(previous), locked, explain=explain
        )

    def release(self) -> None:
        """Give the device's memory back; `set_image` must follow before a question."""
        self._network.release()
        self._image = None

    def _everything(
        self, image: _Image, locked: Mask | None, *, explain: bool
    ) -> Prediction:
        network, card = self._network, self.card
        window = whole_window(image.shape, card.input_px)
        answer = network.answer(window, Prompts(), explain=explain)
        probability = network.enlarge(answer.probability, window, image.shape)
        classes = self._image_classes(image, answer)
        mask = probability > card.mask_threshold
        notes = () if image.withheld is None else (image.withheld,)
        scores = network.image_classes(answer)
        if scores is not None and self._says_empty(scores):
            mask = np.zeros_like(mask)
        if locked is not None:
            mask &= ~locked
        labels = label_objects(mask, card.smallest_object_fraction)
        if not labels.any():
            notes = (*notes, "No object was found.")
        return Prediction(
            mask=labels > 0,
            probability=probability,
            labels=labels,
            objects=self._describe_all(image, answer, labels),
            classes=classes,
            is_uncertain=_is_uncertain(classes, card),
            explanations=explain_answer(answer, network, image.shape)
            if explain
            else (),
            notes=notes,
        )

    def _one_object(
        self,
        image: _Image,
        prompts: Prompts,
        previous: NDArray[np.float32] | None,
        locked: Mask | None,
        *,
        explain: bool,
    ) -> Prediction:
        network, card = self._network, self.card
        before = None if previous is None else previous > card.mask_threshold
        if before is not None and not before.any():
            previous = before = None
        window = zoom_window(before, prompts, shape=image.shape, grid_px=card.input_px)
        answer = network.answer(window, prompts, previous, explain=explain)
        probability = network.enlarge(answer.probability, window, image.shape)
        mask = self._chosen(probability, before, prompts, answer, locked)
        probability = _agree(probability, mask, card.mask_threshold)
        labels = mask.astype(np.uint32)
        notes = () if image.withheld is None else (image.withheld,)
        if not mask.any():
            return Prediction(mask, probability, labels, notes=(_NOTHING_HERE,))
        classes = self._object_classes(image, answer, [mask])[0]
        uncertain = _is_uncertain(classes, card)
        described = describe_object(
            mask,
            image.spacing_um,
            class_name=None if uncertain or not classes else _largest(classes),
            probabilities=classes,
        )
        return Prediction(
            mask=mask,
            probability=probability,
            labels=labels,
            objects=(described,),
            classes=classes,
            is_uncertain=uncertain,
            explanations=explain_answer(answer, network, image.shape)
            if explain
            else (),
            notes=notes,
        )

    def _chosen(
        self,
        probability: NDArray[np.float32],
        before: Mask | None,
        prompts: Prompts,
        answer: WindowAnswer,
        locked: Mask | None,
    ) -> Mask:
        """Return the part of an answer that the prompts point at."""
        found = probability > self.card.mask_threshold
        if locked is not None:
            found &= ~locked
        obey_px = self.card.disk_radius_px / answer.window.scale
        if before is not None:
            if not prompts.clicks:
                return touched_by(found, prompts)
            newest = prompts.clicks[-1]
            return merge_click(before, found, newest, locked=locked, obey_px=obey_px)
        positive = [click for click in prompts.clicks if click.positive]
        if prompts.box is None and not prompts.strokes and positive:
            newest = positive[-1]
            reach = _REACH_GRID_PX / answer.window.scale
            mask = component_under(found, newest.y, newest.x, reach_px=reach)
            peak = float(probability[mask].max(initial=0.0))
            if peak >= self.card.refuse_below or not mask.any():
                if mask.any() or len(positive) < 2:
                    return mask
                return merge_click(mask, mask, newest, locked=locked, obey_px=obey_px)
            return np.zeros_like(mask)
        return touched_by(found, prompts)

    def _says_empty(self, scores: NDArray[np.float32]) -> bool:
        empty = self.card.empty_class
        if empty is None or empty not in self.card.classes:
            return False
        found = float(scores[self.card.classes.index(empty)])
        return found > self.card.empty_class_above

    def _image_classes(
        self, image: _Image, answer: WindowAnswer
    ) -> Mapping[str, float] | None:
        scores = self._network.image_classes(answer)
        if scores is None or image.withheld is not None:
            return None
        return _named(self.card.classes, scores)

    def _object_classes(
        self, image: _Image, answer: WindowAnswer, masks: Sequence[Mask]
    ) -> list[Mapping[str, float] | None]:
        if image.withheld is not None:
            return [None] * len(masks)
        scores = self._network.object_scores(answer, masks)
        if scores is None:
            return [self._image_classes(image, answer)] * len(masks)
        scores = scores / self.card.object_temperature
        shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
        rows = shifted / shifted.sum(axis=1, keepdims=True)
        return [_named(self.card.object_classes, row) for row in rows]

    def _describe_all(
        self, image: _Image, answer: WindowAnswer, labels: NDArray[np.uint32]
    ) -> tuple[SegmentedObject, ...]:
        masks = [labels == number for number in range(1, int(labels.max()) + 1)]
        described = []
        found = self._object_classes(image, answer, masks)
        for number, (mask, classes) in enumerate(zip(masks, found, strict=True), 1):
            one = describe_object(
                mask, image.spacing_um, object_id=number, probabilities=classes
            )
            if _is_uncertain(classes, self.card):
                one = replace(one, class_name=None)
            described.append(one)
        return tuple(described)


def _as_probability(
    previous: Prediction | NDArray[Any] | None,
) -> NDArray[np.float32] | None:
    if previous is None:
        return None
    if isinstance(previous, Prediction):
        return previous.probability
    return np.asarray(previous).astype(np.float32)


def _agree(
    probability: NDArray[np.float32], mask: Mask, threshold: float
) -> NDArray[np.float32]:
    """Return probabilities that give back ``mask`` when cut at the threshold."""
    above = np.maximum(probability, np.nextafter(np.float32(threshold), np.float32(1)))
    return np.where(mask, above, np.minimum(probability, np.float32(threshold)))


def _named(names: Sequence[str], values: NDArray[np.float32]) -> Mapping[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def _largest(classes: Mapping[str, float]) -> str:
    return max(classes, key=lambda name: classes[name])


def _is_uncertain(classes: Mapping[str, float] | None, card: WeightsCard) -> bool:
    return classes is not None and max(classes.values()) < card.uncertain_below
