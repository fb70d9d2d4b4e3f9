"""The list of runs: those that train, and those that ended."""

from functools import partial

from qtpy.QtCore import QSize, Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QAbstractItemView,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_segmoe.session.run_words import STARTING
from napari_segmoe.session.session import Session
from napari_segmoe.session.training_run import RunState, TrainingRun
from napari_segmoe.viewer.keys import run_action
from napari_segmoe.widgets.buttons import make_button, make_row
from napari_segmoe.widgets.heatmap_row import make_small_text
from napari_segmoe.widgets.icons import dot_icon

STATE_COLOURS = {
    RunState.STARTING: "#E6A93C",
    RunState.RUNNING: "#35C9FF",
    RunState.STOPPING: "#E6A93C",
    RunState.DONE: "#3FBF7F",
    RunState.STOPPED: "#8A8F98",
    RunState.KILLED: "#8A8F98",
    RunState.FAILED: "#FF5C5C",
    RunState.DIED: "#FF5C5C",
    RunState.ELSEWHERE: "#8A8F98",
}
NONE_YET = "No run yet. Runs go on when napari is closed, and are found here again."
ROW_PX = 24
MOST_ROWS = 6


class RunsView(QWidget):
    """A view of all runs; the chosen one's curves are drawn above.

    Parameters
    ----------
    session : Session
        The session.
    parent : QWidget or None
        Owner.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._runs = session.training_runs
        self._empty = make_small_text(NONE_YET)
        self._list = QListWidget()
        self._list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self._list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self._list.setUniformItemSizes(True)
        self._list.setIconSize(QSize(12, 12))
        self._use = make_button(
            "Use weights", "", "Answer with its best weights from the next click on"
        )
        self._report = make_button(
            "Report", "", "Figures, curves and answers: report.md of its folder"
        )
        self._open = make_button("Folder", "", "Show its files")
        self._forget = make_button(
            "Remove", "", "Take it off the list; its folder stays"
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self._empty)
        layout.addWidget(self._list)
        layout.addLayout(make_row(self._use, self._report))
        layout.addLayout(make_row(self._open, self._forget))
        # view -> session
        self._list.currentRowChanged.connect(self._on_row_changed)
        self._use.clicked.connect(self._on_use_clicked)
        self._report.clicked.connect(self._on_report_clicked)
        self._open.clicked.connect(self._on_open_clicked)
        self._forget.clicked.connect(self._on_forget_clicked)
        # session -> view
        self._runs.runs_changed.connect(self._on_runs_changed)
        self._runs.told.connect(self._on_told)
        self._runs.selection_changed.connect(self._on_runs_changed)
        self._on_runs_changed()

    @property
    def texts(self) -> list[str]:
        """What is said of each run."""
        return [self._list.item(at).text() for at in range(self._list.count())]

    @property
    def list_widget(self) -> QListWidget:
        """The list."""
        return self._list

    def _on_runs_changed(self) -> None:
        runs = self._runs.runs
        with signals_blocked(self._list):
            self._list.clear()
            for run in runs:
                item = QListWidgetItem()
                item.setData(Qt.ItemDataRole.UserRole, run)
                self._list.addItem(item)
                _dress(item, run)
            if self._runs.selected in runs:
                self._list.setCurrentRow(runs.index(self._runs.selected))
        rows = min(max(len(runs), 1), MOST_ROWS)
        self._list.setFixedHeight(rows * ROW_PX + 6)
        self._list.setVisible(bool(runs))
        self._empty.setVisible(not runs)
        self._show_buttons()

    def _on_told(self, run: TrainingRun) -> None:
        for at in range(self._list.count()):
            item = self._list.item(at)
            if item.data(Qt.ItemDataRole.UserRole) is run:
                _dress(item, run)
        self._show_buttons()

    def _show_buttons(self) -> None:
        run = self._runs.selected
        is_round = run is not None and run.is_round
        for button in (self._use, self._report, self._open, self._forget):
            button.setVisible(bool(self._runs.runs))
        self._report.setEnabled(run is not None and run.report is not None)
        has_folder = run is not None and run.folder.is_dir()
        can_use = run is not None and not is_round and run.weights is not None
        self._use.setEnabled(can_use)
        self._open.setEnabled(has_folder)
        can_forget = run is not None and not run.state.is_active and not is_round
        self._forget.setEnabled(can_forget)

    def _on_row_changed(self, row: int) -> None:
        item = self._list.item(row)
        if item is not None:
            self._runs.select(item.data(Qt.ItemDataRole.UserRole))

    def _on_use_clicked(self) -> None:
        run = self._runs.selected
        if run is not None:
            run_action(self._session, partial(_use, run=run))

    def _on_report_clicked(self) -> None:
        run = self._runs.selected
        if run is not None and run.report is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(run.report)))

    def _on_open_clicked(self) -> None:
        run = self._runs.selected
        if run is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(run.folder)))

    def _on_forget_clicked(self) -> None:
        run = self._runs.selected
        if run is not None:
            self._runs.forget(run)


def say_run(run: TrainingRun) -> str:
    """Return a run in one line."""
    name = "New round" if run.name == STARTING else run.name
    history = run.history
    parts = [name, str(run.state)]
    if run.state.is_active and history.epochs:
        parts[1] = f"{run.state} {history.epoch}/{history.epochs}"
    if history.best is not None:
        parts.append(f"best {history.best[1]:.3f}")
    return " · ".join(parts)


def _dress(item: QListWidgetItem, run: TrainingRun) -> None:
    item.setText(say_run(run))
    item.setIcon(dot_icon(STATE_COLOURS[run.state]))
    lines = [run.name, str(run.folder)]
    lines += [run.reason] if run.reason else []
    item.setToolTip("\n".join(lines))


def _use(session: Session, *, run: TrainingRun) -> None:
    session.training_runs.use_run(run)
