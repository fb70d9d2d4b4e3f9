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

from napari_segmoe.project.records import Provenance, ReviewState
from napari_segmoe.session.objects import ObjectRecord
from napari_segmoe.session.session import Session
from napari_segmoe.session.slide_scene import RegionRecord
from napari_segmoe.types import Spacing
from napari_segmoe.viewer.drawing import UNCLASSIFIED_COLOUR
from napari_segmoe.widgets.icons import dot_icon

UNCLASSIFIED = "unclassified"
SORT_ROLE = Qt.ItemDataRole.UserRole
STATE_ROLE = Qt.ItemDataRole.UserRole + 1
CLASS_COLUMN, STATE_COLUMN = 1, 2
AnyIndex = QModelIndex | QPersistentModelIndex
NO_INDEX = QModelIndex()
_FINE_UM = 20.0  # pixels below this: a microscope's, measured in um
_TEXT_COLUMNS = ("class", "review", "source")
_MEASURES = ("long", "short", "area")
_TEXT_SIDE, _NUMBER_SIDE = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its title, its tooltip and its value."""

    title: str
    tooltip: str
    value: Callable[[ObjectRecord, Spacing | None], Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One object, and the region of the slide it lies in, if it lies in one."""

    record: ObjectRecord
    region: RegionRecord | None = None

    @property
    def number(self) -> int | None:
        """The region's number."""
        return self.region.number if self.region else None

    @property
    def identity(self) -> tuple[int | None, int]:
        """What tells it from other rows: ids are unique within a region."""
        return self.number, self.record.id


def _axis(length_px: float, spacing_um: Spacing | None) -> float:
    return length_px if spacing_um is None else length_px * _unit_side(spacing_um)


def _unit_side(spacing_um: Spacing) -> float:
    """Return the side of a pixel in the unit that lengths are shown in."""
    side_um = float((spacing_um[0] * spacing_um[1]) ** 0.5)
    return side_um if is_fine(spacing_um) else side_um / 1000


def is_fine(spacing_um: Spacing) -> bool:
    """Whether lengths are shown in um, not mm."""
    return max(spacing_um) < _FINE_UM


def _area(record: ObjectRecord, spacing_um: Spacing | None) -> float:
    if spacing_um is None:
        return record.measured.area_px
    return record.measured.area_px * _unit_side(spacing_um) ** 2


COLUMNS = (
    Column("id", "Value in the label image", lambda r, _: r.id),
    Column("class", "Double-click to change", lambda r, _: r.class_id),
    Column("review", "How far its review is", lambda r, _: str(r.state)),
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
STATE_TIPS = {
    ReviewState.PROPOSED: "Proposed by a model; nobody has looked at it",
    ReviewState.ACCEPTED: "Accepted: a model learns from it",
    ReviewState.REVIEWED: "Reviewed a second time",
    ReviewState.LOCKED: "Locked: nothing changes it",
}
PROVENANCES = {
    Provenance.DRAWN: "Outline drawn by a person",
    Provenance.ACCEPTED_CLICK: "Outline of a model, asked for by clicks",
    Provenance.ACCEPTED_AUTOMATIC: "Outline of a model, found by itself",
    Provenance.MODEL: "Outline of a model",
}
REGION_COLUMN = len(COLUMNS)  # shown while a slide has several regions
REGION_TITLE, REGION_TOOLTIP = "region", "Region of the slide that it lies in"


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
        self._rows: tuple[Row, ...] = ()
        session.objects_changed.connect(self._on_objects_changed)
        session.classes_changed.connect(self._on_objects_changed)
        session.image_changed.connect(self._on_objects_changed)
        session.regions.regions_changed.connect(self._on_objects_changed)
        self._on_objects_changed()

    @property
    def rows(self) -> tuple[Row, ...]:
        """The objects shown, in order of rows: those of all regions of a slide."""
        return self._rows

    @property
    def session(self) -> Session:
        """The session shown."""
        return self._session

    def row_of(self, object_id: int | None) -> int | None:
        """Return the row of an object of the present image, or None."""
        current = self._session.regions.current
        wanted = (current.number if current else None, object_id)
        found = (at for at, row in enumerate(self._rows) if row.identity == wanted)
        return next(found, None)

    def rowCount(self, parent: AnyIndex = NO_INDEX) -> int:  # noqa: N802
        """Return the number of objects."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: AnyIndex = NO_INDEX) -> int:  # noqa: N802
        """Return the number of columns."""
        return 0 if parent.isValid() else len(COLUMNS) + 1

    def headerData(  # noqa: N802
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Return a column's title or tooltip."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        title, tooltip = REGION_TITLE, REGION_TOOLTIP
        if section != REGION_COLUMN:
            title, tooltip = COLUMNS[section].title, COLUMNS[section].tooltip
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = _TEXT_SIDE if title in _TEXT_COLUMNS else _NUMBER_SIDE
            return int(side | Qt.AlignmentFlag.AlignVCenter)
        if role == Qt.ItemDataRole.DisplayRole:
            return title + self._unit(title)
        return tooltip if role == Qt.ItemDataRole.ToolTipRole else None

    def data(self, index: AnyIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows, sorts by or edits."""
        row, column = self._rows[index.row()], index.column()
        if role == STATE_ROLE:
            return row.record.state
        if column == CLASS_COLUMN:
            return self._class_data(row.record, role)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tooltip(row.record, column)
        return _shown(self._value(row, column), role)

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
        row = self._rows[index.row()]
        self.reach(row)
        self._session.annotation.assign_class([row.record.id], value)
        return True

    def reach(self, row: Row) -> None:
        """Work on the region in which an object lies."""
        if row.region is not None:
            self._session.regions.show(row.region.number)

    def _on_objects_changed(self, _: object = None) -> None:
        rows = _rows_of(self._session)
        if [row.identity for row in rows] != [row.identity for row in self._rows]:
            self.beginResetModel()
            self._rows = rows
            self.endResetModel()
            return
        self._rows = rows
        if rows:
            last = self.index(len(rows) - 1, REGION_COLUMN)
            self.dataChanged.emit(self.index(0, 0), last)

    def _value(self, row: Row, column: int) -> Any:
        if column == REGION_COLUMN:
            return row.number
        spacing_um = row.region.spacing_um if row.region else self._spacing()
        return COLUMNS[column].value(row.record, spacing_um)

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
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tooltip(record, CLASS_COLUMN)
        return None

    def _tooltip(self, record: ObjectRecord, column: int) -> str:
        if column == STATE_COLUMN:
            return f"{STATE_TIPS[record.state]}\n{PROVENANCES[record.provenance]}"
        answer = record.measured.probabilities or {}
        parts = [f"{name} {value:.2f}" for name, value in answer.items()]
        return "The model: " + ", ".join(parts) if parts else "No class by the model"

    def _spacing(self) -> Spacing | None:
        image, regions = self._session.image, self._session.regions.all
        if image is None:
            return regions[0].spacing_um if regions else None
        return image.spacing_um

    def _unit(self, title: str) -> str:
        if title not in _MEASURES:
            return ""
        spacing_um = self._spacing()
        if spacing_um is None:
            return " px"
        unit = "µm" if is_fine(spacing_um) else "mm"
        return f" {unit}²" if title == "area" else f" {unit}"


def _rows_of(session: Session) -> tuple[Row, ...]:
    regions = session.regions
    if regions.slide is not None:
        return tuple(Row(record, region) for region, record in regions.objects)
    return tuple(Row(record) for record in session.annotation.records)


def _shown(value: Any, role: int) -> Any:
    if role == Qt.ItemDataRole.DisplayRole:
        return _in_words(value)
    if role == SORT_ROLE:
        return -1.0 if value is None else value
    if role == Qt.ItemDataRole.TextAlignmentRole and not isinstance(value, str):
        return int(_NUMBER_SIDE | Qt.AlignmentFlag.AlignVCenter)
    return None


def _in_words(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"
    return str(value)
