"""Pseudo-labels as a Qt table."""

from typing import Any

from qtpy.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
)
from qtpy.QtGui import QFont, QIcon

from napari_segmoe.project.records import PlaceVerdict
from napari_segmoe.session.pseudo_rows import PseudoRow
from napari_segmoe.widgets.icons import dot_icon, ring_icon

TITLES = ("image", "objects", "sure")
TIPS = (
    "The file's name, which stays on this computer",
    "Objects that the model found there",
    "How sure the model is of their pixels, on average, 0 to 1",
)
VERDICTS = {
    PlaceVerdict.PROPOSED: "Proposed: not looked at yet",
    PlaceVerdict.ACCEPTED: "Accepted: objects now, that rounds learn from",
    PlaceVerdict.REJECTED: "Rejected: no round learns from this place, and it is not"
    " proposed again",
}
PROPOSED_COLOUR = "#8A8F98"
ACCEPTED_COLOUR, REJECTED_COLOUR = "#3FBF7F", "#FF5C5C"
AnyIndex = QModelIndex | QPersistentModelIndex
NO_INDEX = QModelIndex()


class PseudoLabelsModel(QAbstractTableModel):
    """Rows are places, in the session's order.

    Parameters
    ----------
    parent : QObject or None
        Owner.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[PseudoRow, ...] = ()

    @property
    def rows(self) -> tuple[PseudoRow, ...]:
        """The rows shown."""
        return self._rows

    def show_rows(self, rows: tuple[PseudoRow, ...]) -> None:
        """Show other rows; where only their contents changed, selections stay."""
        if [row.key for row in rows] != [row.key for row in self._rows]:
            self.beginResetModel()
            self._rows = rows
            self.endResetModel()
        elif rows != self._rows:
            self._rows = rows
            last = self.index(len(rows) - 1, len(TITLES) - 1)
            self.dataChanged.emit(self.index(0, 0), last)

    def rowCount(self, parent: AnyIndex = NO_INDEX) -> int:  # noqa: N802
        """Return the number of places."""
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
            return verdict_icon(row.verdict)
        if role == Qt.ItemDataRole.ToolTipRole:
            return describe(row)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.FontRole and row.is_current:
            font = QFont()
            font.setBold(True)
            return font
        return None


def verdict_icon(verdict: PlaceVerdict) -> QIcon:
    """Return a ring for what waits, a dot for what was judged."""
    if verdict is PlaceVerdict.PROPOSED:
        return ring_icon(PROPOSED_COLOUR)
    is_accepted = verdict is PlaceVerdict.ACCEPTED
    return dot_icon(ACCEPTED_COLOUR if is_accepted else REJECTED_COLOUR)


def describe(row: PseudoRow) -> str:
    """Return a row in full, for a tooltip."""
    y0, x0, y1, x1 = row.box
    parts = [row.title, VERDICTS[row.verdict], f"In the project: {row.image}"]
    if row.tile:
        parts.append(f"Tile {row.tile}: rows {y0} to {y1}, columns {x0} to {x1}")
    parts.append(f"Proposed by {row.source.replace('_', ' ')}")
    if row.weight is not None:
        parts.append(f"Taught the round with weight {row.weight:.2g}")
    if row.agreement is not None:
        parts.append(f"The learning network agreed on {100 * row.agreement:.0f} %")
    return "\n".join(parts)


def _text(row: PseudoRow, column: int) -> str:
    if column == 0:
        return row.title if not row.tile else f"{row.title} · {row.tile}"
    if column == 1:
        return str(row.objects)
    return "" if row.confidence is None else f"{row.confidence:.2f}"


def _alignment(column: int) -> int:
    side = Qt.AlignmentFlag.AlignLeft if column == 0 else Qt.AlignmentFlag.AlignRight
    return int(side | Qt.AlignmentFlag.AlignVCenter)
