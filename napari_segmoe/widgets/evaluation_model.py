"""The per-image table of an evaluation, sortable by any figure."""

import math
from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
)

from napari_segmoe.session.evaluation_table import AGAINST, FIGURES, EvaluationTable

Index = QModelIndex | QPersistentModelIndex
SORT_ROLE = Qt.ItemDataRole.UserRole
_TITLES = {"name": "Image", "objects": "True", "objects_found": "Found", **FIGURES}
_TIPS = {
    "name": "Image; double-click opens it, where it came from a data folder",
    "objects": "True objects",
    "objects_found": "Objects found",
}


class EvaluationModel(QAbstractTableModel):
    """Rows of an `EvaluationTable`; undefined figures sort last.

    Parameters
    ----------
    parent : QObject or None
        Owner.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.rows: tuple[Mapping[str, Any], ...] = ()
        self.columns: tuple[str, ...] = ()

    def show_table(self, table: EvaluationTable | None) -> None:
        """Take other rows."""
        self.beginResetModel()
        self.rows = table.rows if table is not None else ()
        self.columns = table.columns if table is not None else ()
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:  # noqa: N802
        """Return the number of images."""
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index | None = None) -> int:  # noqa: N802
        """Return the number of figures, and one for the name."""
        return 0 if parent is not None and parent.isValid() else len(self.columns)

    def headerData(  # noqa: N802
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Return a column's title and tooltip."""
        if orientation != Qt.Orientation.Horizontal or section >= len(self.columns):
            return None
        name = self.columns[section]
        plain = name.removesuffix(AGAINST)
        title = _TITLES.get(plain, plain)
        if role == Qt.ItemDataRole.DisplayRole:
            return f"{title} ↔" if name.endswith(AGAINST) else title
        if role == Qt.ItemDataRole.ToolTipRole:
            other = ", of the weights compared with" if name.endswith(AGAINST) else ""
            return _TIPS.get(plain, title) + other
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return a cell: its words, or what it is sorted by."""
        value = self.rows[index.row()].get(self.columns[index.column()])
        if role == Qt.ItemDataRole.DisplayRole:
            return say_cell(value)
        if role == SORT_ROLE:
            is_defined = value is not None and value == value
            return value if is_defined else math.inf
        if role == Qt.ItemDataRole.ToolTipRole and isinstance(value, str):
            return value
        if role == Qt.ItemDataRole.TextAlignmentRole and not isinstance(value, str):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None


def say_cell(value: Any) -> str:
    """Return a figure as the table shows it."""
    if value is None:
        return "-"
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.1f}" if value >= 10 else f"{value:.3f}"
    return f"{value:g}" if isinstance(value, int | float) else str(value)
