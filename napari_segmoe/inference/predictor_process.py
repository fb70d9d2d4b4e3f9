"""A predictor in a process of its own. Loads no torch here.

Importing torch and running a network hold the interpreter's lock for hundreds of
milliseconds at a time, so that a window in the same process stands still. From
another process it never does; giving the memory back is ending that process.
"""

import os
import pickle
import subprocess
import sys
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.errors import DeviceError, NoImageError
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.types import (
    Box,
    Click,
    Explanation,
    Mask,
    Modality,
    Prediction,
    Spacing,
    Steering,
    Stroke,
)

_MODULE = "napari_segmoe.inference.predictor_server"
_KILLED = -9
_PATIENCE_S = 5.0


class PredictorProcess:
    """The same questions as `SegmentationPredictor`, answered by another process.

    Used by one thread at a time. A process that ended is started again by the next
    question, with the same weights and image.

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
        self._image: tuple[Any, ...] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._card: WeightsCard = self._start()

    @property
    def card(self) -> WeightsCard:
        """The card of the weights."""
        return self._card

    @property
    def process_id(self) -> int | None:
        """Number of the process; None after `release`."""
        return None if self._process is None else self._process.pid

    def set_image(
        self,
        image: NDArray[Any],
        spacing_um: Spacing | None = None,
        *,
        modality: Modality = Modality.UNKNOWN,
    ) -> None:
        """See `SegmentationPredictor.set_image`."""
        self._image = (np.ascontiguousarray(image), spacing_um, modality)
        self._ensure()
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
        if self._image is None:
            raise NoImageError("Set an image first.")
        if isinstance(previous, Prediction):
            previous = previous.probability  # all that counts; explanations are large
        answer: Prediction = self._ask(
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
        process, self._process = self._process, None
        self._image = None
        if process is not None:
            _end(process)

    def _ask(self, name: str, *args: Any, **kwargs: Any) -> Any:
        self._ensure()
        return self._call(name, *args, **kwargs)

    def _ensure(self) -> None:
        if self._process is None or self._process.poll() is not None:
            self._start()
            if self._image is not None:
                self._send_image()

    def _start(self) -> WeightsCard:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                **_detached(),
            )
        except OSError as error:
            raise DeviceError(
                f"The model's process cannot be started ({error}). Check that"
                f" {sys.executable or 'Python'} can be run."
            ) from error
        weakref.finalize(self, _end, self._process)
        args, kwargs = self._load
        try:
            card: WeightsCard = self._call("load", *args, **kwargs)
        except BaseException:
            self.release()
            raise
        return card

    def _send_image(self) -> None:
        if self._image is not None:
            pixels, spacing_um, modality = self._image
            self._call("set_image", pixels, spacing_um, modality=modality)

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise DeviceError("The model's process is gone. Ask again to start it.")
        try:
            pickle.dump((name, args, kwargs), process.stdin, protocol=5)
            process.stdin.flush()
            went_well, value = pickle.load(process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise _why_it_ended(process) from error
        if not went_well:
            raise value
        return value


def _why_it_ended(process: subprocess.Popen[bytes]) -> Exception:
    _end(process)
    if process.returncode == _KILLED:
        return MemoryError("The model's process was killed: out of memory.")
    return DeviceError(
        f"The model's process ended (status {process.returncode}). Ask again to start"
        " another; if it ends again, run `segmoe doctor`."
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let the process end by closing its input; kill it if it does not."""
    for stream in (process.stdin, process.stdout):
        if stream is not None and not stream.closed:
            try:
                stream.close()
            except BrokenPipeError:
                continue  # it is gone already, with words unread
    try:
        process.wait(timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _detached() -> dict[str, Any]:
    """Return what keeps a terminal's Ctrl-C from the process, and its window away."""
    if os.name == "nt":
        return {"creationflags": getattr(subprocess, "CREATE_NO_WINDOW", 0)}
    return {"start_new_session": True}
