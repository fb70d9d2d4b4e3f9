"""The images to work on, one after the other, and how far each of them is."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_segmoe.data.images import read_image
from napari_segmoe.errors import ImageReadError, NoImageError
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.session.image import SessionImage
from napari_segmoe.session.jobs import REGIONS
from napari_segmoe.session.objects import LabelBox
from napari_segmoe.session.worklist_entries import (
    WorklistEntry,
    find_files,
    make_entry,
    stored_entries,
)
from napari_segmoe.session.worklist_suggestions import Suggestions

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session

_TOPIC = "worklist"


class WorklistStatus(StrEnum):
    """How far the work on an image is."""

    UNTOUCHED = "untouched"
    STARTED = "started"
    DONE = "done"


class WorklistOrder(StrEnum):
    """In which order images are shown."""

    ADDED = "as added"
    UNCERTAIN = "most uncertain first"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class WorklistRow:
    """One image or slide of the worklist.

    Attributes
    ----------
    key : str
        Names it within the worklist.
    image : str
        Its name in the project, as ``image-0007``; empty before it has one.
    title : str
        Name for people: that of its file, on this computer only.
    status : WorklistStatus
    objects : int
        Number of committed objects.
    uncertainty : float or None
        The model's, in 0..1; None before it was asked for.
    is_current : bool
        Whether it is the image worked on.
    is_missing : bool
        Whether its file is not where it was.
    """

    key: str
    image: str
    title: str
    status: WorklistStatus
    objects: int
    uncertainty: float | None
    is_current: bool
    is_missing: bool = False


@dataclass(frozen=True, slots=True)
class _Count:
    """Objects, finished boxes and size of one image."""

    objects: int
    tiles: tuple[LabelBox, ...]
    shape: tuple[int, int]

    @property
    def is_done(self) -> bool:
        return (0, 0, *self.shape) in self.tiles


class Worklist:
    """Images to work on; with a project they are its images.

    Parameters
    ----------
    session : Session
        Whose images these are.

    Attributes
    ----------
    open_requested
        Emitted with the path of the file that is to be shown: the viewer answers.
    """

    open_requested = Signal(Path)

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._added: dict[str, WorklistEntry] = {}
        self.order = WorklistOrder.ADDED
        self.seed = 0
        self.suggestions = Suggestions(session, self.entries)

    @property
    def rows(self) -> tuple[WorklistRow, ...]:
        """All images, in the chosen order."""
        entries = self.entries()
        known = self._session.project.reading.read(
            "state of the images", lambda store: _count(store, entries), None
        )
        rows = [self._row(entry, known or {}) for entry in entries]
        if self.order is WorklistOrder.ADDED:
            return tuple(rows)
        seed = self.seed if self.order is WorklistOrder.RANDOM else None
        keys = [(row.key, row.uncertainty) for row in rows]
        place = self.suggestions.ranks(keys, seed=seed)
        return tuple(sorted(rows, key=lambda row: place[row.key]))

    def entries(self) -> tuple[WorklistEntry, ...]:
        """Return the files: those of the project, then those that did not join yet."""
        reading = self._session.project.reading
        stored = reading.read("list of images", stored_entries, None) or {}
        others = (one for key, one in self._added.items() if key not in stored)
        return (*stored.values(), *others)

    def add(self, paths: Iterable[Path | str]) -> int:
        """Take files, and what lies in folders, into the list.

        With a project they join it as images, one after the other, beside other work.

        Returns
        -------
        int
            How many were new.

        Raises
        ------
        ImageReadError
            If there is nothing among them that can be opened.
        """
        found = [make_entry(file) for file in find_files(map(Path, paths))]
        known = {entry.key for entry in self.entries()}
        new = {entry.key: entry for entry in found if entry.key not in known}
        self._added |= new
        self._session.project.arrivals.note_slides(new.values())
        self.join_project()
        self._session.worklist_changed.emit()
        return len(new)

    def forget(self) -> None:
        """Empty the list, as its project is closed: it keeps its own images."""
        self.suggestions.cancel()
        self._added.clear()

    def join_project(self) -> None:
        """Take the images that are listed into the project that is open."""
        if not self._session.project.is_open:
            return
        waiting = [
            entry
            for entry in self.entries()
            if not entry.images and not entry.is_slide and not entry.is_missing
        ]

        def job() -> Generator[SessionImage | ImageReadError, None, None]:
            for entry in waiting:
                yield _read(entry)

        if waiting:
            self._session.runner.submit(
                job,
                topic=_TOPIC,
                lane=REGIONS,
                on_done=lambda _: None,
                on_error=lambda error: self._note(error),
                on_progress=self._take,
            )

    def open(self, row: WorklistRow) -> None:
        """Ask the viewer to show an image; what was made on it comes back.

        Raises
        ------
        NoImageError
            If its file is not where it was.
        """
        entry = next((one for one in self.entries() if one.key == row.key), None)
        if entry is None or entry.path is None or entry.is_missing:
            raise NoImageError(
                f"The file of {row.title} is not where it was. Open it from where it"
                " lies now: it is known again by its content."
            )
        self.open_requested.emit(entry.path)

    def next(self) -> None:
        """Open the next image of the list."""
        self._step(1)

    def previous(self) -> None:
        """Open the image before."""
        self._step(-1)

    def mark_done(self) -> None:
        """Say that the present image is finished: what is no object is background."""
        self._session.correction.finish_tile()

    def mark_open(self) -> None:
        """Say that the present image is not finished after all."""
        self._session.correction.reopen_tile()

    def sort(self, order: WorklistOrder, *, seed: int = 0) -> None:
        """Choose the order of the images; the random one is the control."""
        self.order, self.seed = order, seed
        if order is WorklistOrder.UNCERTAIN:
            self.suggestions.start()
        self._session.worklist_changed.emit()

    def _step(self, by: int) -> None:
        rows = self.rows
        if not rows:
            self._session.notified.emit("The worklist is empty. Add a folder or files.")
            return
        at = next((i for i, row in enumerate(rows) if row.is_current), None)
        target = (0 if by > 0 else len(rows) - 1) if at is None else at + by
        if 0 <= target < len(rows):
            self.open(rows[target])
        else:
            end = "last" if by > 0 else "first"
            self._session.notified.emit(f"This is the {end} image of the list.")

    def _row(
        self, entry: WorklistEntry, known: Mapping[str, Sequence[_Count]]
    ) -> WorklistRow:
        counts = known.get(entry.key, ())
        if not self._session.project.is_open:
            counts = self._own_counts(entry)
        objects = sum(one.objects for one in counts)
        status = WorklistStatus.UNTOUCHED
        if counts and all(one.is_done for one in counts):
            status = WorklistStatus.DONE
        elif objects or any(one.tiles for one in counts):
            status = WorklistStatus.STARTED
        return WorklistRow(
            entry.key,
            entry.image,
            entry.title,
            status,
            objects,
            self.suggestions.uncertainty(entry),
            self._is_current(entry),
            entry.is_missing,
        )

    def _own_counts(self, entry: WorklistEntry) -> Sequence[_Count]:
        """Return what was made on an image without a project."""
        return [
            _Count(len(one.snapshot.records), one.snapshot.tiles, one.image.shape)
            for one in self._session.workspaces
            if one.image.path == entry.path
        ]

    def _is_current(self, entry: WorklistEntry) -> bool:
        slide = self._session.regions.slide
        if slide is not None:
            return slide.key == entry.key
        image = self._session.image
        if image is None:
            return False
        name = self._session.project.image_name
        is_same_file = image.path is not None and image.path == entry.path
        return name in entry.images if name is not None else is_same_file

    def _take(self, found: SessionImage | ImageReadError) -> None:
        if isinstance(found, ImageReadError):
            self._session.report(found)
        else:
            self._session.project.arrivals.add_image(found)

    def _note(self, error: Exception) -> None:
        self._session.report(error)


def _count(
    store: ProjectStore, entries: Sequence[WorklistEntry]
) -> Mapping[str, Sequence[_Count]]:
    """Return what a project has of each entry's images, by the entry's key."""
    objects: dict[str, int] = {}
    for (name, _, _), count in store.count_objects().items():
        objects[name] = objects.get(name, 0) + count
    found = {}
    for entry in entries:
        found[entry.key] = [
            _Count(
                objects.get(name, 0),
                tuple(tile.box for tile in store.tiles(name)),
                store.image(name).shape,
            )
            for name in entry.images
        ]
    return found


def _read(entry: WorklistEntry) -> SessionImage | ImageReadError:
    """Return an image as the viewer would choose it, or what is wrong with it."""
    assert entry.path is not None, "only files that are there are read"
    try:
        image = read_image(entry.path)
        return SessionImage(
            f"worklist:{entry.key}",
            image.pixels,
            spacing_um=image.spacing_um,
            modality=image.modality,
            path=entry.path,
        )
    except ImageReadError as error:
        return error
