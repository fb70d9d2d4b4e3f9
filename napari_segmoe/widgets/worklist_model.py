"""The worklist as a Qt table."""

from typing import Any

from qtpy.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
)
from qtpy.QtGui import QFont

from napari_segmoe.session.worklist import WorklistRow, WorklistStatus
from napari_segmoe.widgets.icons import dot_icon, ring_icon

STATUS_COLOURS = {
    WorklistStatus.UNTOUCHED: "#8A8F98",
    WorklistStatus.STARTED: "#E6A93C",
    WorklistStatus.DONE: "#3FBF7F",
}
STATUS_TIPS = {
    WorklistStatus.UNTOUCHED: "Nothing is annotated yet",
    WorklistStatus.STARTED: "Started",
    WorklistStatus.DONE: "Done: what is no object is background",
}
TITLES = ("image", "objects", "unsure")
TIPS = (
    "The file's name, which stays on this computer; hold the mouse over it for its"
    " number in the project",
    "Objects that were kept",
    "How unsure the model is of this image, 0 to 1: choose 'Most uncertain first'",
)
AnyIndex = QModelIndex | QPersistentModelIndex
NO_INDEX = QModelIndex()


class WorklistModel(QAbstractTableModel):
    """Rows are images, in the session's order.

    Parameters
    ----------
    parent : QObject or None
        Owner.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[WorklistRow, ...] = ()

    @property
    def rows(self) -> tuple[WorklistRow, ...]:
        """The rows shown."""
        return self._rows

    @property
    def current(self) -> int | None:
        """Place of the image worked on, or None."""
        return next((at for at, row in enumerate(self._rows) if row.is_current), None)

    def show_rows(self, rows: tuple[WorklistRow, ...]) -> None:
        """Show other rows; where only their contents changed, selections stay."""
        if [row.key for row in rows] != [row.key for row in self._rows]:
            self.beginResetModel()
            self._rows = rows
            self.endResetModel()
            return
        self._rows = rows
        if rows:
            self.dataChanged.emit(
                self.index(0, 0), self.index(len(rows) - 1, len(TITLES) - 1)
            )

    def rowCount(self, parent: AnyIndex = NO_INDEX) -> int:  # noqa: N802
        """Return the number of images."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: AnyIndex = NO_INDEX) -> int:  # noqa: N802
        """Return the number of columns."""
        return 0 if parent.isValid() else len(TITLES)

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
            return TITLES[section]
        return TIPS[section] if role == Qt.ItemDataRole.ToolTipRole else None

    def data(self, index: AnyIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        row, column = self._rows[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return _text(row, column)
        if role == Qt.ItemDataRole.DecorationRole and column == 0:
            return status_icon(row.status)
        if role == Qt.ItemDataRole.ToolTipRole:
            return describe(row)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.FontRole and row.is_current:
            font = QFont()
            font.setBold(True)
            return font
        return None


def status_icon(status: WorklistStatus) -> Any:
    """Return a dot for what is begun, a ring for what is not."""
    make = ring_icon if status is WorklistStatus.UNTOUCHED else dot_icon
    return make(STATUS_COLOURS[status])


def describe(row: WorklistRow) -> str:
    """Return a row in full, for a tooltip."""
    parts = [row.title, STATUS_TIPS[row.status]]
    if row.image:
        parts.append(f"In the project: {row.image}")
    if row.is_missing:
        parts.append("The file is not where it was: open it from where it lies now.")
    return "\n".join(parts)


def _text(row: WorklistRow, column: int) -> str:
    if column == 0:
        return f"{row.title} (missing)" if row.is_missing else row.title
    if column == 1:
        return str(row.objects) if row.objects else ""
    return "" if row.uncertainty is None else f"{row.uncertainty:.2f}"


def _alignment(column: int) -> int:
    side = Qt.AlignmentFlag.AlignLeft if column == 0 else Qt.AlignmentFlag.AlignRight
    return int(side | Qt.AlignmentFlag.AlignVCenter)
