"""All that belongs to one image: prompts, prediction, objects and history."""

from collections.abc import Hashable

import numpy as np

from napari_segmoe.session.history import History, Snapshot
from napari_segmoe.session.image import SessionImage
from napari_segmoe.session.objects import Labels
from napari_segmoe.session.prediction_cache import Answer
from napari_segmoe.types import Prediction


class Workspace:
    """The work on one image; `Session` keeps one for each image chosen.

    Parameters
    ----------
    image : SessionImage
        The image.
    snapshot : Snapshot
        The state to begin with.
    """

    def __init__(self, image: SessionImage, snapshot: Snapshot) -> None:
        self.image = image
        self.snapshot = snapshot
        self.labels: Labels = np.zeros(image.shape, np.uint32)
        self.answer: Answer | None = None  # the newest one to the prompts
        self.history = History()
        self.selected_id: int | None = None

    @property
    def prediction(self) -> Prediction | None:
        """The newest prediction, or None."""
        return self.answer.prediction if self.answer else None

    @property
    def next_id(self) -> int:
        """Smallest id above all that are in use."""
        used = [record.id for record in self.snapshot.records]
        return max(int(self.labels.max()), *used, 0) + 1

    @property
    def question_key(self) -> Hashable:
        """Names the question that the present prompts put."""
        s = self.snapshot
        return self.image.key, s.prompts, s.is_automatic, s.label_version
