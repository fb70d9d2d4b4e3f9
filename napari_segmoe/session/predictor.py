"""What the session asks of a predictor, and the host that owns one.

The host lives on the job runner's workers only; nothing here imports torch.
"""

import threading
from collections.abc import Generator, Mapping, Sequence
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
    PixelSource,
    Prediction,
    Prompts,
    RegionEstimate,
    RegionProgress,
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

    @property
    def spacing_um(self) -> float | None:
        """Pixel size that images are seen at, um; None: whatever they have."""
        ...

    @property
    def assumed_spacing_um(self) -> float | None:
        """Pixel size taken for images that state none, um."""
        ...


class Predictor(Protocol):
    """A loaded network that answers prompts; see `inference.predictor`.

    Two threads may use it: one asks for answers, one goes through `predict_steps`.
    """

    @property
    def card(self) -> Any:
        """The card of the weights, a `Card`."""
        ...

    def set_image(
        self,
        image: NDArray[Any] | PixelSource,
        spacing_um: Spacing | None = None,
        *,
        modality: Modality = Modality.UNKNOWN,
    ) -> None:
        """Take the image that is asked about next."""
        ...

    def estimate(self) -> RegionEstimate:
        """Return what the automatic mode will cost on the image set last."""
        ...

    def predict_steps(
        self, *, locked: Mask | None = None
    ) -> Generator[RegionProgress, None, Prediction]:
        """Segment everything a step at a time, in the image set when it begins.

        Closing the generator ends it; questions on other images may come between.
        """
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
    """Owns the predictor; used by the runner's workers only.

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
        # from choosing the predictor's image to the end of the question about it
        self._lock = threading.RLock()

    def load(self, choice: ModelChoice) -> ModelReport:
        """Make sure that the predictor of ``choice`` is loaded."""
        with self._lock:
            predictor = self._ensure(choice)
            devices = self._devices.list_devices(predictor) if self._devices else ()
            unavailable = predictor.unavailable_explanations()
            text = self.memory_text()
        return ModelReport(predictor.card, text, devices, unavailable)

    def memory_text(self) -> str:
        """Return device and memory in words; empty where nothing is loaded."""
        with self._lock:
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
        device = self._device_for(choice)
        try:
            prediction = self._ask(device, question)
        except (RuntimeError, MemoryError) as error:
            device = self._fall_back(choice, device, error, question.image)
            prediction = self._ask_once_more(device, question)
        return _said_of(prediction, choice, device)

    def estimate(self, choice: ModelChoice, image: SessionImage) -> RegionEstimate:
        """Return what segmenting an image will cost."""
        with self._lock:
            return self._show(self._device_for(choice), image).estimate()

    def segment(
        self, choice: ModelChoice, image: SessionImage, locked: Mask | None
    ) -> Generator[RegionProgress, None, Prediction]:
        """Segment everything in an image, a step at a time; see `answer`.

        Raises
        ------
        DeviceError
            If memory runs out on the CPU too.
        """
        device = self._device_for(choice)
        try:
            prediction = yield from self._segment(device, image, locked)
        except (RuntimeError, MemoryError) as error:
            device = self._fall_back(choice, device, error, image)
            try:
                prediction = yield from self._segment(device, image, locked)
            except (RuntimeError, MemoryError) as again:
                raise _as_refusal(again, image) from again
        return _said_of(prediction, choice, device)

    def release(self) -> None:
        """Give the predictor's memory back."""
        with self._lock:
            if self._predictor is not None:
                self._predictor.release()
            self._predictor = self._choice = self._image = None

    def _device_for(self, choice: ModelChoice) -> ModelChoice:
        is_too_big = choice == self._too_big_for
        return replace(choice, device="cpu") if is_too_big else choice

    def _fall_back(
        self,
        choice: ModelChoice,
        device: ModelChoice,
        error: Exception,
        image: SessionImage,
    ) -> ModelChoice:
        """Return the CPU, where a device with less memory failed."""
        if not is_out_of_memory(error):
            raise error
        if device.device == "cpu":
            self.release()
            raise _as_refusal(error, image) from error
        with self._lock:
            if self._too_big_for != choice:  # the other worker may have seen it first
                self.release()
                self._too_big_for = choice
        return replace(choice, device="cpu")

    def _ask_once_more(self, choice: ModelChoice, question: Question) -> Prediction:
        try:
            return self._ask(choice, question)
        except (RuntimeError, MemoryError) as error:
            raise _as_refusal(error, question.image) from error

    def _ask(self, choice: ModelChoice, question: Question) -> Prediction:
        with self._lock:
            return self._show(choice, question.image).predict(
                question.prompts.clicks,
                strokes=question.prompts.strokes,
                box=question.prompts.box,
                previous=question.previous,
                locked=question.locked,
                explain=question.explain,
                steering=question.steering,
            )

    def _segment(
        self, choice: ModelChoice, image: SessionImage, locked: Mask | None
    ) -> Generator[RegionProgress, None, Prediction]:
        with self._lock:  # it begins, with its image, at the first step
            steps = self._show(choice, image).predict_steps(locked=locked)
            try:
                progress = next(steps)
            except StopIteration as stop:
                answer: Prediction = stop.value
                return answer
        try:
            yield progress
            return (yield from steps)
        finally:
            steps.close()

    def _show(self, choice: ModelChoice, image: SessionImage) -> Predictor:
        predictor = self._ensure(choice)
        if self._image is not image:
            self._image = None
            predictor.set_image(image.pixels, image.spacing_um, modality=image.modality)
            self._image = image
        return predictor

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


def _said_of(
    prediction: Prediction, choice: ModelChoice, device: ModelChoice
) -> Prediction:
    if device == choice:
        return prediction
    note = "Memory ran out, so the CPU answered; it may be slower."
    return replace(prediction, notes=(*prediction.notes, note))


def _as_refusal(error: Exception, image: SessionImage) -> Exception:
    """Return the sentence for memory that ran out; another error as it is."""
    if not is_out_of_memory(error):
        return error
    height, width = image.shape
    return DeviceError(
        f"Memory ran out while {image.name or 'the image'} ({height} x {width}"
        " px) was segmented. Close other programs, or crop the image, and try again."
    )
