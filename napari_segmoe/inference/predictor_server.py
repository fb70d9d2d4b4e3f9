"""The process in which the window's predictor runs; see `predictor_process`.

``python -m napari_segmoe.inference.predictor_server`` reads pickled questions,
(name, args, kwargs), from its standard input and writes pickled answers, (whether
it went well, value or error), to its standard output, until its input ends. Both
ends are one program's: nothing else may be fed to it.
"""

import os
import pickle
import sys
from collections.abc import Callable, Generator
from itertools import count
from typing import Any, BinaryIO

from napari_segmoe.errors import SegmoeError
from napari_segmoe.inference.devices import list_devices, memory_text
from napari_segmoe.inference.packing import pack, unpack
from napari_segmoe.inference.predictor import SegmentationPredictor, load_predictor
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.types import Mask, Prediction, RegionProgress

_Steps = Generator[RegionProgress, None, Prediction]


class PredictorServer:
    """Answers questions by name; holds one predictor, and the runs it has begun."""

    def __init__(self) -> None:
        self._predictor: SegmentationPredictor | None = None
        self._numbers = count()
        self._runs: dict[int, _Steps] = {}
        self._own: dict[str, Callable[..., Any]] = {
            "load": self._load,
            "list_devices": self._list_devices,
            "memory_text": self._memory_text,
            "begin_steps": self._begin_steps,
            "advance_steps": self._advance_steps,
            "end_steps": self._end_steps,
        }

    def answer(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call one of the server's own methods, or the predictor's."""
        own = self._own.get(name)
        asked = getattr(self._predictor, name) if own is None else own
        unpacked = {key: unpack(value) for key, value in kwargs.items()}
        return pack(asked(*args, **unpacked))

    def _load(self, weights: str, *, device: str, threads: int | None) -> WeightsCard:
        self._predictor = load_predictor(weights, device=device, threads=threads)
        return self._predictor.card

    def _begin_steps(self, *, locked: Mask | None) -> int:
        assert self._predictor is not None, "weights are loaded first"
        number = next(self._numbers)
        self._runs[number] = self._predictor.predict_steps(locked=locked)
        return number

    def _advance_steps(self, number: int) -> RegionProgress | Prediction:
        """Return the run's next step, or its answer; an error ends the run."""
        steps = self._runs.pop(number)
        try:
            step = next(steps)
        except StopIteration as stop:
            answer: Prediction = stop.value
            return answer
        self._runs[number] = steps
        return step

    def _end_steps(self, number: int) -> None:
        steps = self._runs.pop(number, None)
        if steps is not None:
            steps.close()

    def _list_devices(self) -> tuple[tuple[str, str], ...]:
        return tuple((device.name, device.title) for device in list_devices())

    def _memory_text(self) -> str:
        device = "cpu" if self._predictor is None else self._predictor.device_name
        return memory_text(device)


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the questions end."""
    server = PredictorServer()
    while True:
        try:
            name, args, kwargs = pickle.load(questions)
        except EOFError:
            return
        try:
            answer = (True, server.answer(name, args, kwargs))
        except Exception as error:  # noqa: BLE001
            answer = (False, _portable(error))
        pickle.dump(answer, answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()


def _portable(error: Exception) -> Exception:
    """Return an error that the window can unpickle without torch."""
    if isinstance(error, SegmoeError) or type(error).__module__ == "builtins":
        return error
    if isinstance(error, MemoryError):
        return MemoryError(str(error))
    return RuntimeError(f"{type(error).__name__}: {error}")


def main() -> None:
    """Serve on the standard streams; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        serve(sys.stdin.buffer, answers)
    except BrokenPipeError:  # the window is gone; nobody waits for the answer
        sys.exit(0)


if __name__ == "__main__":
    main()
