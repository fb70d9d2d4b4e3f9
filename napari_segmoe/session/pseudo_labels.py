"""Pseudo-labels that a person may accept or reject, before and after a round."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_segmoe.errors import NoImageError, ProjectError
from napari_segmoe.project.judged_places import covers
from napari_segmoe.project.label_runs import Labels
from napari_segmoe.project.proposals import (
    FILE,
    ProposedPlace,
    read_proposals,
    write_proposals,
)
from napari_segmoe.project.records import (
    ImageRecord,
    JudgedPlace,
    PixelBox,
    PlaceVerdict,
)
from napari_segmoe.session.history import EventKind
from napari_segmoe.session.proposed_objects import receive
from napari_segmoe.session.pseudo_accepting import accept_stored, reception_of
from napari_segmoe.session.pseudo_opening import open_place
from napari_segmoe.session.pseudo_rows import (
    Judged,
    PseudoRow,
    key_of,
    make_rows,
    verdict_on,
)
from napari_segmoe.session.pseudo_suggestions import PseudoSuggestions

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session

_CACHE = "cache"
_WHAT = "pseudo-labels"


class PseudoLabels:
    """A model's answers that nobody has accepted yet, and what becomes of them.

    They come from the newest round that learnt from any, and from `suggest`. What was
    accepted or rejected is an event of the project.

    Parameters
    ----------
    session : Session
        Whose project and image these are about.
    """

    changed = Signal()  # the list, what is shown, or how far the model is

    def __init__(self, session: "Session") -> None:
        self._session = session
        self.suggestions = PseudoSuggestions(session, self._take, self._on_asked)
        self.is_shown = True
        self._selected = ""
        self._suggested: tuple[ProposedPlace, ...] = ()
        self._taught: tuple[ProposedPlace, ...] = ()
        self._records: Mapping[str, ImageRecord] = {}
        self._stored: Judged = {}  # of the images that are not worked on
        self._shown_places: tuple[JudgedPlace, ...] = ()
        self._read_from: tuple[Path | None, float] = (None, 0.0)
        self._project: Path | None = None
        self._drawn: tuple[str, Labels] | None = None
        session.project_changed.connect(self._on_project_changed)
        session.image_changed.connect(self._on_image_changed)
        session.history_changed.connect(self._on_history_changed)
        session.training_runs.runs_changed.connect(self._on_runs_changed)

    @property
    def rows(self) -> tuple[PseudoRow, ...]:
        """All places; what was rejected stays in the list."""
        if self._project is None:
            return ()
        return make_rows(
            self._places,
            self._judged(),
            self._session.worklist.entries(),
            {name: one.shape for name, one in self._records.items()},
            current=self._current,
        )

    @property
    def selected(self) -> PseudoRow | None:
        """The chosen place, or None."""
        return next((one for one in self.rows if one.key == self._selected), None)

    @property
    def overlay(self) -> tuple[PixelBox, Labels] | None:
        """Box and label pixels, (h, w), of the chosen place, while it is proposed.

        None where nothing is to be shown on the present image.
        """
        place = self._find(self._selected)
        if place is None or not self.is_shown or place.image != self._current:
            return None
        judged = self._judged().get(place.image, ())
        if verdict_on(judged, place.box, place.source) is not PlaceVerdict.PROPOSED:
            return None
        if self._drawn is None or self._drawn[0] != self._selected:
            self._drawn = self._selected, place.labels
        return place.box, self._drawn[1]

    def suggest(self) -> None:
        """Ask the present model about images without labels, as a round would.

        Raises
        ------
        ProjectError
            If no project is open.
        """
        project = self._session.project.path
        if project is None:
            raise ProjectError("No project is open. Open or make one first.")
        judged = self._judged()
        self._suggested = tuple(
            one
            for one in self._suggested
            if verdict_on(judged.get(one.image, ()), one.box, one.source)
            is not PlaceVerdict.PROPOSED
        )
        self.suggestions.start(project)

    def select(self, row: PseudoRow | None) -> None:
        """Choose a place, and show its image.

        Raises
        ------
        NoImageError
            If its image cannot be shown.
        """
        self._selected = row.key if row is not None else ""
        try:
            if row is not None:
                self.is_shown = True
                open_place(self._session, row, self._records[row.image])
        finally:
            self.changed.emit()

    def show(self, *, is_shown: bool) -> None:
        """Draw the chosen place over its image, or not."""
        self.is_shown = is_shown
        self.changed.emit()

    def accept(self, row: PseudoRow) -> None:
        """Make a place's objects accepted objects of its image; one step to undo.

        Raises
        ------
        NoImageError
            If its image cannot be shown.
        ProjectError
            If its pixels are damaged.
        """
        place = self._require(row)
        open_place(self._session, row, self._records[row.image])
        session = self._session
        labels = session.require_workspace().labels
        patch, records = receive(labels, place, reception_of(session, place))
        after = replace(
            session.snapshot,
            records=(*session.snapshot.records, *records),
            places=self._with(row, PlaceVerdict.ACCEPTED),
        )
        if patch is not None:
            after = replace(after, label_version=session.next_label_version())
        else:
            session.notified.emit("Nothing was added: objects lie there already.")
        payload = {"ids": tuple(one.id for one in records), "box": row.box}
        session.perform(EventKind.ACCEPT_PLACE, payload, after, patch=patch)

    def reject(self, row: PseudoRow) -> None:
        """Say that a place's answers are wrong: no round learns from them again.

        Raises
        ------
        NoImageError
            If its image cannot be shown.
        """
        self._judge(row, EventKind.REJECT_PLACE, PlaceVerdict.REJECTED)

    def propose_again(self, row: PseudoRow) -> None:
        """Take back what was said of a place; objects that came of it stay.

        Raises
        ------
        NoImageError
            If its image cannot be shown.
        """
        self._judge(row, EventKind.REOPEN_PLACE, PlaceVerdict.PROPOSED)

    def accept_above(self, confidence: float) -> int:
        """Accept all places that are proposed with at least this mean confidence.

        Each image's are one step to undo, once it is open.

        Returns
        -------
        int
            How many places were accepted.

        Raises
        ------
        ProjectError
            If steps are unsaved, or the project cannot be written.
        """
        chosen = [
            one
            for one in self.rows
            if one.has_pixels
            and one.verdict is PlaceVerdict.PROPOSED
            and round(one.confidence or 0.0, 2) >= confidence  # as it is shown
        ]
        if self._session.project.unsaved:
            raise ProjectError(
                "Some of your steps are not stored in the project yet. Store them"
                " first, at the top of the dock."
            )
        try:
            for row in chosen:
                if row.image == self._current:
                    self.accept(row)
                else:
                    accept_stored(self._session, self._require(row), _judgement(row))
        finally:
            self._read_stored()
            self._session.worklist_changed.emit()
            self.changed.emit()
        return len(chosen)

    @property
    def _current(self) -> str | None:
        return self._session.project.image_name

    @property
    def _places(self) -> tuple[ProposedPlace, ...]:
        """All places that lie in the project's images as they are."""
        return tuple(
            one
            for one in (*self._suggested, *self._taught)
            if _fits(one, self._records.get(one.image))
        )

    def _judged(self) -> Judged:
        current = self._current
        if current is None:
            return self._stored
        return {**self._stored, current: self._session.snapshot.places}

    def _judge(self, row: PseudoRow, kind: EventKind, verdict: PlaceVerdict) -> None:
        open_place(self._session, row, self._records[row.image])
        after = replace(self._session.snapshot, places=self._with(row, verdict))
        self._session.perform(kind, {"box": row.box}, after)

    def _with(self, row: PseudoRow, verdict: PlaceVerdict) -> tuple[JudgedPlace, ...]:
        """Return what is said of the present image with a word on a place."""
        kept = [
            one
            for one in self._session.snapshot.places
            if (one.box, one.source) != (row.box, row.source)
        ]
        if verdict is PlaceVerdict.PROPOSED:
            rejected = PlaceVerdict.REJECTED
            return tuple(
                one
                for one in kept
                if one.verdict is not rejected or not covers(one.box, row.box)
            )
        return (*kept, _judgement(row, verdict))

    def _find(self, key: str) -> ProposedPlace | None:
        return next((one for one in self._places if _key(one) == key), None)

    def _require(self, row: PseudoRow) -> ProposedPlace:
        place = self._find(row.key)
        if place is None:
            raise NoImageError(
                "The pixels of this place are not known any more. Ask for suggestions"
                " anew."
            )
        return place

    def _take(self, place: ProposedPlace) -> None:
        others = (one for one in self._suggested if _key(one) != _key(place))
        self._suggested = (*others, place)
        if self._project is None:
            return
        if place.image not in self._records:  # it has joined the project meanwhile
            self._read_stored()
        try:
            write_proposals(self._project / _CACHE / FILE, self._suggested)
        except OSError:
            return  # they are shown all the same, and can be asked for again

    def _on_asked(self) -> None:
        self.changed.emit()

    def _on_project_changed(self) -> None:
        project = self._session.project.path
        if project != self._project:
            self.suggestions.cancel()
            self._project, self._selected = project, ""
            self._suggested = self._taught = ()
            self._read_from = (None, 0.0)
            if project is not None:
                self._suggested = self._read(project / _CACHE / FILE)
        self._read_stored()
        self._on_runs_changed()
        self.changed.emit()

    def _on_image_changed(self, _: object = None) -> None:
        if self._project is not None:
            self._read_stored()
            self._on_history_changed()
            self.changed.emit()

    def _on_history_changed(self) -> None:
        places = self._session.snapshot.places
        if places != self._shown_places:
            self._shown_places = places
            self.changed.emit()

    def _on_runs_changed(self) -> None:
        """Read what the newest round was taught, if that is new."""
        if self._project is None:
            return
        for path in sorted(self._project.glob(f"runs/round-*/{FILE}"), reverse=True):
            try:
                mark = path, path.stat().st_mtime
            except OSError:
                continue
            if mark == self._read_from:
                return
            found = self._read(path)
            if found:
                self._read_from, self._taught = mark, found
                self._read_stored()
                self.changed.emit()
                return

    def _read(self, path: Path) -> tuple[ProposedPlace, ...]:
        try:
            return read_proposals(path)
        except ProjectError as error:
            self._session.report(error)
            return ()

    def _read_stored(self) -> None:
        reading = self._session.project.reading
        self._stored = reading.read(_WHAT, lambda store: store.places(), {})
        self._records = reading.read(
            _WHAT, lambda store: {one.name: one for one in store.images()}, {}
        )


def _judgement(
    row: PseudoRow, verdict: PlaceVerdict = PlaceVerdict.ACCEPTED
) -> JudgedPlace:
    figures = {
        "objects": float(row.objects),
        "confidence": row.confidence,
        "agreement": row.agreement,
        "weight": row.weight,
    }
    known = {name: value for name, value in figures.items() if value is not None}
    return JudgedPlace(box=row.box, verdict=verdict, source=row.source, figures=known)


def _key(place: ProposedPlace) -> str:
    return key_of(place.image, place.box, place.source)


def _fits(place: ProposedPlace, record: ImageRecord | None) -> bool:
    """Whether a place is of an image that the project has, as it has it."""
    if record is None or record.fingerprint != place.fingerprint:
        return False
    y0, x0, y1, x1 = place.box
    return y0 < y1 and x0 < x1 and covers((0, 0, *record.shape), place.box)
