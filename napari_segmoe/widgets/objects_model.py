"""The session's objects as a Qt table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
)
from qtpy.QtGui import QColor

from napari_segmoe.session.objects import ObjectRecord
from napari_segmoe.session.session import Session
from napari_segmoe.types import Spacing
from napari_segmoe.viewer.drawing import UNCLASSIFIED_COLOUR
from napari_segmoe.widgets.icons import dot_icon

UNCLASSIFIED = "unclassified"
SORT_ROLE = Qt.ItemDataRole.UserRole
CLASS_COLUMN = 1
AnyIndex = QModelIndex | QPersistentModelIndex
NO_INDEX = QModelIndex()
_TEXT_COLUMNS = ("class", "source")
_TEXT_SIDE, _NUMBER_SIDE = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its title, its tooltip and its value."""

    title: str
    tooltip: str
    value: Callable[[ObjectRecord, Spacing | None], Any]


def _axis(length_px: float, spacing_um: Spacing | None) -> float:
    return length_px if spacing_um is None else length_px * _side_um(spacing_um) / 1000


def _side_um(spacing_um: Spacing) -> float:
    return float((spacing_um[0] * spacing_um[1]) ** 0.5)


def _area(record: ObjectRecord, spacing_um: Spacing | None) -> float:
    if spacing_um is None:
        return record.measured.area_px
    return record.measured.area_px * spacing_um[0] * spacing_um[1] / 1e6


COLUMNS = (
    Column("id", "Value in the label image", lambda r, _: r.id),
    Column("class", "Double-click to change", lambda r, _: r.class_id),
    Column("p", "The model's probability of its answer", lambda r, _: r.probability),
    Column("source", "Who gave the class", lambda r, _: str(r.source)),
    Column(
        "long",
        "Long axis of the ellipse with the same moments",
        lambda r, s: _axis(r.measured.long_axis_px, s),
    ),
    Column(
        "short",
        "Short axis of the ellipse with the same moments",
        lambda r, s: _axis(r.measured.short_axis_px, s),
    ),
    Column(
        "W/H",
        "Width over height: below 1 is taller than wide",
        lambda r, _: r.measured.width_height_ratio,
    ),
    Column("area", "Area", _area),
)


class ObjectsModel(QAbstractTableModel):
    """Rows are the session's objects; the class can be edited.

    Parameters
    ----------
    session : Session
        The session.
    parent : QObject or None
        Owner.
    """

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._records: tuple[ObjectRecord, ...] = ()
        session.objects_changed.connect(self._on_objects_changed)
        session.classes_changed.connect(self._on_objects_changed)
        session.image_changed.connect(self._on_objects_changed)
        self._on_objects_changed()

    @property
    def records(self) -> tuple[ObjectRecord, ...]:
        """The objects shown, in order of rows."""
        return self._records

    @property
    def session(self) -> Session:
        """The session shown."""
        return self._session

    def row_of(self, object_id: int | None) -> int | None:
        """Return the row of an object, or None."""
        ids = [record.id for record in self._records]
        return ids.index(object_id) if object_id in ids else None

    def rowCount(self, parent: AnyIndex = NO_INDEX) -> int:  # noqa: N802
        """Return the number of objects."""
        return 0 if parent.isValid() else len(self._records)

    def columnCount(self, parent: AnyIndex = NO_INDEX) -> int:  # noqa: N802
        """Return the number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(  # noqa: N802
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Return a column's title or tooltip."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        column = COLUMNS[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = _TEXT_SIDE if column.title in _TEXT_COLUMNS else _NUMBER_SIDE
            return int(side | Qt.AlignmentFlag.AlignVCenter)
        if role == Qt.ItemDataRole.DisplayRole:
            return column.title + self._unit(column.title)
        return column.tooltip if role == Qt.ItemDataRole.ToolTipRole else None

    def data(self, index: AnyIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows, sorts by or edits."""
        record = self._records[index.row()]
        if index.column() == CLASS_COLUMN:
            return self._class_data(record, role)
        value = COLUMNS[index.column()].value(record, self._spacing())
        if role == Qt.ItemDataRole.DisplayRole:
            return _in_words(value)
        if role == SORT_ROLE:
            return -1.0 if value is None else value
        if role == Qt.ItemDataRole.TextAlignmentRole and not isinstance(value, str):
            return int(_NUMBER_SIDE | Qt.AlignmentFlag.AlignVCenter)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tooltip(record)
        return None

    def flags(self, index: AnyIndex) -> Qt.ItemFlag:
        """Say that the class can be edited."""
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if index.column() == CLASS_COLUMN:
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def setData(  # noqa: N802
        self, index: AnyIndex, value: Any, role: int = Qt.ItemDataRole.EditRole
    ) -> bool:
        """Assign a class by its id, or None."""
        if role != Qt.ItemDataRole.EditRole or index.column() != CLASS_COLUMN:
            return False
        record = self._records[index.row()]
        self._session.annotation.assign_class([record.id], value)
        return True

    def _on_objects_changed(self, _: object = None) -> None:
        records = self._session.annotation.records
        if [r.id for r in records] != [r.id for r in self._records]:
            self.beginResetModel()
            self._records = records
            self.endResetModel()
            return
        self._records = records
        if records:
            last = self.index(len(records) - 1, len(COLUMNS) - 1)
            self.dataChanged.emit(self.index(0, 0), last)

    def _class_data(self, record: ObjectRecord, role: int) -> Any:
        entry = self._session.classes.table.find(record.class_id)
        if role in (Qt.ItemDataRole.DisplayRole, SORT_ROLE):
            return entry.name if entry else UNCLASSIFIED
        if role == Qt.ItemDataRole.DecorationRole:
            return dot_icon(entry.colour if entry else UNCLASSIFIED_COLOUR)
        if role == Qt.ItemDataRole.EditRole:
            return record.class_id
        if role == Qt.ItemDataRole.ForegroundRole and entry is None:
            return QColor(UNCLASSIFIED_COLOUR)
        return self._tooltip(record) if role == Qt.ItemDataRole.ToolTipRole else None

    def _tooltip(self, record: ObjectRecord) -> str:
        answer = record.measured.probabilities or {}
        parts = [f"{name} {value:.2f}" for name, value in answer.items()]
        return "The model: " + ", ".join(parts) if parts else "No class by the model"

    def _spacing(self) -> Spacing | None:
        image = self._session.image
        return image.spacing_um if image else None

    def _unit(self, title: str) -> str:
        has_spacing = self._spacing() is not None
        units = {"long": ("px", "mm"), "short": ("px", "mm"), "area": ("px", "mm²")}
        return f" {units[title][has_spacing]}" if title in units else ""


def _in_words(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"
    return str(value)
