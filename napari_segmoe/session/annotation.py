"""Committed objects: commit, class, delete, correct, import, select."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import find_objects

from napari_segmoe.errors import PromptError
from napari_segmoe.inference.objects import describe_object
from napari_segmoe.project.records import Provenance, ReviewState
from napari_segmoe.session.history import EventKind
from napari_segmoe.session.objects import (
    ClassSource,
    LabelBox,
    LabelPatch,
    Labels,
    ObjectRecord,
    add_objects,
    diff_labels,
    remove_objects,
)
from napari_segmoe.session.prompting import cleared
from napari_segmoe.types import Mask, Prediction, SegmentedObject

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session


MOST_IDS = 1_000_000
Crop = tuple[Mask, tuple[int, int]]  # an object's pixels, and where they begin


class Annotation:
    """The objects of the present image, and what can be done to them.

    Parameters
    ----------
    session : Session
        Whose objects these are.
    """

    def __init__(self, session: "Session") -> None:
        self._session = session
        self.chosen_class_id: int | None = None  # None: as the model says

    @property
    def records(self) -> tuple[ObjectRecord, ...]:
        """All objects of the present image, by id."""
        return self._session.snapshot.records

    @property
    def labels(self) -> Labels | None:
        """Label image (H, W) uint32 of the present image, or None without one."""
        workspace = self._session.workspace
        return workspace.labels if workspace else None

    @property
    def selected_id(self) -> int | None:
        """Id of the selected object, or None."""
        workspace = self._session.workspace
        return workspace.selected_id if workspace else None

    @property
    def next_id(self) -> int:
        """Smallest id above all in use, also in other regions of the slide."""
        session = self._session
        present = session.require_workspace()
        keys = (one.key for one in session.regions.works.neighbours(present.image.key))
        others = (session.find_workspace(key) for key in keys)
        return max(w.next_id for w in (present, *others) if w is not None)

    def find(self, object_id: int) -> ObjectRecord | None:
        """Return the object with that id, or None."""
        return next((r for r in self.records if r.id == object_id), None)

    def choose_class(self, class_id: int | None) -> None:
        """Set the class that commits get; None takes the model's answer."""
        self.chosen_class_id = class_id
        self._session.classes_changed.emit()

    def commit(self) -> tuple[int, ...]:
        """Write the predicted objects into the label image and clear the prompts.

        Returns
        -------
        tuple of int
            Ids of the new objects; empty while the answer is awaited.

        Raises
        ------
        PromptError
            If there is no mask, or all of it is covered by committed objects.
        """
        workspace = self._session.require_workspace()
        if self._session.prompting.is_waiting:
            self._session.notified.emit("Wait for the mask, then commit it.")
            return ()
        prediction = workspace.prediction
        if prediction is None or not prediction.labels.any():
            raise PromptError("There is no mask to commit. Click an object first.")
        patch, new_ids = add_objects(
            workspace.labels, prediction.labels, first_id=self.next_id
        )
        if patch is None:
            raise PromptError(
                "Committed objects cover all of this mask. Delete them, or click"
                " somewhere else."
            )
        records = self._make_records(prediction, patch, new_ids)
        ids = tuple(record.id for record in records)
        after = replace(
            cleared(self._session.snapshot),
            records=(*self.records, *records),
            label_version=self._session.next_label_version(),
        )
        payload = {"ids": ids, "classes": [self._class_name(r) for r in records]}
        self._session.perform(EventKind.COMMIT, payload, after, patch=patch)
        self.select(ids[-1])
        return ids

    def next_object(self) -> None:
        """Keep the object in the making if there is a mask, and start the next one."""
        prediction = self._session.prompting.prediction
        if prediction is not None and prediction.labels.any():
            self.commit()
        else:
            self._session.prompting.reject()

    def assign_class(self, ids: Collection[int], class_id: int | None) -> None:
        """Give objects a class of the user's list, or none."""
        changed = {
            r.id: replace(r, class_id=class_id, source=ClassSource.USER)
            for r in self._session.correction.open_records(ids)
            if r.class_id != class_id or r.source is not ClassSource.USER
        }
        if not changed:
            return
        records = tuple(changed.get(r.id, r) for r in self.records)
        entry = self._session.classes.table.find(class_id)
        self._session.perform(
            EventKind.CLASS,
            {"ids": tuple(changed), "class": entry.name if entry else None},
            replace(self._session.snapshot, records=records),
        )

    def delete(self, ids: Collection[int]) -> None:
        """Take objects and their pixels out of the label image."""
        records = self._session.correction.open_records(ids)
        gone = {r.id for r in records}
        if not gone:
            return
        patch = remove_objects(self._session.require_workspace().labels, records)
        after = replace(
            self._session.snapshot,
            records=tuple(r for r in self.records if r.id not in gone),
            label_version=self._session.next_label_version(),
        )
        payload = {"ids": tuple(sorted(gone))}
        self._session.perform(EventKind.DELETE, payload, after, patch=patch)
        if self.selected_id in gone:
            self.select(None)

    def correct(self, labels: Any, *, box: LabelBox | None = None) -> None:
        """Take a label image that the user painted on; one undoable step.

        Parameters
        ----------
        labels : (H, W) integer
            An array, or what is indexed like one.
        box : (y0, x0, y1, x1), optional
            Where it was painted on; by default everywhere.
        """
        workspace = self._session.require_workspace()
        self._check_shape(labels)
        y0, x0, y1, x1 = box or (0, 0, *workspace.image.shape)
        painted = np.asarray(labels[y0:y1, x0:x1]).astype(np.uint32)
        before = workspace.labels[y0:y1, x0:x1]
        allowed = self._without_locked(before, painted)
        patch = diff_labels(before, allowed, origin_yx=(y0, x0))
        if patch is not None:
            self._session.correction.take(EventKind.CORRECT, patch, is_drawn=True)
        if allowed is not painted:
            self._session.show_labels((y0, x0, y1, x1))

    def load(self, labels: Labels, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        """Replace all objects by those of a label image and its features' rows.

        Parameters
        ----------
        labels : (H, W) integer
            One id an object.
        rows : iterable of mapping
            ``index`` and, where known, ``class``, ``p``, ``source``, ``model_class``.

        Raises
        ------
        PromptError
            If the label image has another size than the image.
        """
        workspace = self._session.require_workspace()
        self._check_shape(labels)
        labels = self._without_locked(workspace.labels, labels.astype(np.uint32))
        by_id = {int(row["index"]): row for row in rows}
        names = [_text(row.get("class")) for row in by_id.values()]
        table = self._session.classes.table
        for name in dict.fromkeys(n for n in names if n):
            table = table if table.find_name(name) else table.make(name)
        records = []
        for object_id, (mask, origin_yx) in _crops(labels, (0, 0)).items():
            locked = self.find(object_id)
            if locked is not None and locked.is_locked:
                records.append(locked)
                continue
            row = by_id.get(object_id, {})
            entry = table.find_name(_text(row.get("class")) or "")
            records.append(
                ObjectRecord(
                    object_id,
                    entry.id if entry else None,
                    ClassSource(_text(row.get("source")) or ClassSource.USER),
                    _number(row.get("p")),
                    _text(row.get("model_class")),
                    self._describe(mask, object_id, origin_yx=origin_yx),
                    self._session.require_image().region,
                    provenance=Provenance.DRAWN,
                )
            )
        after = replace(
            self._session.snapshot,
            records=tuple(records),
            classes=table,
            label_version=self._session.next_label_version(),
        )
        patch = diff_labels(workspace.labels, labels)
        payload = {"ids": tuple(r.id for r in records)}
        self._session.perform(EventKind.IMPORT, payload, after, patch=patch)

    def select(self, object_id: int | None) -> None:
        """Select one object, or none."""
        workspace = self._session.workspace
        if workspace is None:
            return
        known = object_id is not None and self.find(object_id) is not None
        wanted = object_id if known else None
        if wanted != workspace.selected_id:
            workspace.selected_id = wanted
            self._session.selection_changed.emit(wanted)

    def select_uncertain(self) -> None:
        """Select the next object without a class, then the least probable ones."""
        order = sorted(
            (r for r in self.records if r.source is ClassSource.MODEL),
            key=lambda r: (r.class_id is not None, r.probability or 0.0, r.id),
        )
        if not order:
            self._session.notified.emit("No object is left to check.")
            return
        ids = [record.id for record in order]
        at = ids.index(self.selected_id) + 1 if self.selected_id in ids else 0
        self.select(ids[at % len(ids)])

    def _make_records(
        self, prediction: Prediction, patch: LabelPatch, new_ids: Mapping[int, int]
    ) -> tuple[ObjectRecord, ...]:
        found = {o.id: o for o in prediction.objects}
        crops = _crops(patch.after, patch.box[:2])
        image, records = self._session.require_image(), []
        for old, new in new_ids.items():
            answer = self._answer_for(prediction, found.get(old))
            measured = self._measure(new, crops[new], found.get(old), answer)
            record = self._make_record(measured, answer)
            records.append(record.rescaled(image.spacing_um))
        return tuple(records)

    def _answer_for(
        self, prediction: Prediction, found: SegmentedObject | None
    ) -> Mapping[str, float] | None:
        if found is not None and found.probabilities:
            return found.probabilities
        return None if self._session.snapshot.is_automatic else prediction.classes

    def _measure(
        self,
        object_id: int,
        crop: Crop,
        found: SegmentedObject | None,
        answer: Mapping[str, float] | None,
    ) -> SegmentedObject:
        mask, origin_yx = crop
        if found is not None and found.area_px == mask.sum():  # none of it was locked
            return replace(found, id=object_id)
        return self._describe(mask, object_id, answer, origin_yx=origin_yx)

    def _make_record(
        self, measured: SegmentedObject, answer: Mapping[str, float] | None
    ) -> ObjectRecord:
        name = max(answer, key=lambda n: answer[n]) if answer else None
        probability = float(answer[name]) if answer and name else None
        card = self._session.model.card
        is_certain = (
            probability is not None
            and card is not None
            and probability >= card.uncertain_below
        )
        entry = self._session.classes.table.resolve(name) if is_certain else None
        class_id, source = entry.id if entry else None, ClassSource.MODEL
        if self.chosen_class_id is not None:
            class_id, source = self.chosen_class_id, ClassSource.USER
        session, is_model = self._session, self._session.snapshot.is_automatic
        clicked = (ReviewState.ACCEPTED, Provenance.ACCEPTED_CLICK)
        found = (
            ReviewState.PROPOSED,
            Provenance.MODEL,
        )  # nobody looked at each of them
        return ObjectRecord(
            measured.id,
            class_id,
            source,
            probability,
            name,
            measured,
            session.require_image().region,
            *(found if is_model else clicked),
            session.project.model_version,
        )

    def _without_locked(self, before: Labels, painted: Labels) -> Labels:
        """Return painted labels with the pixels of locked objects as they were.

        The same array where nothing locked was touched.
        """
        locked = [record.id for record in self.records if record.is_locked]
        if not locked:
            return painted
        is_kept = np.isin(before, locked) | np.isin(painted, locked)
        if not (is_kept & (before != painted)).any():
            return painted
        self._session.notified.emit("A locked object was not changed. Unlock it first.")
        return np.where(is_kept, before, painted)

    def _describe(
        self,
        mask: Mask,
        object_id: int,
        answer: Mapping[str, float] | None = None,
        *,
        origin_yx: tuple[int, int],
    ) -> SegmentedObject:
        return describe_object(
            mask,
            self._session.require_image().spacing_um,
            origin_yx=origin_yx,
            object_id=object_id,
            probabilities=answer,
        )

    def _class_name(self, record: ObjectRecord) -> str | None:
        entry = self._session.classes.table.find(record.class_id)
        return entry.name if entry else None

    def _check_shape(self, labels: Any) -> None:
        shape = self._session.require_image().shape
        if labels.shape != shape:
            raise PromptError(
                f"The labels are {' x '.join(map(str, labels.shape))} px; the image is"
                f" {shape[0]} x {shape[1]} px. Choose labels made on this image."
            )


def _crops(labels: Labels, origin_yx: tuple[int, int]) -> dict[int, Crop]:
    """Return each object's own pixels and where they begin, by id."""
    ids, places = None, labels
    if labels.max(initial=0) > MOST_IDS:  # ids with gaps: count them anew
        ids, order = np.unique(np.append(labels, 0), return_inverse=True)
        places = order[:-1].reshape(labels.shape).astype(np.uint32)
    found = {}
    for number, place in enumerate(find_objects(places.astype(np.int32)), start=1):
        if place is not None:
            rows, columns = place
            at = (rows.start + origin_yx[0], columns.start + origin_yx[1])
            found[number if ids is None else int(ids[number])] = (
                places[place] == number,
                at,
            )
    return found


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> float | None:
    if isinstance(value, (int, float)) and np.isfinite(value):
        return float(value)
    return None
