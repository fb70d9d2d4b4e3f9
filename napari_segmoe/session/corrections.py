"""Tools that correct committed objects, and how far their review is."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.errors import PromptError
from napari_segmoe.project.records import ReviewState
from napari_segmoe.session import object_shapes
from napari_segmoe.session.history import EventKind
from napari_segmoe.session.objects import (
    LabelBox,
    LabelPatch,
    Labels,
    ObjectRecord,
    diff_labels,
    join_boxes,
)
from napari_segmoe.session.redrawing import approved, ids_touched, redrawn_records

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session

SMOOTHING_PX = 2.0
_LOCKED = "{} locked and stayed as {}. Unlock {} to change {}."


class Correction:
    """Corrects objects of the present image; each method is one step to undo.

    Locked objects are never changed: where one is named it is left out, and said.

    Parameters
    ----------
    session : Session
        Whose objects these are.
    """

    def __init__(self, session: "Session") -> None:
        self._session = session

    @property
    def tiles(self) -> tuple[LabelBox, ...]:
        """Finished boxes (y0, x0, y1, x1) of the present image."""
        return self._session.snapshot.tiles

    def accept(self, ids: Collection[int]) -> None:
        """Say that objects are right: from now on they are learnt from."""
        self._review(
            EventKind.ACCEPT, ids, ReviewState.ACCEPTED, of=(ReviewState.PROPOSED,)
        )

    def review(self, ids: Collection[int]) -> None:
        """Say that a second look found objects right."""
        of = (ReviewState.PROPOSED, ReviewState.ACCEPTED)
        self._review(EventKind.REVIEW, ids, ReviewState.REVIEWED, of=of)

    def lock(self, ids: Collection[int]) -> None:
        """Let nothing change objects any more."""
        of = (ReviewState.PROPOSED, ReviewState.ACCEPTED, ReviewState.REVIEWED)
        self._review(EventKind.LOCK, ids, ReviewState.LOCKED, of=of)

    def unlock(self, ids: Collection[int]) -> None:
        """Let locked objects be changed again."""
        of = (ReviewState.LOCKED,)
        self._review(EventKind.UNLOCK, ids, ReviewState.REVIEWED, of=of)

    def finish_tile(self, box: Sequence[float] | None = None) -> None:
        """Say that all in a box is annotated: the rest of it is background.

        Objects in it that were only proposed become accepted.

        Parameters
        ----------
        box : (y0, x0, y1, x1), optional
            In pixels, cut to the image; by default all of it.

        Raises
        ------
        PromptError
            If the box lies outside the image.
        """
        tile = self._tile(box)
        snapshot = self._session.snapshot
        if tile in snapshot.tiles:
            return
        y0, x0, y1, x1 = tile
        inside = set(np.unique(self._labels()[y0:y1, x0:x1]))
        records = tuple(
            approved(one, ReviewState.ACCEPTED)
            if one.id in inside and one.state is ReviewState.PROPOSED
            else one
            for one in snapshot.records
        )
        others = tuple(one for one in snapshot.tiles if not _contains(tile, one))
        after = replace(snapshot, records=records, tiles=(*others, tile))
        self._session.perform(EventKind.FINISH_TILE, {"box": tile}, after)

    def reopen_tile(self, box: Sequence[float] | None = None) -> None:
        """Say that finished boxes that meet this one are not finished after all."""
        tile, snapshot = self._tile(box), self._session.snapshot
        kept = tuple(one for one in snapshot.tiles if not _meet(one, tile))
        if kept != snapshot.tiles:
            after = replace(snapshot, tiles=kept)
            self._session.perform(EventKind.REOPEN_TILE, {"box": tile}, after)

    def change_class(self, ids: Collection[int], class_id: int | None) -> None:
        """Give objects a class of the list, or none."""
        self._session.annotation.assign_class(ids, class_id)

    def merge(self, ids: Collection[int]) -> int | None:
        """Make one object of several; it keeps number and class of the largest.

        Returns
        -------
        int or None
            Its number; None where there were fewer than two to merge.
        """
        records = self.open_records(ids)
        if len(records) < 2:
            self._say_if(not self._has_locked(ids), "Choose two objects or more.")
            return None
        largest = max(records, key=lambda one: (one.measured.area_px, -one.id))
        numbers = [one.id for one in records]
        self._redraw(
            EventKind.MERGE,
            records,
            lambda labels: object_shapes.merge(labels, numbers, into=largest.id),
        )
        self._session.annotation.select(largest.id)
        return largest.id

    def split(
        self, object_id: int, line: Sequence[tuple[float, float]] | None = None
    ) -> tuple[int, ...]:
        """Part one object; its largest part keeps the number, all keep the class.

        Parameters
        ----------
        object_id : int
        line : sequence of (y, x), optional
            Where to cut, in pixels; by default where the model's distance map, or
            else the object itself, narrows.

        Returns
        -------
        tuple of int
            Numbers of all parts; empty where it stayed whole, which is said.
        """
        records = self.open_records([object_id])
        if not records:
            return ()
        record = records[0]
        parts = self._parts(record, line)
        sizes = np.bincount(parts.ravel())[1:]
        if sizes.size < 2:
            self._say_if(
                True,
                "This object narrows nowhere: draw a line across it to part it."
                if line is None
                else "The line does not part the object: draw it from edge to edge.",
            )
            return ()
        next_id = self._session.annotation.next_id
        order = np.argsort(-sizes, kind="stable") + 1
        numbers = dict(
            zip(
                map(int, order),
                (record.id, *range(next_id, next_id + len(order))),
                strict=False,
            )
        )
        self._perform_split(record, parts, numbers)
        return tuple(sorted(numbers.values()))

    def fill_holes(self, ids: Collection[int]) -> None:
        """Give objects the background that they enclose."""
        self._reshape(
            EventKind.FILL_HOLES,
            ids,
            lambda labels, own: object_shapes.fill_holes(labels, own),
        )

    def smooth(self, ids: Collection[int], radius_px: float = SMOOTHING_PX) -> None:
        """Round the outlines of objects off."""
        self._reshape(
            EventKind.SMOOTH,
            ids,
            lambda labels, own: object_shapes.smooth(labels, own, radius_px=radius_px),
            margin_px=4 * radius_px,
        )

    def grow(self, ids: Collection[int], px: float = 1.0) -> None:
        """Add a margin to objects, where no other object is."""
        self._reshape(
            EventKind.GROW,
            ids,
            lambda labels, own: object_shapes.grow(labels, own, px=px),
            margin_px=px,
        )

    def shrink(self, ids: Collection[int], px: float = 1.0) -> None:
        """Take a margin off objects; one that would vanish stays."""
        self._reshape(
            EventKind.SHRINK,
            ids,
            lambda labels, own: object_shapes.shrink(labels, own, px=px),
        )

    def open_records(self, ids: Collection[int]) -> tuple[ObjectRecord, ...]:
        """Return the objects of these numbers that are not locked; says which are."""
        found = [one for one in self._session.annotation.records if one.id in ids]
        locked = sum(one.is_locked for one in found)
        if locked:
            self._session.notified.emit(
                _LOCKED.format("1 object is", "it was", "it", "it")
                if locked == 1
                else _LOCKED.format(
                    f"{locked} objects are", "they were", "them", "them"
                )
            )
        return tuple(one for one in found if not one.is_locked)

    def take(
        self,
        kind: EventKind,
        patch: LabelPatch,
        *,
        is_drawn: bool,
        records: tuple[ObjectRecord, ...] | None = None,
    ) -> None:
        """Carry out a change of pixels as one step: for this package.

        Parameters
        ----------
        kind : EventKind
        patch : LabelPatch
            Not applied yet.
        is_drawn : bool
            Whether a brush made it and not a tool.
        records : tuple of ObjectRecord, optional
            All objects after it; by default they are measured anew.
        """
        if records is None:
            records = redrawn_records(self._session, patch, is_drawn=is_drawn)
        after = replace(
            self._session.snapshot,
            records=records,
            label_version=self._session.next_label_version(),
        )
        payload = {"ids": tuple(sorted(ids_touched(patch)))}
        self._session.perform(kind, payload, after, patch=patch)

    def _review(
        self,
        kind: EventKind,
        ids: Collection[int],
        state: ReviewState,
        *,
        of: tuple[ReviewState, ...],
    ) -> None:
        snapshot = self._session.snapshot
        changed = {
            one.id: approved(one, state)
            for one in snapshot.records
            if one.id in ids and one.state in of
        }
        if changed:
            records = tuple(changed.get(one.id, one) for one in snapshot.records)
            payload = {"ids": tuple(changed)}
            self._session.perform(kind, payload, replace(snapshot, records=records))

    def _reshape(
        self,
        kind: EventKind,
        ids: Collection[int],
        tool: Callable[[Labels, list[int]], Labels],
        *,
        margin_px: float = 0.0,
    ) -> None:
        records = self.open_records(ids)
        if records:
            own = [one.id for one in records]
            self._redraw(kind, records, lambda crop: tool(crop, own), margin_px)

    def _redraw(
        self,
        kind: EventKind,
        records: Sequence[ObjectRecord],
        tool: Callable[[Labels], Labels],
        margin_px: float = 0.0,
    ) -> None:
        y0, x0, y1, x1 = self._box_of(records, margin_px)
        before = self._labels()[y0:y1, x0:x1]
        patch = diff_labels(before, tool(before), origin_yx=(y0, x0))
        if patch is None:
            self._say_if(True, "Nothing changed: the object is like that already.")
        else:
            self.take(kind, patch, is_drawn=False)

    def _parts(
        self, record: ObjectRecord, line: Sequence[tuple[float, float]] | None
    ) -> NDArray[np.int32]:
        y0, x0, y1, x1 = record.measured.box
        mask = self._labels()[y0:y1, x0:x1] == record.id
        if line is not None:
            points = [(y - y0, x - x0) for y, x in line]
            return object_shapes.split_by_line(mask, points)
        distance = self._distance()
        crop = None if distance is None else distance[y0:y1, x0:x1]
        return object_shapes.split_by_distance(mask, crop)

    def _perform_split(
        self, record: ObjectRecord, parts: NDArray[np.int32], numbers: dict[int, int]
    ) -> None:
        y0, x0, y1, x1 = record.measured.box
        before = self._labels()[y0:y1, x0:x1]
        lookup = np.zeros(int(parts.max()) + 1, np.uint32)
        lookup[list(numbers)] = list(numbers.values())
        after = np.where(parts > 0, lookup[parts], before)
        patch = diff_labels(before, after, origin_yx=(y0, x0))
        assert patch is not None, "there are two parts at least"
        new = set(numbers.values())
        whole = approved(record, ReviewState.ACCEPTED)
        records = tuple(
            replace(whole, id=one.id, measured=one.measured) if one.id in new else one
            for one in redrawn_records(self._session, patch, is_drawn=False)
        )
        self.take(EventKind.SPLIT, patch, is_drawn=False, records=records)

    def _distance(self) -> NDArray[Any] | None:
        """Return the model's distance map of the present image, where there is one."""
        workspace = self._session.require_workspace()
        prediction = workspace.prediction
        if prediction is None:
            return None
        if prediction.distance is not None:
            return np.asarray(prediction.distance)
        maps = (one for one in prediction.explanations if one.key == "distance")
        found = next(maps, None)
        is_whole = found is not None and found.values.shape == workspace.image.shape
        return found.values if found is not None and is_whole else None

    def _tile(self, box: Sequence[float] | None) -> LabelBox:
        height, width = self._session.require_image().shape
        if box is None:
            return 0, 0, height, width
        y0, x0, y1, x1 = (round(edge) for edge in box)
        cut = (max(y0, 0), max(x0, 0), min(y1, height), min(x1, width))
        if cut[0] >= cut[2] or cut[1] >= cut[3]:
            raise PromptError(
                "That tile lies outside the image. Drag a rectangle on the image."
            )
        return cut

    def _box_of(self, records: Sequence[ObjectRecord], margin_px: float) -> LabelBox:
        box: LabelBox | None = None
        for record in records:
            box = join_boxes(record.measured.box, box)
        assert box is not None, "there is an object"
        height, width = self._session.require_image().shape
        margin = int(np.ceil(margin_px)) + 1
        return (
            max(box[0] - margin, 0),
            max(box[1] - margin, 0),
            min(box[2] + margin, height),
            min(box[3] + margin, width),
        )

    def _labels(self) -> Labels:
        return self._session.require_workspace().labels

    def _has_locked(self, ids: Collection[int]) -> bool:
        return any(
            one.is_locked and one.id in ids for one in self._session.annotation.records
        )

    def _say_if(self, is_so: bool, text: str) -> None:
        if is_so:
            self._session.notified.emit(text)


def _contains(box: LabelBox, other: LabelBox) -> bool:
    return (
        box[0] <= other[0]
        and box[1] <= other[1]
        and box[2] >= other[2]
        and box[3] >= other[3]
    )


def _meet(box: LabelBox, other: LabelBox) -> bool:
    return max(box[0], other[0]) < min(box[2], other[2]) and max(
        box[1], other[1]
    ) < min(box[3], other[3])
