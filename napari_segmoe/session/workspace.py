"""All that belongs to one image: prompts, prediction, objects and history."""

from collections.abc import Hashable
from dataclasses import replace

import numpy as np

from napari_segmoe.data.region_store import RegionStore
from napari_segmoe.session.history import History, Snapshot
from napari_segmoe.session.image import SessionImage
from napari_segmoe.session.objects import LabelBox, LabelPatch, Labels, ObjectRecord
from napari_segmoe.session.prediction_cache import Answer
from napari_segmoe.session.predictor import ModelChoice
from napari_segmoe.types import Prediction, Spacing


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
        self.stored: RegionStore | None = None  # the same labels on disk; see `Session`
        # an automatic answer that came while prompts were given, and how it was asked
        self.automatic_aside: tuple[Prediction, ModelChoice] | None = None

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
        return self.question_of(self.snapshot)

    @property
    def is_region_run(self) -> bool:
        """Whether all of a slide's region was asked for: `RegionRuns` answers."""
        snapshot = self.snapshot
        is_whole = snapshot.is_automatic and not snapshot.prompts
        return self.image.region is not None and is_whole

    def question_of(self, snapshot: Snapshot) -> Hashable:
        """Names the question that a snapshot's prompts put."""
        image, s = self.image, snapshot
        asked = (s.prompts, s.is_automatic, s.label_version)
        return image.key, image.spacing_um, *asked

    def apply(self, patch: LabelPatch, *, backwards: bool = False) -> None:
        """Change label pixels, also on disk; ``backwards`` takes the change back."""
        patch.apply(self.labels, backwards=backwards)
        self.write_through(patch.box)

    def write_through(self, box: LabelBox) -> None:
        """Bring a box of the labels on disk, which views edit, to what they are."""
        if self.stored is not None:
            y0, x0, y1, x1 = box
            self.stored[y0:y1, x0:x1] = self.labels[y0:y1, x0:x1]

    def close(self) -> None:
        """Write labels to disk no more."""
        if self.stored is not None:
            self.stored.close()

    def replace_labels(self, labels: Labels) -> None:
        """Take other label pixels (H, W) altogether, also on disk."""
        self.labels = labels
        if self.stored is not None:
            self.stored[:, :] = labels

    def rescale(self, spacing_um: Spacing | None) -> None:
        """Take another pixel size: all areas follow, also those to be undone to."""
        if spacing_um == self.image.spacing_um:
            return
        self.image = replace(self.image, spacing_um=spacing_um)
        done: dict[int, tuple[ObjectRecord, ...]] = {}  # by id: snapshots share them

        def rescaled(snapshot: Snapshot) -> Snapshot:
            records = snapshot.records
            if id(records) not in done:
                done[id(records)] = tuple(r.rescaled(spacing_um) for r in records)
            return replace(snapshot, records=done[id(records)])

        self.snapshot = rescaled(self.snapshot)
        self.history.rewrite(rescaled)
        if self.stored is not None:
            self.stored.note_spacing(spacing_um)
