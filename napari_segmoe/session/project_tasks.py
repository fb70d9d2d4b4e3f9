"""What takes a while with a project: export, import, verify, back up, restore."""

import shutil
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_segmoe.errors import ProjectError, SegmoeError

if TYPE_CHECKING:
    from napari_segmoe.project.importing import ImportedImage
    from napari_segmoe.project.store import ProjectStore
    from napari_segmoe.session.session import Session

LANE = "project"
_TOPIC = "project task"
_MOST_NOTES = 5


class TaskKind(StrEnum):
    """What is being done."""

    EXPORT = "export"
    IMPORT = "import"
    VERIFY = "verify"
    BACK_UP = "back up"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """How far it is; a ``total`` of 0 is not known."""

    done: int
    total: int
    text: str


@dataclass(frozen=True, slots=True)
class TaskResult:
    """How it ended, in a sentence and further lines.

    Attributes
    ----------
    kind : TaskKind
    is_good : bool
    text : str
    lines : tuple of str
    path : Path or None
        What was written, or restored.
    """

    kind: TaskKind
    is_good: bool
    text: str
    lines: tuple[str, ...] = ()
    path: Path | None = None


Steps = Generator[TaskProgress, None, TaskResult]


class ProjectTasks:
    """Runs one long task of the open project at a time, beside the window.

    A task reads and writes through a connection of its own; corrections go on
    meanwhile.

    Parameters
    ----------
    session : Session
        Runs the jobs, and knows the open project.
    """

    changed = Signal()

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._project: Path | None = None  # that the last result is of
        self.running: TaskKind | None = None
        self.progress: TaskProgress | None = None
        self.result: TaskResult | None = None
        session.project_changed.connect(self._on_project_changed)

    def export(self, out: Path) -> None:
        """Write GeoJSON, COCO, CSV and OME-Zarr labels into a new folder."""
        project = self._require_project()
        self._start(TaskKind.EXPORT, lambda: export_steps(project, out))

    def import_from(
        self,
        source: Path,
        *,
        image: str | None = None,
        is_finished: bool = True,
        annotator: str | None = None,
    ) -> None:
        """Take a data folder's masks, or a file's objects, as corrections.

        Parameters
        ----------
        source : Path
            A data folder, ``.geojson``, COCO as ``.json``, or labels as ``.zarr``.
        image : str or None
            What GeoJSON or labels are about, where the file's name does not say it.
        is_finished : bool
            Whether what a data folder's masks leave out is background.
        annotator : str or None
            Pseudonym.
        """
        project = self._require_project()

        def steps() -> Steps:
            return import_steps(
                project, source, image, is_finished=is_finished, annotator=annotator
            )

        self._start(TaskKind.IMPORT, steps)

    def verify(self) -> None:
        """Check every page, every hash and every table."""
        project = self._require_project()
        self._start(TaskKind.VERIFY, lambda: verify_steps(project))

    def back_up(self) -> None:
        """Copy the database into the project's folder of backups."""
        project = self._require_project()
        self._start(TaskKind.BACK_UP, lambda: back_up_steps(project))

    def restore(self, backup: Path, target: Path) -> None:
        """Make a new project from a backup."""
        self._start(TaskKind.RESTORE, lambda: restore_steps(backup, target))

    def cancel(self) -> None:
        """End the task that runs; images that it took already stay."""
        if self.running is None:
            return
        kind = self.running
        self._session.runner.cancel(_TOPIC)
        self._end(TaskResult(kind, False, f"The {kind} was cancelled."))

    def _on_project_changed(self) -> None:
        path = self._session.project.path
        if path != self._project:
            self._project = path
            self.cancel()
            self.result = None
            self.changed.emit()

    def _require_project(self) -> Path:
        store, _ = self._session.project.require()
        store.check_place()
        return store.path

    def _start(self, kind: TaskKind, steps: Callable[[], Steps]) -> None:
        if self.running is not None:
            raise ProjectError(
                f"The project is busy with: {self.running}. Wait for it, or cancel it."
            )
        self.running, self.progress, self.result = kind, None, None
        self.changed.emit()
        self._session.runner.submit(
            steps,
            topic=_TOPIC,
            lane=LANE,
            on_done=self._end,
            on_error=lambda error: self._fail(kind, error),
            on_progress=self._take_progress,
        )

    def _take_progress(self, progress: TaskProgress) -> None:
        self.progress = progress
        self.changed.emit()

    def _fail(self, kind: TaskKind, error: Exception) -> None:
        text = str(error) if isinstance(error, SegmoeError) else f"{error!r}"
        self._end(TaskResult(kind, False, text))

    def _end(self, result: TaskResult) -> None:
        self.running, self.progress, self.result = None, None, result
        if result.kind is TaskKind.IMPORT:
            self._show_imported()
        self.changed.emit()

    def _show_imported(self) -> None:
        try:
            self._session.project.arrivals.refresh()
        except ProjectError as error:
            self._session.report(error)


def export_steps(project: Path, out: Path) -> Steps:
    """Export into a folder that is there whole or not at all."""
    from napari_segmoe.project.exporting import export_project
    from napari_segmoe.project.store import ProjectStore

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ProjectError(f"{out.name} is not empty. Choose a new folder.")
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    count = 0
    try:
        with ProjectStore.open(project, read_only=True) as store:
            total = 2 * len(store.images()) + 2
            yield TaskProgress(0, total, "Export")
            for count, name in enumerate(export_project(store, partial), start=1):
                yield TaskProgress(count, total, name)
        if out.exists():
            out.rmdir()
        partial.replace(out)
    except OSError as error:
        raise ProjectError(
            f"{out.name} cannot be written: {error.strerror or error}. Free space, or"
            " choose another folder."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    text = f"Wrote {count} files into {out.name}."
    return TaskResult(TaskKind.EXPORT, True, text, path=out)


def import_steps(
    project: Path,
    source: Path,
    image: str | None,
    *,
    is_finished: bool,
    annotator: str | None,
) -> Steps:
    """Import image by image."""
    from napari_segmoe.project.store import ProjectStore

    yield TaskProgress(0, 0, "Reading")
    found: list[ImportedImage] = []
    with ProjectStore.open(project) as store:
        total, images = _images_of(
            store, source, image, is_finished=is_finished, annotator=annotator
        )
        for one in images:
            found.append(one)
            yield TaskProgress(len(found), total, one.image)
    objects = sum(one.objects for one in found)
    notes = tuple(dict.fromkeys(note for one in found for note in one.notes))
    text = f"Took {_count(objects, 'object')} of {_count(len(found), 'image')}."
    return TaskResult(TaskKind.IMPORT, True, text, notes[:_MOST_NOTES])


def _images_of(
    store: "ProjectStore",
    source: Path,
    image: str | None,
    *,
    is_finished: bool,
    annotator: str | None,
) -> "tuple[int, Iterable[ImportedImage]]":
    """Return how many images come (0: not known), and each as it is stored."""
    from napari_segmoe.data.folder import look_at_masks, read_data_folder
    from napari_segmoe.project.import_files import import_file
    from napari_segmoe.project.importing import import_data_folder

    if not source.is_dir() or source.suffix == ".zarr":
        return 0, import_file(store, source, image=image, annotator=annotator)
    folder = read_data_folder(source)
    items = folder.select(None)
    folder = look_at_masks(folder, items)
    return len(items), import_data_folder(
        store, folder, items, is_finished=is_finished, annotator=annotator
    )


def verify_steps(project: Path) -> Steps:
    """Read everything and say what is wrong, in sentences."""
    from napari_segmoe.project.verification import verify_project

    yield TaskProgress(0, 0, "Reading all events")
    found = verify_project(project)
    events = f"{found.events:,}".replace(",", "\u202f")
    if not found.faults:
        text = f"Whole: {events} events, every page and hash fits."
        return TaskResult(TaskKind.VERIFY, True, text)
    text = "Damaged. Go on in a new project, restored from a backup:"
    return TaskResult(TaskKind.VERIFY, False, text, found.faults)


def back_up_steps(project: Path) -> Steps:
    """Copy the database."""
    from napari_segmoe.project.backups import make_backup

    yield TaskProgress(0, 0, "Copying")
    made = make_backup(project)
    text = f"Backed up: {say_bytes(made.size_bytes)}."
    return TaskResult(TaskKind.BACK_UP, True, text, path=made.path)


def restore_steps(backup: Path, target: Path) -> Steps:
    """Make the new project."""
    from napari_segmoe.project.backups import restore_backup

    yield TaskProgress(0, 0, "Copying")
    restore_backup(backup, target)
    text = f"Restored as {target.name}."
    return TaskResult(TaskKind.RESTORE, True, text, path=target)


def say_bytes(size: int) -> str:
    """Return a size for people: 8.2 MB."""
    if size < 1_000_000:
        return f"{max(1, round(size / 1000))} kB"
    return f"{size / 1e6:.1f} MB"


def _count(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
