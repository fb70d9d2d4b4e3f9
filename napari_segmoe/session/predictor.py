"""What the session asks of a predictor, and the host that owns one.

The host lives on the job runner's worker only; nothing here imports torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.errors import DeviceError
from napari_segmoe.session.image import SessionImage
from napari_segmoe.types import (
    Box,
    Click,
    Mask,
    Modality,
    Prediction,
    Prompts,
    Spacing,
    Steering,
    Stroke,
)


class Card(Protocol):
    """The parts of a weights card that the session shows."""

    @property
    def name(self) -> str:
        """Short name."""
        ...

    @property
    def title(self) -> str:
        """Name for people."""
        ...

    @property
    def object_classes(self) -> tuple[str, ...]:
        """Classes an object can have."""
        ...

    @property
    def uncertain_below(self) -> float:
        """Largest probability still called uncertain."""
        ...


class Predictor(Protocol):
    """A loaded network that answers prompts; see `inference.predictor`."""

    @property
    def card(self) -> Any:
        """The card of the weights, a `Card`."""
        ...

    def set_image(
        self,
        image: NDArray[Any],
        spacing_um: Spacing | None = None,
        *,
        modality: Modality = Modality.UNKNOWN,
    ) -> None:
        """Take the image that is asked about next."""
        ...

    def predict(
        self,
        clicks: Sequence[Click] = (),
        *,
        strokes: Sequence[Stroke] = (),
        box: Box | None = None,
        previous: Prediction | None = None,
        locked: Mask | None = None,
        explain: bool = False,
        steering: Steering | None = None,
    ) -> Prediction:
        """Answer the prompts, or segment everything where there are none."""
        ...

    def unavailable_explanations(self) -> Mapping[str, str]:
        """Return why a group of explanations never comes, by the group's name."""
        ...

    def release(self) -> None:
        """Free the device's memory."""
        ...


class PredictorLoader(Protocol):
    """Reads weights onto a device; slow, called on the worker at first need."""

    def __call__(self, weights: str, *, device: str) -> Predictor:
        """Return the predictor of ``weights`` on ``device``."""
        ...


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Weights by name or path, and the device to run them on."""

    weights: str
    device: str = "auto"


@dataclass(frozen=True, slots=True)
class DeviceChoice:
    """A device the user can pick."""

    name: str
    title: str


class DeviceReader(Protocol):
    """Tells about devices; may wait for the predictor, so the worker alone asks."""

    def list_devices(self, predictor: Predictor) -> tuple[DeviceChoice, ...]:
        """Return the devices that a predictor can run on."""
        ...

    def memory_text(self, predictor: Predictor) -> str:
        """Return device and memory in words, as "CPU 0.6 GB"."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One question to a predictor; without prompts the whole image is meant."""

    image: SessionImage
    prompts: Prompts
    previous: Prediction | None = None
    locked: Mask | None = None
    explain: bool = False
    steering: Steering | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ModelReport:
    """What the worker knows of the loaded model."""

    card: Card
    device_text: str
    devices: tuple[DeviceChoice, ...]
    unavailable: Mapping[str, str]  # why a group of explanations never comes


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on whatever device."""
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower()


class PredictorHost:
    """Owns the predictor; used by one worker only.

    Parameters
    ----------
    load : PredictorLoader
        Reads weights.
    devices : DeviceReader or None
        Tells about devices; None says nothing.
    """

    def __init__(
        self, load: PredictorLoader, devices: DeviceReader | None = None
    ) -> None:
        self._load = load
        self._devices = devices
        self._choice: ModelChoice | None = None
        self._predictor: Predictor | None = None
        self._image: SessionImage | None = None
        self._too_big_for: ModelChoice | None = None  # ran out of memory: use the CPU

    def load(self, choice: ModelChoice) -> ModelReport:
        """Make sure that the predictor of ``choice`` is loaded."""
        predictor = self._ensure(choice)
        devices = self._devices.list_devices(predictor) if self._devices else ()
        unavailable = predictor.unavailable_explanations()
        return ModelReport(predictor.card, self.memory_text(), devices, unavailable)

    def memory_text(self) -> str:
        """Return device and memory in words; empty where nothing is loaded."""
        if self._devices is None or self._predictor is None:
            return ""
        return self._devices.memory_text(self._predictor)

    def answer(self, choice: ModelChoice, question: Question) -> Prediction:
        """Answer a question; on a device that runs out of memory, on the CPU.

        Raises
        ------
        DeviceError
            If memory runs out on the CPU too.
        """
        if choice == self._too_big_for:
            return self._answer_on_cpu(choice, question)
        try:
            return self._ask(choice, question)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        self.release()
        if choice.device == "cpu":
            raise DeviceError(_memory_sentence(question))
        self._too_big_for = choice
        return self._answer_on_cpu(choice, question)

    def release(self) -> None:
        """Give the predictor's memory back."""
        if self._predictor is not None:
            self._predictor.release()
        self._predictor = self._choice = self._image = None

    def _answer_on_cpu(self, choice: ModelChoice, question: Question) -> Prediction:
        try:
            prediction = self._ask(replace(choice, device="cpu"), question)
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                raise DeviceError(_memory_sentence(question)) from error
            raise
        note = "Memory ran out, so the CPU answered; it may be slower."
        return replace(prediction, notes=(*prediction.notes, note))

    def _ask(self, choice: ModelChoice, question: Question) -> Prediction:
        predictor = self._ensure(choice)
        image = question.image
        if self._image is not image:
            predictor.set_image(image.pixels, image.spacing_um, modality=image.modality)
            self._image = image
        return predictor.predict(
            question.prompts.clicks,
            strokes=question.prompts.strokes,
            box=question.prompts.box,
            previous=question.previous,
            locked=question.locked,
            explain=question.explain,
            steering=question.steering,
        )

    def _ensure(self, choice: ModelChoice) -> Predictor:
        if self._predictor is None or self._choice != choice:
            self.release()
            self._predictor = self._load(choice.weights, device=choice.device)
            self._choice = choice
        return self._predictor


def locked_pixels(labels: NDArray[np.uint32]) -> Mask | None:
    """Return the pixels of committed objects in (H, W) ``labels``, None where none."""
    locked: Mask = labels > 0
    return locked if locked.any() else None


def _memory_sentence(question: Question) -> str:
    height, width = question.image.shape
    return (
        f"Memory ran out while {question.image.name or 'the image'} ({height} x {width}"
        " px) was segmented. Close other programs, or crop the image, and try again."
    )
