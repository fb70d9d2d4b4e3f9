"""What was done in the project, newest first."""

from qtpy.QtCore import QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_segmoe.project.headlines import Headline
from napari_segmoe.session.session import Session
from napari_segmoe.widgets.history_model import HistoryModel

SETTLE_MS = 200  # one reading for a burst of events
WIDTHS = (52, 150, 60, 44)


class HistoryView(QWidget):
    """A table of events; it reads only while it is seen.

    Parameters
    ----------
    session : Session
        Knows the open project.
    parent : QWidget or None
        Owner.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._shown: object = None  # the store whose events are shown
        self._model = HistoryModel(self._read, self)
        self._table = QTableView()
        self._set_up_table()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._table)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self._on_settled)
        session.project_changed.connect(self._on_project_changed)
        session.history_changed.connect(self._on_project_changed)
        session.worklist_changed.connect(self._on_project_changed)

    @property
    def model(self) -> HistoryModel:
        """The rows."""
        return self._model

    @property
    def table(self) -> QTableView:
        """The table."""
        return self._table

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Read what happened while it was hidden."""
        super().showEvent(event)
        self._settle.start()

    def _set_up_table(self) -> None:
        table = self._table
        table.setModel(self._model)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(24)
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.setFixedHeight(220)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        for column, width in enumerate(WIDTHS):
            table.setColumnWidth(column, width)

    def _on_project_changed(self, _: object = None) -> None:
        if self.isVisible():
            self._settle.start()

    def _on_settled(self) -> None:
        store = self._session.project.store
        if store is not self._shown:
            self._shown = store
            self._model.read_anew()
        else:
            self._model.read_newer()

    def _read(self, below: int | None, limit: int) -> tuple[Headline, ...]:
        return self._session.project.reading.read(
            "history",
            lambda store: store.headlines(below=below, limit=limit),
            (),
        )
