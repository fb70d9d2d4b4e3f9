"""Stores the session's steps in a project; what cannot be stored waits its turn."""

from dataclasses import dataclass
from pathlib import Path

from napari_segmoe.errors import ProjectConflictError, ProjectError
from napari_segmoe.project.local_files import note_paths, read_paths
from napari_segmoe.project.records import (
    Change,
    EventKind,
    ImageRecord,
    PixelPatch,
)
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.session.image import SessionImage
from napari_segmoe.session.project_images import (
    ImageIdentity,
    add_record,
    find_record,
    identify,
)
from napari_segmoe.session.workspace import Workspace

_PATIENCE_S = 2.0
_SHORT_PATIENCE_S = (
    0.2  # while something waits already: the window must not stand still
)


@dataclass(frozen=True, slots=True, eq=False)
class UnsavedStep:
    """A step on its way into the project; without a workspace it is about classes."""

    kind: EventKind
    change: Change
    patch: PixelPatch | None = None
    workspace: Workspace | None = None


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
        self._seen: dict[str, int] = {}  # newest event known, by name
        self._identities: dict[str, ImageIdentity] = {}  # by session key
        self.annotator: str | None = None
        store.set_patience(_PATIENCE_S)

    @property
    def waiting(self) -> tuple[UnsavedStep, ...]:
        """Steps that are not stored yet, oldest first."""
        return tuple(self._waiting)

    def record(self, step: UnsavedStep) -> ProjectError | None:
        """Store a step after those that wait; what went wrong comes back."""
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
            self._waiting.remove(step)
        self._store.set_patience(_SHORT_PATIENCE_S if self._waiting else _PATIENCE_S)
        return first

    def drop(self, workspace: Workspace) -> None:
        """Forget the steps of an image that wait."""
        self._waiting = [s for s in self._waiting if s.workspace is not workspace]

    def replace(self, workspace: Workspace, steps: tuple[UnsavedStep, ...]) -> None:
        """Put other steps in the place of those of an image that wait."""
        self.drop(workspace)
        self._waiting.extend(steps)

    def find_name(self, image: SessionImage) -> str | None:
        """Return an image's name in the project, None where it has none yet."""
        if image.key not in self._names:
            record = find_record(self._store, self._identity(image))
            if record is None:
                return None
            self._names[image.key] = record.name
            self._note_place(record, self._identity(image).path)
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
            self.note_seen(name)
        return name

    def note_seen(self, name: str) -> None:
        """Take note that all events of an image are known."""
        self._seen[name] = self._store.last_number(name)

    def has_news(self, name: str) -> bool:
        """Whether somebody else has changed an image, or it was not read yet."""
        return self._store.last_number(name) > self._seen.get(name, 0)

    def seen(self, name: str) -> int:
        """Return the number of the newest event of an image that is known."""
        return self._seen.get(name, 0)

    def is_waiting(self, workspace: Workspace) -> bool:
        """Whether a step of an image waits."""
        return any(step.workspace is workspace for step in self._waiting)

    def _store_step(self, step: UnsavedStep) -> None:
        name = seen = None
        if step.workspace is not None:
            name = self.require_name(step.workspace.image)
            seen = self._seen.get(name, 0)
        event = self._store.append(
            step.kind,
            step.change,
            image=name,
            patch=step.patch,
            annotator=self.annotator,
            seen=seen,
        )
        if name is not None:
            self._seen[name] = event.number

    def _identity(self, image: SessionImage) -> ImageIdentity:
        if image.key not in self._identities:
            self._identities[image.key] = identify(image)
        return self._identities[image.key]

    def _note_place(self, record: ImageRecord, path: Path | None) -> None:
        known = read_paths(self._store.path).get(record.fingerprint)
        if path is not None and known != path.resolve():
            note_paths(self._store.path, {record.fingerprint: path})
