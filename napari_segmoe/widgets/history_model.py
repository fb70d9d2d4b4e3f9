"""A project's events as a Qt table, read a page at a time."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from qtpy.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
)

from napari_segmoe.project.headlines import Headline
from napari_segmoe.project.records import EventKind

PAGE = 100
AnyIndex = QModelIndex | QPersistentModelIndex
NO_INDEX = QModelIndex()
Reader = Callable[[int | None, int], tuple[Headline, ...]]
COLUMNS = ("when", "what", "who", "image")
_KIND_TEXTS = {
    EventKind.CREATED: "Project made",
    EventKind.ANNOTATOR: "New annotator",
    EventKind.IMAGE: "Image added",
    EventKind.CLICK: "Click",
    EventKind.COMMIT: "Committed",
    EventKind.CORRECT: "Corrected",
    EventKind.ACCEPT: "Accepted",
    EventKind.REVIEW: "Reviewed",
    EventKind.FINISH_TILE: "Finished",
    EventKind.DELETE: "Deleted",
    EventKind.CLASS: "Class given",
    EventKind.CLASSES: "List of classes",
    EventKind.IMPORT: "Imported",
    EventKind.UNDO: "Undone",
    EventKind.REDO: "Done again",
    EventKind.RUN: "Training",
    EventKind.PUBLISH: "Published",
    EventKind.ROLLBACK: "Not published",
    EventKind.REVERT: "Went back",
    EventKind.REJECT: "Rejected",
}


class HistoryModel(QAbstractTableModel):
    """Rows are events, newest first; older ones are read as they are scrolled to.

    Parameters
    ----------
    read : callable
        Takes a number (None: the end) and how many, and returns the events below it,
        newest first.
    parent : QObject or None
        Owner.
    """

    def __init__(self, read: Reader, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._read = read
        self._rows: list[Headline] = []
        self._is_at_end = True

    @property
    def rows(self) -> tuple[Headline, ...]:
        """The events read so far, newest first."""
        return tuple(self._rows)

    def read_anew(self) -> None:
        """Forget all, and read the newest page: another project."""
        self.beginResetModel()
        self._rows = list(self._read(None, PAGE))
        self._is_at_end = len(self._rows) < PAGE
        self.endResetModel()

    def read_newer(self) -> None:
        """Put what happened since on top."""
        newest = self._rows[0].number if self._rows else 0
        found = self._read(None, PAGE)
        if found and found[-1].number > newest + 1:
            self.read_anew()
            return
        newer = [one for one in found if one.number > newest]
        if newer:
            self.beginInsertRows(QModelIndex(), 0, len(newer) - 1)
            self._rows[:0] = newer
            self.endInsertRows()

    def canFetchMore(self, parent: AnyIndex = NO_INDEX) -> bool:  # noqa: N802
        """Say whether older events can be read."""
        return not parent.isValid() and not self._is_at_end

    def fetchMore(self, parent: AnyIndex = NO_INDEX) -> None:  # noqa: N802
        """Read the next older page."""
        if self._is_at_end or not self._rows:
            return
        older = self._read(self._rows[-1].number, PAGE)
        self._is_at_end = len(older) < PAGE
        if older:
            first = len(self._rows)
            self.beginInsertRows(QModelIndex(), first, first + len(older) - 1)
            self._rows += older
            self.endInsertRows()

    def rowCount(self, parent: AnyIndex = NO_INDEX) -> int:  # noqa: N802
        """Return the number of events read so far."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: AnyIndex = NO_INDEX) -> int:  # noqa: N802
        """Return the number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(  # noqa: N802
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Return a column's title."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        return COLUMNS[section] if role == Qt.ItemDataRole.DisplayRole else None

    def data(self, index: AnyIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        line = self._rows[index.row()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return describe(line)
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        cells = (
            say_when(line.time_utc),
            say_what(line),
            line.annotator or "",
            short_image(line.image),
        )
        return cells[index.column()]


def say_what(line: Headline) -> str:
    """Return what an event did, in a few words."""
    words = [_KIND_TEXTS[line.kind]]
    count = len(line.object_ids)
    if count:
        words.append("1 object" if count == 1 else f"{count} objects")
    return " ".join(words) + (f" · {line.text}" if line.text else "")


def say_when(time_utc: str, *, now: datetime | None = None) -> str:
    """Return a time on this computer's clock: of today the hour, else the day."""
    when = datetime.fromisoformat(time_utc).astimezone()
    today = (now or datetime.now().astimezone()).date()
    if when.date() == today:
        return f"{when:%H:%M}"
    return f"{when.day} {when:%b}" + ("" if when.year == today.year else f" {when:%y}")


def describe(line: Headline) -> str:
    """Return an event in full, for a tooltip."""
    when = datetime.fromisoformat(line.time_utc).astimezone()
    ids = ", ".join(map(str, line.object_ids[:12]))
    more = " …" if len(line.object_ids) > 12 else ""
    parts = [
        f"Event {line.number}, {when:%Y-%m-%d %H:%M:%S}",
        say_what(line),
        f"Image: {line.image}" if line.image else "",
        f"Objects: {ids}{more}" if ids else "",
        f"By: {line.annotator}" if line.annotator else "",
    ]
    return "\n".join(part for part in parts if part)


def short_image(name: str | None) -> str:
    """Return an image's number for a narrow column."""
    return (name or "").removeprefix("image-")
