"""Stores the session's steps in a project; what cannot be stored waits its turn."""

from pathlib import Path

from napari_segmoe.errors import ProjectConflictError, ProjectError
from napari_segmoe.project.local_files import note_paths, read_paths
from napari_segmoe.project.records import EventKind, ImageRecord
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.session.image import SessionImage
from napari_segmoe.session.project_images import (
    COPIES,
    ImageIdentity,
    add_record,
    find_record,
    identify,
)
from napari_segmoe.session.project_merging import rebase_steps
from napari_segmoe.session.unsaved_step import UnsavedStep
from napari_segmoe.session.workspace import Workspace

_PATIENCE_S = 2.0
_SHORT_PATIENCE_S = (
    0.2  # while something waits already: the window must not stand still
)


class StepRecorder:
    """Appends steps to a project, in their order, and keeps those that it refuses.

    Parameters
    ----------
    store : ProjectStore
        The project.
    """

    def __init__(self, store: ProjectStore) -> None:
        self._store = store
        self._waiting: list[UnsavedStep] = []
        self._names: dict[str, str] = {}  # of images in the project, by session key
        self._seen: dict[str, int] = {}  # newest event known, by session key
        self._first: dict[str, int] = {}  # newest event when it was opened, by key
        self._own: set[int] = set()  # events that were stored here
        self._identities: dict[str, ImageIdentity] = {}  # by session key
        self.annotator: str | None = None
        self.settle_patience()

    @property
    def waiting(self) -> tuple[UnsavedStep, ...]:
        """Steps that are not stored yet, oldest first."""
        return tuple(self._waiting)

    def record(self, step: UnsavedStep) -> ProjectError | None:
        """Store a step after those that wait; what went wrong comes back.

        The undo of a step that waits takes it away: neither was ever stored.
        """
        own = [one for one in self._waiting if one.workspace is step.workspace]
        is_taken_back = bool(own) and own[-1].kind is not EventKind.UNDO
        if step.kind is EventKind.UNDO and is_taken_back:
            self._waiting.remove(own[-1])
        else:
            self._waiting.append(step)
        return self.flush()

    def flush(self) -> ProjectError | None:
        """Store what waits; what went wrong comes back, and its steps stay.

        A conflict holds back the steps of its own image only.
        """
        first: ProjectError | None = None
        blocked: set[int] = set()
        for step in tuple(self._waiting):
            if id(step.workspace) in blocked:
                continue
            try:
                self._store_step(step)
            except ProjectConflictError as error:
                blocked.add(id(step.workspace))
                first = first or error
            except ProjectError as error:
                first = first or error
                break
            else:
                self._waiting.remove(step)
        self.settle_patience()
        return first

    def settle_patience(self) -> None:
        """Wait for other programs as long as suits what waits here."""
        self._store.set_patience(_SHORT_PATIENCE_S if self._waiting else _PATIENCE_S)

    def on_copy(self, store: ProjectStore) -> "StepRecorder":
        """Return a recorder with the same steps for a copy of the project."""
        other = StepRecorder(store)
        other._waiting = list(self._waiting)
        other._names, other._seen = dict(self._names), dict(self._seen)
        other._first, other._own = dict(self._first), set(self._own)
        other.annotator = self.annotator
        return other

    def drop_all(self) -> None:
        """Forget all steps that wait."""
        self._waiting.clear()

    def drop(self, workspace: Workspace) -> None:
        """Forget the steps of an image that wait."""
        self._waiting = [s for s in self._waiting if s.workspace is not workspace]

    def find_name(self, image: SessionImage) -> str | None:
        """Return an image's name in the project, None where it has none yet."""
        if image.key not in self._names:
            identity = self._identity(image)
            record = find_record(self._store, identity)
            if record is None:
                return None
            self._names[image.key] = record.name
            self._note_place(record, identity.path)
        return self._names[image.key]

    def require_name(self, image: SessionImage) -> str:
        """Return an image's name in the project; it is taken in where it is new.

        Raises
        ------
        ProjectError
            If the project cannot be written.
        """
        name = self.find_name(image)
        if name is None:
            identity = self._identity(image)
            record = add_record(self._store, image, identity, annotator=self.annotator)
            name = self._names[image.key] = record.name
            self.note_seen(image)
        return name

    def newest(self, image: SessionImage) -> int:
        """Return the number of the project's newest event of an image; 0: none."""
        name = self.find_name(image)
        return self._store.last_number(name) if name is not None else 0

    def note_seen(self, image: SessionImage, number: int | None = None) -> None:
        """Take note that all events of an image are known, up to a number."""
        number = self.newest(image) if number is None else number
        self._seen[image.key] = number
        self._first.setdefault(image.key, number)

    def seen(self, image: SessionImage) -> int:
        """Return the number of the newest event of an image that is known here."""
        return self._seen.get(image.key, 0)

    def is_ours(self, image: SessionImage, number: int) -> bool:
        """Whether an event was there when the image was opened, or is of this window.

        Others are of somebody who is at work on the same image just now.
        """
        return number <= self._first.get(image.key, 0) or number in self._own

    def note_own(self, number: int) -> None:
        """Take note that this window has stored an event past this recorder."""
        self._own.add(number)

    def has_news(self, image: SessionImage) -> bool:
        """Whether somebody else has changed an image, or it was not read yet."""
        return self.newest(image) > self.seen(image)

    def waiting_of(self, workspace: Workspace) -> tuple[UnsavedStep, ...]:
        """Return the steps of an image that wait."""
        return tuple(one for one in self._waiting if one.workspace is workspace)

    def join(self, workspace: Workspace) -> ProjectError | None:
        """Store the waiting steps of an image after what somebody else did to it.

        Returns
        -------
        ProjectError or None
            What still keeps steps waiting.
        """
        name, steps = self._names.get(workspace.image.key), self.waiting_of(workspace)
        if name is None or not steps:
            return self.flush()
        seen = self._seen.get(workspace.image.key, 0)
        try:
            moved = rebase_steps(self._store, name, steps, seen=seen)
        except ProjectError as error:
            return error
        if moved is None:
            return ProjectConflictError(
                f"Another window has changed the same objects of {name}. Show what is"
                " stored to go on from there, or undo here and try again."
            )
        self.drop(workspace)
        self._waiting.extend(moved)
        self.note_seen(workspace.image)
        return self.flush()

    def _store_step(self, step: UnsavedStep) -> None:
        name = seen = None
        if step.workspace is not None:
            name = self.require_name(step.workspace.image)
            seen = self._seen.get(step.workspace.image.key, 0)
        event = self._store.append(
            step.kind,
            step.change,
            image=name,
            patch=step.patch,
            annotator=self.annotator,
            seen=seen,
        )
        if step.workspace is not None:
            self._seen[step.workspace.image.key] = event.number
            self._own.add(event.number)

    def _identity(self, image: SessionImage) -> ImageIdentity:
        if image.key not in self._identities:
            self._identities[image.key] = identify(
                image, copies=self._store.path / COPIES
            )
        return self._identities[image.key]

    def _note_place(self, record: ImageRecord, path: Path | None) -> None:
        known = read_paths(self._store.path).get(record.fingerprint)
        if path is not None and known != path.resolve():
            note_paths(self._store.path, {record.fingerprint: path})
