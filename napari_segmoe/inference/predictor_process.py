"""A predictor in a process of its own. Loads no torch here.

Importing torch and running a network hold the interpreter's lock for hundreds of
milliseconds at a time, so that a window in the same process stands still. From
another process it never does; giving the memory back is ending that process.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.errors import DeviceError, NoImageError
from napari_segmoe.inference.packing import pack, unpack
from napari_segmoe.inference.process_pipe import ProcessPipe
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.types import (
    Box,
    Click,
    Explanation,
    Mask,
    Modality,
    PixelSource,
    Prediction,
    RegionEstimate,
    RegionProgress,
    Spacing,
    Steering,
    Stroke,
)

_MODULE = "napari_segmoe.inference.predictor_server"


class PredictorProcess:
    """The same questions as `SegmentationPredictor`, answered by another process.

    Threads take turns, one question each; `predict_steps` gives way after each step.
    A process that ended is started again by the next question, with the same weights
    and image.

    Parameters
    ----------
    weights : str
        Shipped weights or a weights file.
    device : str
        "auto", "cpu", "cuda:N" or "mps".
    threads : int, optional
        CPU threads of the process.

    Raises
    ------
    WeightsError
        If the weights are missing or damaged.
    DeviceError
        If the device cannot be used, or the process does not start.
    """

    def __init__(
        self, weights: str, *, device: str = "auto", threads: int | None = None
    ) -> None:
        self._load = ((weights,), {"device": device, "threads": threads})
        self._lock = RLock()
        self._image: tuple[Any, ...] | None = None
        self._pipe: ProcessPipe | None = None
        self._card: WeightsCard = self._start()

    @property
    def card(self) -> WeightsCard:
        """The card of the weights."""
        return self._card

    @property
    def process_id(self) -> int | None:
        """Number of the process; None after `release`."""
        return None if self._pipe is None else self._pipe.process_id

    def set_image(
        self,
        image: NDArray[Any] | PixelSource,
        spacing_um: Spacing | None = None,
        *,
        modality: Modality = Modality.UNKNOWN,
    ) -> None:
        """See `SegmentationPredictor.set_image`; a `PixelSource` is read over there."""
        if isinstance(image, np.ndarray):
            image = np.ascontiguousarray(image)
        with self._lock:
            self._image = (image, spacing_um, modality)
            if not self._ensure():
                self._send_image()

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
        """See `SegmentationPredictor.predict`."""
        if isinstance(previous, Prediction):
            previous = previous.probability  # all that counts; explanations are large
        answer: Prediction = self._ask_about_image(
            "predict",
            tuple(clicks),
            strokes=tuple(strokes),
            box=box,
            previous=previous,
            locked=locked,
            explain=explain,
            steering=steering,
        )
        return answer

    def estimate(self) -> RegionEstimate:
        """See `SegmentationPredictor.estimate`."""
        answer: RegionEstimate = self._ask_about_image("estimate")
        return answer

    def predict_steps(
        self, *, locked: Mask | None = None
    ) -> Generator[RegionProgress, None, Prediction]:
        """See `SegmentationPredictor.predict_steps`."""
        with self._lock:
            number = self._ask_about_image("begin_steps", locked=locked)
            pipe = self._pipe
        assert pipe is not None, "it has just answered"
        return self._advance(pipe, number)

    def counterfactuals(self, *args: Any, **kwargs: Any) -> tuple[Explanation, ...]:
        """See `SegmentationPredictor.counterfactuals`."""
        answer: tuple[Explanation, ...] = self._ask("counterfactuals", *args, **kwargs)
        return answer

    def unavailable_explanations(self) -> Mapping[str, str]:
        """See `SegmentationPredictor.unavailable_explanations`."""
        answer: Mapping[str, str] = self._ask("unavailable_explanations")
        return answer

    def list_devices(self) -> tuple[tuple[str, str], ...]:
        """Return name and title of the devices that the process sees."""
        answer: tuple[tuple[str, str], ...] = self._ask("list_devices")
        return answer

    def memory_text(self) -> str:
        """Return the process's device and memory in words."""
        answer: str = self._ask("memory_text")
        return answer

    def release(self) -> None:
        """End the process; the next question starts another."""
        with self._lock:
            pipe, self._pipe = self._pipe, None
            self._image = None
            if pipe is not None:
                pipe.end()

    def _ask_about_image(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if self._image is None:
            raise NoImageError("Set an image first.")
        return self._ask(name, *args, **kwargs)

    def _ask(self, name: str, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            self._ensure()
            assert self._pipe is not None, "it has just been made sure of"
            return self._exchange(self._pipe, name, *args, **kwargs)

    def _exchange(self, pipe: ProcessPipe, name: str, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            packed = {key: pack(value) for key, value in kwargs.items()}
            return unpack(pipe.call(name, args, packed))

    def _advance(
        self, pipe: ProcessPipe, number: int
    ) -> Generator[RegionProgress, None, Prediction]:
        is_over = False
        try:
            while True:
                step = self._exchange(pipe, "advance_steps", number)
                if isinstance(step, Prediction):
                    is_over = True
                    return step
                yield step
        finally:
            if not is_over and pipe.is_alive:
                with suppress(DeviceError, MemoryError):  # it ended just now
                    self._exchange(pipe, "end_steps", number)

    def _ensure(self) -> bool:
        """Make sure that a process runs; return whether it is new."""
        if self._pipe is not None and self._pipe.is_alive:
            return False
        self._start()
        self._send_image()
        return True

    def _start(self) -> WeightsCard:
        self._pipe = ProcessPipe(_MODULE)
        args, kwargs = self._load
        try:
            card: WeightsCard = self._exchange(self._pipe, "load", *args, **kwargs)
        except BaseException:
            self._pipe.end()
            self._pipe = None
            raise
        return card

    def _send_image(self) -> None:
        if self._image is not None and self._pipe is not None:
            image, spacing_um, modality = self._image
            self._exchange(
                self._pipe, "set_image", image, spacing_um, modality=modality
            )
