"""Predictions kept so that undo and redo answer at once."""

from collections import OrderedDict
from collections.abc import Hashable

from napari_segmoe.types import Prediction


class PredictionCache:
    """The newest predictions by question, up to ``max_bytes`` of pixels."""

    def __init__(self, max_bytes: int = 256 * 2**20) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, Prediction] = OrderedDict()

    def find(self, key: Hashable) -> Prediction | None:
        """Return the prediction kept under ``key``, or None."""
        prediction = self._kept.get(key)
        if prediction is not None:
            self._kept.move_to_end(key)
        return prediction

    def keep(self, key: Hashable, prediction: Prediction) -> None:
        """Keep a prediction; the oldest ones go when there are too many bytes."""
        self._kept[key] = prediction
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and self._size() > self._max_bytes:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()

    def _size(self) -> int:
        return sum(
            p.mask.nbytes + p.probability.nbytes + p.labels.nbytes
            for p in self._kept.values()
        )
