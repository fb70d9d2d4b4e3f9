"""Tables with a row for each place that can be opened: the model, and how they look."""

from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

from qtpy.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
)
from qtpy.QtGui import QFont, QIcon
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

AnyIndex = QModelIndex | QPersistentModelIndex
NO_INDEX = QModelIndex()


class PlaceRow(Protocol):
    """What a row must tell: what it stands for, and whether it is open."""

    @property
    def key(self) -> Any:
        """Tells rows apart."""

    @property
    def is_current(self) -> bool:
        """Whether it is drawn in bold."""


Row = TypeVar("Row", bound=PlaceRow)


class PlacesModel(QAbstractTableModel, Generic[Row]):
    """Rows in the session's order; the first column is to the left, others right.

    A subclass says what the cells show.

    Parameters
    ----------
    parent : QObject or None
        Owner.
    """

    titles: Sequence[str] = ()
    tips: Sequence[str] = ()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[Row, ...] = ()

    def text_of(self, row: Row, column: int) -> str:
        """Return what a cell shows."""
        raise NotImplementedError

    def icon_of(self, row: Row) -> QIcon:
        """Return what stands before the first cell."""
        raise NotImplementedError

    def tip_of(self, row: Row) -> str:
        """Return a row in full."""
        raise NotImplementedError

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows shown."""
        return self._rows

    def show_rows(self, rows: tuple[Row, ...]) -> None:
        """Show other rows; where only their contents changed, selections stay."""
        if [row.key for row in rows] != [row.key for row in self._rows]:
            self.beginResetModel()
            self._rows = rows
            self.endResetModel()
        elif rows != self._rows:
            self._rows = rows
            last = self.index(len(rows) - 1, len(self.titles) - 1)
            self.dataChanged.emit(self.index(0, 0), last)

    def rowCount(self, parent: AnyIndex = NO_INDEX) -> int:  # noqa: N802
        """Return the number of rows."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: AnyIndex = NO_INDEX) -> int:  # noqa: N802
        """Return the number of columns."""
        return 0 if parent.isValid() else len(self.titles)

    def headerData(  # noqa: N802
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Return a column's title or tooltip."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(section)
        if role == Qt.ItemDataRole.DisplayRole:
            return self.titles[section]
        return self.tips[section] if role == Qt.ItemDataRole.ToolTipRole else None

    def data(self, index: AnyIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        row, column = self._rows[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self.text_of(row, column)
        if role == Qt.ItemDataRole.DecorationRole and column == 0:
            return self.icon_of(row)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self.tip_of(row)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.FontRole and row.is_current:
            font = QFont()
            font.setBold(True)
            return font
        return None


def set_up_places(table: QTableView, *, row_px: int, widths_px: Sequence[int]) -> None:
    """Show whole rows, one chosen at a time; the first column takes what is left.

    Parameters
    ----------
    table : QTableView
        With its model.
    row_px : int
    widths_px : sequence of int
        Of the columns after the first.
    """
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(row_px)
    table.setShowGrid(False)
    table.setWordWrap(False)
    table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
    header = table.horizontalHeader()
    header.setHighlightSections(False)
    header.setSectionsClickable(False)
    header.setStretchLastSection(False)
    header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    for column, width in enumerate(widths_px, start=1):
        table.setColumnWidth(column, width)


def _alignment(column: int) -> int:
    side = Qt.AlignmentFlag.AlignLeft if column == 0 else Qt.AlignmentFlag.AlignRight
    return int(side | Qt.AlignmentFlag.AlignVCenter)
