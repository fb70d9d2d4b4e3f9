"""How far a long task of the project is, and how the last one ended."""

from pathlib import Path

from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_segmoe.session.project_tasks import ProjectTasks, TaskKind, TaskResult
from napari_segmoe.widgets.buttons import HEIGHT_PX, make_button

GOOD_COLOUR = "#3FA873"
BAD_COLOUR = "#E0605E"
_RUNNING = {
    TaskKind.EXPORT: "Exporting",
    TaskKind.IMPORT: "Importing",
    TaskKind.VERIFY: "Verifying",
    TaskKind.BACK_UP: "Backing up",
    TaskKind.RESTORE: "Restoring",
}


class ProjectTaskView(QWidget):
    """A view of the running task and of the last result; hidden without either.

    Parameters
    ----------
    tasks : ProjectTasks
        What runs.
    kinds : tuple of TaskKind
        The tasks shown here.
    parent : QWidget or None
        Owner.
    """

    def __init__(
        self,
        tasks: ProjectTasks,
        kinds: tuple[TaskKind, ...],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._tasks = tasks
        self._kinds = kinds
        self._bar = QProgressBar()
        self._bar.setMinimumHeight(HEIGHT_PX)
        self._cancel = make_button("Cancel", "", "Stop; images taken already stay")
        self._cancel.setFixedWidth(76)
        self._run = QWidget()
        self._text = QLabel()
        self._text.setWordWrap(True)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._text.setSizePolicy(
            QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred
        )
        self._show = make_button("Show", "", "Open the folder")
        self._show.setFixedWidth(76)
        run = QHBoxLayout(self._run)
        run.setContentsMargins(0, 0, 0, 0)
        run.setSpacing(6)
        run.addWidget(self._bar, 1)
        run.addWidget(self._cancel)
        ended = QHBoxLayout()
        ended.setSpacing(6)
        ended.addWidget(self._text, 1)
        ended.addWidget(self._show, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._run)
        layout.addLayout(ended)
        self._cancel.clicked.connect(self._on_cancel_clicked)
        self._show.clicked.connect(self._on_show_clicked)
        tasks.changed.connect(self._on_tasks_changed)
        self._on_tasks_changed()

    @property
    def text(self) -> str:
        """What is said of the last result."""
        return str(self._text.text())

    def set_accent(self, colour: str) -> None:
        """Fill the bar with the theme's own highlight, #RRGGBB."""
        self._bar.setStyleSheet(
            "QProgressBar { text-align: center; border: none; border-radius: 2px;"
            " background-color: rgba(128, 128, 128, 60); }"
            f"QProgressBar::chunk {{ background-color: {colour}; border-radius: 2px; }}"
        )

    def _on_tasks_changed(self) -> None:
        tasks = self._tasks
        runs = tasks.running in self._kinds
        result = tasks.result
        is_mine = result is not None and result.kind in self._kinds
        self.setVisible(runs or is_mine)
        self._run.setVisible(runs)
        self._text.setVisible(is_mine)
        self._show.setVisible(is_mine and _folder_of(result) is not None)
        if runs and tasks.running is not None:
            self._show_progress(tasks.running)
        if is_mine and result is not None:
            self._text.setText("\n".join((result.text, *result.lines)))
            colour = GOOD_COLOUR if result.is_good else BAD_COLOUR
            self._text.setStyleSheet(f"color: {colour};")

    def _show_progress(self, running: TaskKind) -> None:
        progress, title = self._tasks.progress, _RUNNING[running]
        self._bar.setRange(0, progress.total if progress else 0)
        self._bar.setValue(progress.done if progress else 0)
        is_counted = progress is not None and progress.total > 0
        self._bar.setFormat(f"{title} %v of %m" if is_counted else f"{title}…")
        self._bar.setToolTip(progress.text if progress else "")

    def _on_cancel_clicked(self) -> None:
        self._tasks.cancel()

    def _on_show_clicked(self) -> None:
        folder = _folder_of(self._tasks.result)
        if folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))


def _folder_of(result: TaskResult | None) -> Path | None:
    if result is None or result.kind is not TaskKind.EXPORT or not result.is_good:
        return None
    return result.path
