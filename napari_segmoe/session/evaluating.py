"""Evaluating: the session's objects against a truth, or weights on a data folder."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_segmoe.data.masks import MaskKind
from napari_segmoe.errors import JobError, SegmoeError
from napari_segmoe.session.evaluation_table import (
    FIGURES,
    EvaluationTable,
    table_of_report,
)
from napari_segmoe.session.folder_scoring import FolderQuestion, FolderScoring

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session
    from napari_segmoe.training.agreement import Agreement

TOPIC = LANE = "evaluation"
_RESAMPLES = 500
KINDS = {
    MaskKind.INSTANCES: "one id an object",
    MaskKind.BINARY: "object or background",
    MaskKind.SEMANTIC: "one value a class",
    MaskKind.EMPTY: "none",
}


@dataclass(frozen=True, slots=True, eq=False)
class TruthChoice:
    """A truth that lies in memory, as a labels layer has it.

    Attributes
    ----------
    labels : (H, W) integers
    name : str
        Of the layer.
    kind : MaskKind or None
        What its values mean; None finds out.
    class_of : mapping of int to str
        Classes of its objects, where it tells them.
    """

    labels: NDArray[np.integer]
    name: str
    kind: MaskKind | None = None
    class_of: Mapping[int, str] | None = None


class Evaluating:
    """The newest evaluation, and the one that is under way.

    Images that are evaluated one after another against layers gather in one table.

    Parameters
    ----------
    session : Session
        Whose objects are evaluated.
    """

    changed = Signal()

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._agreements: dict[str, Agreement] = {}
        self._folder: FolderScoring | None = None
        self.table: EvaluationTable | None = None
        self.question: FolderQuestion | None = None  # of the table, if it is a folder's
        self.is_running = False
        self.progress: tuple[int, int] | None = None
        self.failure = ""
        session.image_changed.connect(self._on_image_changed)

    @property
    def overlay(self) -> NDArray[np.uint8] | None:
        """Where the present image's objects agree with the truth, (H, W); or None.

        1: both, 2: only the prediction, 3: only the truth.
        """
        image = self._session.image
        found = self._agreements.get(image.key) if image is not None else None
        return None if found is None else found.overlay

    def score_image(self, truth: TruthChoice, *, is_proposal: bool = False) -> None:
        """Compare the present image's objects with a truth.

        Parameters
        ----------
        truth : TruthChoice
        is_proposal : bool
            Compare the newest answer of the model instead of what was committed.

        Raises
        ------
        JobError
            If there is nothing to compare, or it is of another size.
        """
        image = self._session.require_image()
        found, class_of = self._found(is_proposal=is_proposal)
        if not np.any(truth.labels):
            raise JobError(
                f"{truth.name} marks nothing. Pick a ground-truth layer, one with label"
                " values."
            )
        if truth.labels.shape != found.shape:
            raise JobError(
                f"{truth.name} is {truth.labels.shape[0]} x {truth.labels.shape[1]} px,"
                f" the image {found.shape[0]} x {found.shape[1]}. Pick a truth of this"
                " image."
            )
        name = image.name or image.key
        spacing_um, labels = image.spacing_um, np.array(truth.labels)
        entries = self._session.classes.table.entries
        value_names = {n: entry.name for n, entry in enumerate(entries, start=1)}

        def job() -> Generator[None, None, "Agreement"]:
            from napari_segmoe.training.agreement import (
                Truth,
                kind_of_labels,
                measure_agreement,
            )

            yield
            kind = truth.kind or kind_of_labels(labels)
            is_semantic = kind is MaskKind.SEMANTIC
            held = Truth(labels, kind, value_names if is_semantic else truth.class_of)
            return measure_agreement(
                name, found, held, class_of=class_of, spacing_um=spacing_um
            )

        self._begin()
        self._session.runner.submit(
            job,
            topic=TOPIC,
            on_done=lambda agreement: self._take_image(image.key, agreement),
            on_error=self._fail,
            lane=LANE,
        )

    def score_folder(self, question: FolderQuestion) -> None:
        """Score weights on a data folder, in a process of its own.

        Raises
        ------
        JobError
            If the folder is missing.
        """
        if not question.data.is_dir():
            raise JobError(
                f"{question.data} is no folder. Choose a data folder: images/, masks/"
                " and labels.csv."
            )
        self.cancel()
        scoring = FolderScoring(question)
        self._folder = scoring
        self._begin()
        self._session.runner.submit(
            scoring.steps,
            topic=TOPIC,
            on_done=lambda report: self._take_report(question, report),
            on_error=self._fail,
            lane=LANE,
            on_progress=self._note_progress,
        )

    def cancel(self) -> None:
        """End what is under way; the table before stays."""
        self._session.runner.cancel(TOPIC)
        if self._folder is not None:
            self._folder.cancel()
            self._folder = None
        if self.is_running:
            self.is_running, self.progress = False, None
            self.changed.emit()

    def close(self) -> None:
        """End what is under way for good."""
        if self._folder is not None:
            self._folder.cancel()

    def forget(self) -> None:
        """Empty the table."""
        self.cancel()
        self._agreements.clear()
        self.table = self.question = None
        self.changed.emit()

    def _found(
        self, *, is_proposal: bool
    ) -> tuple[NDArray[np.integer], dict[int, str]]:
        """Return the objects to compare, and their classes."""
        session = self._session
        if is_proposal:
            answer = session.prediction
            if answer is None:
                raise JobError(
                    "The model has not answered yet. Click an object, or segment the"
                    " image first."
                )
            resolve = session.classes.table.resolve
            entries = {one.id: resolve(one.class_name) for one in answer.objects}
            labels = np.array(answer.labels)
        else:
            table = session.classes.table
            records = session.annotation.records
            entries = {one.id: table.find(one.class_id) for one in records}
            kept = session.annotation.labels
            if kept is None or not records:
                raise JobError(
                    "No object is committed in this image yet. Commit some, or compare"
                    " the model's answer."
                )
            labels = np.array(kept)
        return labels, {key: one.name for key, one in entries.items() if one}

    def _begin(self) -> None:
        self.is_running, self.progress, self.failure = True, None, ""
        self.changed.emit()

    def _note_progress(self, progress: tuple[int, int]) -> None:
        self.progress = progress
        self.changed.emit()

    def _take_image(self, key: str, agreement: "Agreement") -> None:
        if self.question is not None:
            self.question = None
        self._agreements[key] = agreement
        self.table = _table_of(tuple(self._agreements.values()))
        self._end()

    def _take_report(self, question: FolderQuestion, report: dict[str, Any]) -> None:
        self._agreements.clear()
        self._folder = None
        self.question, self.table = question, table_of_report(report)
        self._end()

    def _fail(self, error: Exception) -> None:
        self._folder = None
        self.failure = str(error) if isinstance(error, SegmoeError) else ""
        self._end()
        self._session.report(error)

    def _end(self) -> None:
        self.is_running, self.progress = False, None
        self.changed.emit()

    def _on_image_changed(self, _: object = None) -> None:
        self.changed.emit()  # the overlay is another


def _table_of(agreements: "tuple[Agreement, ...]") -> EvaluationTable:
    """Return the table of images that were compared one by one."""
    from napari_segmoe.training.agreement import report_class_pairs
    from napari_segmoe.training.evaluation_report import EvaluationOptions, summarise
    from napari_segmoe.training.metrics import pool_overlaps

    scores = [one.scores for one in agreements]
    report = summarise(scores, (), options=EvaluationOptions(resamples=_RESAMPLES))
    classes: list[tuple[str, str]] = []
    names = sorted({name for one in agreements for name in one.classes})
    for name in names:
        overlaps = [one.classes[name] for one in agreements if name in one.classes]
        classes.append((f"{name} Dice", f"{pool_overlaps(overlaps).dice:.3f}"))
    pairs = report_class_pairs([pair for one in agreements for pair in one.pairs])
    if pairs is not None:
        words = f"{pairs['accuracy']:.3f} of {pairs['n']} objects found"
        classes.append(("Class right", words))
        classes.append(("Class F1", f"{pairs['f1']:.3f}"))
    kinds = sorted({KINDS[one.kind] for one in agreements})
    taken = f"Values of the truth: {', '.join(kinds)}."
    found = report["segmentation"]
    count = len(agreements)
    return EvaluationTable(
        f"Objects of {count} image{'' if count == 1 else 's'} against their truth",
        {name: found[name] for name in FIGURES if isinstance(found.get(name), dict)},
        tuple(one.as_row() for one in scores),
        notes=(taken,),
        classes=tuple(classes),
    )
