"""What came of an evaluation: figures, a row an image, the CSV."""

from collections.abc import Callable
from html import escape
from pathlib import Path

from qtpy.QtCore import QModelIndex, QSortFilterProxyModel, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QGridLayout,
    QHeaderView,
    QLabel,
    QSizePolicy,
    QTableView,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_segmoe.session.evaluation_table import (
    FEWER_IS_BETTER,
    FIGURES,
    EvaluationTable,
    say_figure,
)
from napari_segmoe.session.session import Session
from napari_segmoe.viewer.keys import run_action
from napari_segmoe.widgets.buttons import make_button, make_row
from napari_segmoe.widgets.evaluation_model import SORT_ROLE, EvaluationModel
from napari_segmoe.widgets.heatmap_row import FAINT_COLOUR, make_small_text
from napari_segmoe.widgets.rows import clear_rows

NAME_PX, FIGURE_PX, ROW_PX = 96, 62, 24
MOST_ROWS = 10
BETTER_COLOUR, WORSE_COLOUR = "#2FA36B", "#D0562E"
_INTERVAL_COLUMN = 4
SURE = 0.05  # p below which a difference is coloured


class EvaluationResult(QWidget):
    """A view of the newest evaluation; hidden where there is none.

    Parameters
    ----------
    session : Session
        The session.
    open_image : callable
        Opens an image of a data folder by its name in the table.
    parent : QWidget or None
        Owner.
    """

    def __init__(
        self,
        session: Session,
        open_image: Callable[[str], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._open_image = open_image
        self._title = QLabel()
        self._title.setWordWrap(True)
        self._figures = QWidget()
        self._grid = QGridLayout(self._figures)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(4)
        self._grid.setVerticalSpacing(3)
        self._grid.setColumnStretch(_INTERVAL_COLUMN, 1)
        self._notes = make_small_text("")
        self._model = EvaluationModel(self)
        self._proxy = QSortFilterProxyModel(self)
        self._proxy.setSourceModel(self._model)
        self._proxy.setSortRole(SORT_ROLE)
        self.table = QTableView()
        self._save = make_button("Save as CSV…", "", "Write all figures of all images")
        self._forget = make_button("Clear", "", "Empty the table")
        self._set_up_table()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(6)
        for part in (self._title, self._figures, self._notes, self.table):
            layout.addWidget(part)
        layout.addLayout(make_row(self._save, self._forget))
        # view -> session
        self._save.clicked.connect(self._on_save_clicked)
        self._forget.clicked.connect(session.evaluating.forget)
        self.table.doubleClicked.connect(self._on_row_double_clicked)
        # session -> view
        session.evaluating.changed.connect(self._on_changed)
        self._shown: EvaluationTable | None = None
        self._texts: dict[str, str] = {}
        self._on_changed()

    @property
    def figure_texts(self) -> dict[str, str]:
        """What is said of each figure."""
        return dict(self._texts)

    @property
    def names(self) -> list[str]:
        """The images in the order that is shown."""
        rows = range(self._proxy.rowCount())
        return [str(self._proxy.index(row, 0).data()) for row in rows]

    @property
    def notes(self) -> str:
        """What is said beside the figures."""
        return str(self._notes.text())

    def _set_up_table(self) -> None:
        table = self.table
        table.setModel(self._proxy)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSortingEnabled(True)
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(ROW_PX)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setDefaultSectionSize(FIGURE_PX)

    def _on_changed(self) -> None:
        table = self._session.evaluating.table
        self.setVisible(table is not None)
        if table is self._shown:
            return
        self._shown = table
        self._model.show_table(table)
        clear_rows(self._grid)
        if table is None:
            return
        self._title.setText(f"<b>{escape(table.title)}</b>")
        self._show_figures(table)
        self._notes.setText(" ".join(table.notes))
        self.table.setColumnWidth(0, NAME_PX)
        self.table.sortByColumn(
            min(1, len(table.columns) - 1), Qt.SortOrder.AscendingOrder
        )
        rows = min(len(table.rows), MOST_ROWS)
        self.table.setFixedHeight((rows + 1) * ROW_PX + 24)

    def _show_figures(self, table: EvaluationTable) -> None:
        lines = [("", *table.names, "change", "95 % interval")] if table.against else []
        lines += [(FIGURES[name], *_cells(table, name)) for name in table.shown]
        lines += [(name, words, "", "", "") for name, words in table.classes]
        self._texts = {name: words for name, words, *_ in lines if name}
        for row, (name, *cells) in enumerate(lines):
            self._grid.addWidget(QLabel(name), row, 0)
            for column, text in enumerate(cells, start=1):
                if text:
                    part = _make_cell(text, column, is_heading=not name)
                    self._grid.addWidget(part, row, column)

    def _on_row_double_clicked(self, index: QModelIndex) -> None:
        question = self._session.evaluating.question
        if question is not None:
            row = self._proxy.mapToSource(index).row()
            self._open_image(str(self._model.rows[row]["name"]))

    def _on_save_clicked(self) -> None:
        table = self._session.evaluating.table
        path, _ = QFileDialog.getSaveFileName(
            self, "Save the table", "evaluation.csv", "CSV (*.csv)"
        )
        if path and table is not None:
            run_action(self._session, lambda _: table.write_csv(Path(path)))


def _make_cell(text: str, column: int, *, is_heading: bool) -> QLabel:
    """Return a figure; an interval gives way where the dock is narrow."""
    if column != _INTERVAL_COLUMN and not is_heading:
        return QLabel(text)
    part = QElidingLabel(text)
    part.setToolTip(text)
    part.setStyleSheet(f"color: {FAINT_COLOUR};")
    policy = QSizePolicy.Policy
    part.setSizePolicy(policy.Ignored, policy.Preferred)
    return part


def _cells(table: EvaluationTable, name: str) -> tuple[str, str, str, str]:
    """Return a figure, that of the other weights, their difference, its interval."""
    other = table.against.get(name)
    if other is None:
        return say_figure(table.figures[name]), "", "", ""
    first, second = (_short(one.get("mean")) for one in (table.figures[name], other))
    return first, second, *say_difference(table, name)


def say_difference(table: EvaluationTable, name: str) -> tuple[str, str]:
    """Say the paired difference, coloured where it is sure, and its interval."""
    found = table.differences.get(name, {})
    mean, low, high = (found.get(key) for key in ("mean", "low", "high"))
    if mean is None:
        return "", ""
    words = f"{mean:+.3f}"
    if low is None or high is None:
        return words, ""
    p = found.get("p")
    if (low > 0 or high < 0) and (p is None or p < SURE):
        is_better = (mean > 0) != (name in FEWER_IS_BETTER)
        colour = BETTER_COLOUR if is_better else WORSE_COLOUR
        words = f'<span style="color:{colour}">{words}</span>'
    return words, f"{low:+.2f} to {high:+.2f}"


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
