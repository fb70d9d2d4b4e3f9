"""The project that a session works in: each lasting step is stored before it shows."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_segmoe.errors import ProjectConflictError, ProjectError
from napari_segmoe.project.database import clear_errors
from napari_segmoe.project.local_files import note_annotator, read_annotator
from napari_segmoe.project.open_marks import leave_mark, read_marks, remove_mark
from napari_segmoe.project.records import Change, EventKind
from napari_segmoe.project.store import DATABASE, ProjectStore
from napari_segmoe.session.classes import ClassTable
from napari_segmoe.session.history import Snapshot, Step
from napari_segmoe.session.project_arrivals import ProjectArrivals
from napari_segmoe.session.project_classes import agree_on_classes
from napari_segmoe.session.project_images import find_copies
from napari_segmoe.session.project_notes import notes_on_opening
from napari_segmoe.session.project_reading import ProjectReading
from napari_segmoe.session.project_recorder import StepRecorder
from napari_segmoe.session.project_rescue import (
    SHOWN_ONLY,
    copy_elsewhere,
    rescue,
)
from napari_segmoe.session.project_states import (
    class_details,
    class_records,
    is_lasting,
)
from napari_segmoe.session.stored_undo import StoredUndo
from napari_segmoe.session.unsaved_step import UnsavedStep, make_unsaved, version_of
from napari_segmoe.session.workspace import Workspace

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session


class ProjectLink:
    """Which project is open, and what of the session is stored in it.

    Without a project all stays in memory. With one, every step that lasts is on the
    disk before it is shown; a step that cannot be stored stays in memory, is said to
    be unsaved, and is tried again with the next one or by `retry`.

    Parameters
    ----------
    session : Session
        Whose work is stored.
    """

    def __init__(self, session: "Session") -> None:
        self._session = session
        self.reading = ProjectReading(self)
        self.arrivals = ProjectArrivals(session, self)
        self.undoing = StoredUndo(session, self)
        self._recorder: StepRecorder | None = None
        self._mark: Path | None = None
        self.store: ProjectStore | None = None
        self.notes: tuple[str, ...] = ()
        self.failure = ""  # why steps are unsaved; empty where none is

    @property
    def is_open(self) -> bool:
        """Whether a project is open."""
        return self.store is not None

    @property
    def path(self) -> Path | None:
        """Folder of the open project, or None."""
        return self.store.path if self.store else None

    @property
    def unsaved(self) -> int:
        """Number of steps that are in memory only, because storing them failed."""
        return len(self._recorder.waiting) if self._recorder else 0

    @property
    def image_name(self) -> str | None:
        """Name of the present image in the project, as ``image-0007``, or None."""
        image, recorder = self._session.image, self._recorder
        if recorder is None or image is None:
            return None
        return self.reading.read(
            "name of this image", lambda _: recorder.find_name(image), None
        )

    @property
    def model_version(self) -> int | None:
        """Number of the project's weights that answer; None: weights of elsewhere."""
        return version_of(self.path, self._session.model.choice.weights)

    @property
    def annotator(self) -> str | None:
        """Pseudonym under which steps are stored, or None."""
        return self._recorder.annotator if self._recorder else None

    @annotator.setter
    def annotator(self, pseudonym: str | None) -> None:
        """Work under a pseudonym; a new one joins the project's annotators.

        Raises
        ------
        ProjectError
            If no project is open, or it cannot be written.
        """
        store, recorder = self.require()
        name = (pseudonym or "").strip() or None
        if name is not None and name not in store.annotators():
            store.append(EventKind.ANNOTATOR, Change(annotator=name))
        recorder.annotator = name
        note_annotator(store.path, name)
        self._session.project_changed.emit()

    def create(self, path: Path) -> None:
        """Make a project and work in it; what was made so far goes into it.

        Raises
        ------
        ProjectError
            If it cannot be made, or steps of the open one are unsaved.
        """
        self._check_saved()
        self._take(ProjectStore.create(Path(path)))

    def open(self, path: Path) -> None:
        """Work in a project; what was made without one goes into it.

        Raises
        ------
        ProjectError
            If it cannot be opened, or steps of the open one are unsaved.
        """
        self._check_saved()
        self._take(ProjectStore.open(Path(path)))

    def close(self, *, discard: bool = False) -> None:
        """Work without a project; its objects leave the window, and stay in it.

        Parameters
        ----------
        discard : bool
            Whether unsaved steps may be lost.

        Raises
        ------
        ProjectError
            If steps are unsaved still.
        """
        if self.store is None:
            return
        if discard:
            self.discard()
        self._check_saved()
        self._let_go()
        self._session.forget_work(ClassTable())
        self._session.project_changed.emit()
        self._session.worklist_changed.emit()

    def end(self) -> None:
        """Close the project at the end of the session: nothing is shown any more.

        Steps that are unsaved still, and that nobody gave up, go into a copy of the
        project in the user's own folder, which leads the list of recent ones.
        """
        if self._recorder is not None and self.unsaved:
            self._recorder.flush()
        if self.unsaved:
            rescue(self._session, *self.require())
        self._let_go()

    def discard(self) -> None:
        """Give up the unsaved steps: what the project has is shown again."""
        _, recorder = self.require()
        workspaces = {one.workspace for one in recorder.waiting if one.workspace}
        recorder.drop_all()
        self.failure = ""
        for one in workspaces:
            self.arrivals.show_stored(one)
        self._session.show_workspace()
        self._session.project_changed.emit()

    def save_copy(self, target: Path) -> None:
        """Go on in a copy of the project elsewhere, which takes the unsaved steps too.

        Raises
        ------
        ProjectError
            If no project is open, there is something at the target, or it cannot be
            written.
        """
        store, recorder = self.require()
        made = copy_elsewhere(self._session, store, recorder, Path(target))
        self._let_go()
        self.store, self._recorder, is_whole = made
        self._mark = leave_mark(self.store.path, events=self.store.last_number())
        find_copies(self.store)
        error = self._recorder.flush()
        self._session.notified.emit(
            f"{self.store.path.name} is open now. " + ("" if is_whole else SHOWN_ONLY)
        )
        self.after(error)
        self._session.project_changed.emit()
        self._session.worklist_changed.emit()

    def retry(self) -> bool:
        """Try again to store what is unsaved; return whether all is stored."""
        if self._recorder is None:
            return True
        error = self._recorder.flush()
        workspace = self._session.workspace
        if isinstance(error, ProjectConflictError) and workspace is not None:
            reached = self._join(workspace, workspace.snapshot)
            if reached is not None:
                workspace.snapshot = reached
                self._session.show_workspace()
        else:
            self.after(error, is_asked=True)
        return not self.unsaved

    def take_stored(self) -> None:
        """Drop unsaved steps of the present image: show what the project has."""
        _, recorder = self.require()
        workspace = self._session.require_workspace()
        self.arrivals.bring(workspace)
        recorder.drop(workspace)
        self._session.show_workspace()
        self.after(recorder.flush(), is_asked=True)

    def record(
        self, step: Step, *, is_undo: bool = False, is_redo: bool = False
    ) -> Snapshot | None:
        """Store a step, its undo or its redo, where it lasts: for `Session`.

        Returns
        -------
        Snapshot or None
            What is reached where changes of another window came in with it; None: what
            the step says.
        """
        workspace, recorder = self._session.workspace, self._recorder
        is_kept = is_lasting(step.before, step.after, step.patch)
        if recorder is None or workspace is None or not is_kept:
            return None
        kind = EventKind.UNDO if is_undo else EventKind.REDO if is_redo else None
        planned = step.before if is_undo else step.after
        step, after = self._with_their_classes(step, is_undo=is_undo)
        card = self._session.model.card
        unsaved = make_unsaved(step, workspace, kind, weights=card.name if card else "")
        error = recorder.record(unsaved)
        if isinstance(error, ProjectConflictError):
            return self._join(workspace, after)
        self.after(error)
        return None if after is planned else after

    def record_classes(self, before: ClassTable, after: ClassTable) -> None:
        """Store a list of classes that changed without a step: for `Session`."""
        if self._recorder is not None and before != after:
            change = Change(classes=class_records(after), details=class_details(after))
            self.after(self._recorder.record(UnsavedStep(EventKind.CLASSES, change)))

    def _with_their_classes(
        self, step: Step, *, is_undo: bool
    ) -> tuple[Step, Snapshot]:
        """Return a step and what it reaches, with classes that another window made."""
        before, after = step.before, step.after
        if is_undo:
            before, after = after, before
        if before.classes == after.classes or self.unsaved:
            return step, after
        agreed = self.reading.read(
            "classes",
            lambda store: agree_on_classes(self._session, store, before, after),
            after,
        )
        if is_undo:
            return replace(step, before=agreed), agreed
        return replace(step, after=agreed), agreed

    def _take(self, store: ProjectStore) -> None:
        """Work in a project that was opened just now."""
        if self.store is not None:
            self._let_go()
            self._session.forget_work(ClassTable())
        try:
            with clear_errors(store.path / DATABASE):
                self._begin(store)
        except ProjectError:  # damaged: nothing of it is shown
            self._let_go()
            raise

    def _begin(self, store: ProjectStore) -> None:
        find_copies(store)
        marks = read_marks(store.path)
        recorder = StepRecorder(store)
        recorder.annotator = read_annotator(store.path)
        self.store, self._recorder, self.failure = store, recorder, ""
        self.notes = (*store.notes, *notes_on_opening(store, marks))
        for mark in marks:
            if not mark.is_alive:
                remove_mark(mark.path)
        self._mark = leave_mark(store.path, events=store.last_number())
        self.arrivals.take_classes(store)
        for workspace in self._session.workspaces:
            if workspace.snapshot.records:
                step = self.arrivals.take_work(workspace)
                self.after(recorder.record(step) if step else None)
        self._session.regions.restore()
        if self._session.workspace is not None:
            self.arrivals.follow(self._session.workspace)
        self._session.show_workspace()
        self._session.project_changed.emit()
        self._session.worklist.join_project()
        self._session.worklist_changed.emit()

    def _join(self, workspace: Workspace, after: Snapshot) -> Snapshot | None:
        """Store steps after those of another window, and take those in."""
        _, recorder = self.require()
        error = recorder.join(workspace)
        self.after(error)
        if error is not None:
            return None
        workspace.snapshot = after
        try:
            self.arrivals.bring(workspace)
        except ProjectError as unreadable:
            self._session.report(unreadable)
            return None
        self._session.notified.emit(
            "Another window or program has changed this image meanwhile: its changes"
            " were taken in. Undo reaches back to them."
        )
        return workspace.snapshot

    def after(self, error: ProjectError | None, *, is_asked: bool = False) -> None:
        """Say what became of a step: unsaved, or saved again: for this package."""
        before, self.failure = self.failure, str(error) if error else ""
        if error is not None and (is_asked or self.failure != before):
            count = self.unsaved
            steps = "1 step is" if count == 1 else f"{count} steps are"
            self._session.report(
                type(error)(f"{error} {steps} unsaved, and kept in this window.")
            )
        elif error is None and before:
            self._session.notified.emit("All steps are stored in the project again.")
        if error is not None or before:
            self._session.project_changed.emit()

    def settle_patience(self) -> None:
        """Wait for other programs as usual again: for `ProjectReading`."""
        if self._recorder is not None:
            self._recorder.settle_patience()

    def _check_saved(self) -> None:
        if self.unsaved and not self.retry():
            raise ProjectError(
                f"{self.unsaved} of your steps are not stored in the project yet."
                f" {self.failure} Then try again."
            )

    def _let_go(self) -> None:
        if self.store is not None:
            remove_mark(self._mark)
            self.store.close()
        self.store = self._recorder = self._mark = None
        self.notes, self.failure = (), ""
        self.reading.forget()

    def require(self) -> tuple[ProjectStore, StepRecorder]:
        """Return the open project and what stores steps in it: for this package.

        Raises
        ------
        ProjectError
            If no project is open.
        """
        if self.store is None or self._recorder is None:
            raise ProjectError("No project is open. Open one, or make a new one.")
        return self.store, self._recorder
