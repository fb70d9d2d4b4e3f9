"""A small table of numbers as coloured cells, drawn crisply at any width."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QPoint, QRect, QSize, Qt
from qtpy.QtGui import QColor, QFontMetrics, QHelpEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_segmoe.types import Explanation
from napari_segmoe.viewer.heatmap_drawing import contrast_limits, gradient

CELL_HEIGHT_PX = 22
GAP_PX = 1
PADDING_PX = 6
SHADES = 256
WIDEST_LABELS = 0.42  # of the width, for the names of the rows
NARROWEST_CELL_PX = 14
TALLEST_HEAD_PX = 130


class RoutingMatrix(QWidget):
    """A view of one table: names of rows and columns, a number in each cell.

    Parameters
    ----------
    table : Explanation
        Of kind "table".
    parent : QWidget or None
        Owner.
    """

    def __init__(self, table: Explanation, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self._table = table
        self._colours = gradient(table.colormap, SHADES)
        self.show_table(table)

    @property
    def table(self) -> Explanation:
        """The table shown."""
        return self._table

    def show_table(self, table: Explanation) -> None:
        """Show newer numbers, or another table."""
        if table.colormap != self._table.colormap:
            self._colours = gradient(table.colormap, SHADES)
        self._table = table
        self.setAccessibleName(table.name)
        self.setAccessibleDescription(describe_table(table))
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the height that all rows need."""
        return QSize(180, self._head_px() + len(self._values()) * CELL_HEIGHT_PX)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return a width in which cells still show their colour."""
        columns = self._values().shape[1]
        return QSize(60 + columns * NARROWEST_CELL_PX, self.sizeHint().height())

    def cell_at(self, point: QPoint) -> tuple[int, int] | None:
        """Return (row, column) of the cell at a point of the widget, or None."""
        rows, columns = self._values().shape
        for row in range(rows):
            for column in range(columns):
                if self.cell_rect(row, column).contains(point):
                    return row, column
        return None

    def cell_rect(self, row: int, column: int) -> QRect:
        """Return where a cell is drawn, in whole pixels."""
        columns = self._values().shape[1]
        left, top = self._label_px(), self._head_px() + row * CELL_HEIGHT_PX
        width = max(self.width() - left, columns)
        start, end = (left + width * at // columns for at in (column, column + 1))
        return QRect(start, top, end - start - GAP_PX, CELL_HEIGHT_PX - GAP_PX)

    def colour_of(self, value: float) -> QColor:
        """Return the colour of a number; grey for what is no number."""
        if not np.isfinite(value):
            return QColor(128, 128, 128, 60)
        low, high = contrast_limits(self._table)
        part = min(max((value - low) / (high - low), 0.0), 1.0)
        red, green, blue = self._colours[round(part * (SHADES - 1))][:3]
        return QColor.fromRgbF(float(red), float(green), float(blue))

    def event(self, event: QEvent) -> bool:
        """Say what a cell is, in a tooltip."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            cell = self.cell_at(event.pos())
            text = self._table.description if cell is None else self._say(*cell)
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return super().event(event)

    def paintEvent(self, _: QPaintEvent) -> None:  # noqa: N802
        """Draw names, cells and numbers."""
        painter = QPainter(self)
        foreground = self.palette().color(self.foregroundRole())
        painter.setPen(foreground)
        self._draw_names(painter)
        for (row, column), value in np.ndenumerate(self._values()):
            rect, colour = self.cell_rect(row, column), self.colour_of(float(value))
            painter.fillRect(rect, colour)
            text = number_text(float(value))
            if self.fontMetrics().horizontalAdvance(text) <= rect.width() - 2:
                painter.setPen(_readable_on(colour))
                painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, text)
        painter.end()

    def _draw_names(self, painter: QPainter) -> None:
        metrics, width = self.fontMetrics(), self._label_px() - PADDING_PX
        middle = Qt.AlignmentFlag.AlignVCenter
        for row, name in enumerate(self._row_names()):
            rect = self.cell_rect(row, 0)
            rect.setLeft(0)
            rect.setWidth(width)
            painter.drawText(rect, middle, _shorten(name, metrics, width))
        head = self._head_px()
        for column, name in enumerate(self._column_names()):
            rect = self.cell_rect(0, column)
            if not self._is_upright():
                rect.setTop(0)
                rect.setHeight(head)
                wrapped = Qt.TextFlag.TextWordWrap | Qt.AlignmentFlag.AlignCenter
                painter.drawText(rect, wrapped, name)
                continue
            painter.save()
            painter.translate(rect.left(), head)
            painter.rotate(-90)
            text = _shorten(name, metrics, head - PADDING_PX)
            where = QRect(PADDING_PX // 2, 0, head, rect.width())
            painter.drawText(where, middle, text)
            painter.restore()

    def _values(self) -> NDArray[np.float32]:
        values = np.atleast_2d(self._table.values)
        return values if values.size else np.full((1, 1), np.nan, np.float32)

    def _row_names(self) -> Sequence[str]:
        return self._table.row_labels

    def _column_names(self) -> Sequence[str]:
        return self._table.labels

    def _say(self, row: int, column: int) -> str:
        names = (
            _name_at(self._row_names(), row),
            _name_at(self._column_names(), column),
        )
        place = ", ".join(name for name in names if name)
        return f"{place}: {float(self._values()[row, column]):.4g}"

    def _label_px(self) -> int:
        widest = _widest(self._row_names(), self.fontMetrics())
        if widest == 0:
            return 0
        return min(widest + PADDING_PX, int(self.width() * WIDEST_LABELS))

    def _room_px(self) -> int:
        columns = self._values().shape[1]
        return (self.width() - self._label_px()) // columns - GAP_PX

    def _is_upright(self) -> bool:
        """Whether names of columns stand upright: some word is wider than a cell."""
        words = [word for name in self._column_names() for word in name.split()]
        return _widest(words, self.fontMetrics()) > self._room_px()

    def _head_px(self) -> int:
        metrics, names = self.fontMetrics(), self._column_names()
        if not names:
            return 0
        if self._is_upright():
            return min(_widest(names, metrics), TALLEST_HEAD_PX) + PADDING_PX
        room = QRect(0, 0, self._room_px(), TALLEST_HEAD_PX)
        wrapped = Qt.TextFlag.TextWordWrap
        heights = (metrics.boundingRect(room, wrapped, name).height() for name in names)
        return max(map(int, heights)) + PADDING_PX

    def resizeEvent(self, event: object) -> None:  # noqa: N802
        """Make room where names have to stand upright at the new width."""
        self.updateGeometry()


def number_text(value: float) -> str:
    """Return a number as short as it stays readable; a dash for none."""
    if not np.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.3g}"


def describe_table(table: Explanation) -> str:
    """Return a table in words, row by row, for screen readers."""
    lines = []
    for row, values in enumerate(np.atleast_2d(table.values)):
        cells = (
            f"{_name_at(table.labels, column)} {number_text(float(value))}".strip()
            for column, value in enumerate(values)
        )
        name = _name_at(table.row_labels, row)
        lines.append(f"{name}: {', '.join(cells)}" if name else ", ".join(cells))
    return "; ".join(lines)


def _name_at(names: Sequence[str], index: int) -> str:
    return names[index] if index < len(names) else ""


def _widest(names: Sequence[str], metrics: QFontMetrics) -> int:
    widths = (int(metrics.horizontalAdvance(name)) for name in names if name)
    return max((width + 2 for width in widths), default=0)  # advances round down


def _shorten(name: str, metrics: QFontMetrics, width: int) -> str:
    return str(metrics.elidedText(name, Qt.TextElideMode.ElideRight, width))


def _readable_on(colour: QColor) -> QColor:
    light = 0.299 * colour.redF() + 0.587 * colour.greenF() + 0.114 * colour.blueF()
    return QColor("#101010") if light > 0.5 else QColor("#F5F5F5")
