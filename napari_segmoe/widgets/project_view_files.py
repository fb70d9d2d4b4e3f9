"""The project for other programs, and its safety: export, import, verify, backups."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_segmoe.project.backups import Backup, list_backups
from napari_segmoe.project.store import SUFFIX
from napari_segmoe.session.project_tasks import TaskKind, say_bytes
from napari_segmoe.session.session import Session
from napari_segmoe.viewer.keys import run_action
from napari_segmoe.widgets.buttons import make_button, make_row
from napari_segmoe.widgets.project_view_task import ProjectTaskView
from napari_segmoe.widgets.rows import buttons_in, clear_rows

SHOWN_BACKUPS = 8


class ExchangeView(QWidget):
    """Export and import.

    Parameters
    ----------
    session : Session
        Knows the open project, and runs its tasks.
    parent : QWidget or None
        Owner.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._tasks = tasks = session.project_tasks
        self._export = make_button(
            "Export all…",
            "",
            "GeoJSON for QuPath, COCO, CSV and OME-Zarr labels, into a new folder",
        )
        self._folder = make_button(
            "Masks of a data folder…",
            "",
            "images/, masks/, labels.csv: objects that a person drew; what masks"
            " leave out is background",
        )
        self._file = make_button(
            "Objects of a file…",
            "",
            "GeoJSON or COCO; GeoJSON is about the present image, unless its name"
            " says another",
        )
        self._zarr = make_button(
            "Labels (OME-Zarr)…", "", "A folder .zarr of labels, with classes"
        )
        self._task = ProjectTaskView(tasks, (TaskKind.EXPORT, TaskKind.IMPORT), self)
        note = QLabel("Imported objects take the place of those an image has.")
        note.setWordWrap(True)
        note.setEnabled(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 4)
        layout.setSpacing(6)
        layout.addWidget(self._export)
        layout.addWidget(self._folder)
        layout.addLayout(make_row(self._file, self._zarr))
        layout.addWidget(note)
        layout.addWidget(self._task)
        self._export.clicked.connect(self._on_export_clicked)
        self._folder.clicked.connect(self._on_folder_clicked)
        self._file.clicked.connect(self._on_file_clicked)
        self._zarr.clicked.connect(self._on_zarr_clicked)
        tasks.changed.connect(self._on_tasks_changed)
        self._on_tasks_changed()

    @property
    def task(self) -> ProjectTaskView:
        """Progress and result."""
        return self._task

    def _on_tasks_changed(self) -> None:
        for button in (self._export, self._folder, self._file, self._zarr):
            button.setEnabled(self._tasks.running is None)

    def _on_export_clicked(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "A new folder to export into")
        if path:
            run_action(self._session, lambda _: self._tasks.export(Path(path)))

    def _on_folder_clicked(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Data folder with masks")
        self._import(path)

    def _on_file_clicked(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Objects", "", "GeoJSON or COCO (*.geojson *.json)"
        )
        self._import(path)

    def _on_zarr_clicked(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "OME-Zarr labels (.zarr)")
        self._import(path)

    def _import(self, path: str) -> None:
        if path:
            project = self._session.project
            run_action(
                self._session,
                lambda _: self._tasks.import_from(
                    Path(path),
                    image=project.image_name,
                    annotator=project.annotator,
                ),
            )


class SafetyView(QWidget):
    """Verify, and backups.

    Parameters
    ----------
    session : Session
        Knows the open project, and runs its tasks.
    open_project : callable
        Opens the project of a path: one that was restored.
    parent : QWidget or None
        Owner.
    """

    def __init__(
        self,
        session: Session,
        open_project: Callable[[Path], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._tasks = tasks = session.project_tasks
        self._open_project = open_project
        self._verify = make_button(
            "Verify", "", "Check every page, every event's hash, and what follows"
        )
        self._back_up = make_button(
            "Back up now", "", "Copy the database into the project's folder backups"
        )
        kinds = (TaskKind.VERIFY, TaskKind.BACK_UP, TaskKind.RESTORE)
        self._task = ProjectTaskView(tasks, kinds, self)
        self._open = make_button("Open the restored project", "", "Leave this one")
        self._none = QLabel("No backup yet.")
        self._none.setEnabled(False)
        self._list = QWidget()
        self._rows = QVBoxLayout(self._list)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setSpacing(2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 4)
        layout.setSpacing(6)
        layout.addLayout(make_row(self._verify, self._back_up))
        layout.addWidget(self._task)
        layout.addWidget(self._open)
        layout.addWidget(self._none)
        layout.addWidget(self._list)
        self._verify.clicked.connect(self._on_verify_clicked)
        self._back_up.clicked.connect(self._on_back_up_clicked)
        self._open.clicked.connect(self._on_open_clicked)
        tasks.changed.connect(self._on_tasks_changed)
        session.project_changed.connect(self._on_tasks_changed)
        self._on_tasks_changed()

    @property
    def task(self) -> ProjectTaskView:
        """Progress and result."""
        return self._task

    @property
    def restore_buttons(self) -> list[QPushButton]:
        """One a backup, newest first."""
        return buttons_in(self._rows)

    def _on_tasks_changed(self, _: object = None) -> None:
        tasks, store = self._tasks, self._session.project.store
        for button in (self._verify, self._back_up):
            button.setEnabled(tasks.running is None)
        result = tasks.result
        self._open.setVisible(
            result is not None and result.kind is TaskKind.RESTORE and result.is_good
        )
        if tasks.running is not None:
            return
        clear_rows(self._rows)
        backups = list_backups(store.path) if store is not None else ()
        for backup in backups[:SHOWN_BACKUPS]:
            self._rows.addWidget(self._make_row(backup))
        self._none.setVisible(not backups)
        self._list.setVisible(bool(backups))

    def _make_row(self, backup: Backup) -> QWidget:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        when = backup.time_utc.astimezone()
        kind = "   daily" if backup.is_daily else ""
        text = f"{_day(when)}   {say_bytes(backup.size_bytes)}{kind}"
        layout.addWidget(QLabel(text), 1)
        restore = make_button("Restore…", "", "Make a new project from this backup")
        restore.setFixedWidth(90)
        restore.clicked.connect(partial(self._on_restore_clicked, backup))
        layout.addWidget(restore)
        return row

    def _on_verify_clicked(self) -> None:
        run_action(self._session, lambda _: self._tasks.verify())

    def _on_back_up_clicked(self) -> None:
        run_action(self._session, lambda _: self._tasks.back_up())

    def _on_restore_clicked(self, backup: Backup, _: object = None) -> None:
        old = backup.path.parent.parent
        proposed = old.with_name(f"{old.stem}-restored{SUFFIX}")
        path, _ = QFileDialog.getSaveFileName(
            self, "New project from the backup", str(proposed)
        )
        if path:
            target = Path(path)
            if target.suffix != SUFFIX:
                target = target.with_name(target.name + SUFFIX)
            run_action(
                self._session, lambda _: self._tasks.restore(backup.path, target)
            )

    def _on_open_clicked(self) -> None:
        result = self._tasks.result
        if result is not None and result.path is not None:
            self._open_project(result.path)


def _day(when: datetime) -> str:
    return f"{when.day} {when:%b %Y %H:%M}"
