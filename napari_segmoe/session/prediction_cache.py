"""Answers kept so that undo and redo answer at once."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from napari_segmoe.types import Prediction


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """A prediction, and what it answers.

    Attributes
    ----------
    prediction : Prediction
        The answer itself.
    question : Hashable
        Names model, image and prompts; not how experts were steered.
    previous : Prediction or None
        The prediction it built on: asking the same again starts from it too.
    is_explained : bool
        Whether explanations were asked for.
    """

    prediction: Prediction
    question: Hashable
    previous: Prediction | None = None
    is_explained: bool = False


class PredictionCache:
    """The newest answers by question, up to ``max_bytes`` of pixels."""

    def __init__(self, max_bytes: int = 256 * 2**20) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, Answer] = OrderedDict()

    def find(self, key: Hashable) -> Answer | None:
        """Return the answer kept under ``key``, or None."""
        answer = self._kept.get(key)
        if answer is not None:
            self._kept.move_to_end(key)
        return answer

    def keep(self, key: Hashable, answer: Answer) -> None:
        """Keep an answer; the oldest ones go when there are too many bytes."""
        self._kept[key] = answer
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and self._size() > self._max_bytes:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()

    def _size(self) -> int:
        return sum(_bytes_of(answer.prediction) for answer in self._kept.values())


def _bytes_of(prediction: Prediction) -> int:
    maps = sum(one.values.nbytes for one in prediction.explanations)
    pixels = (prediction.mask, prediction.probability, prediction.labels)
    return maps + sum(array.nbytes for array in pixels)
