"""Small pictures drawn in code: class dots and activity dots."""

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPen, QPixmap, QPolygonF


def dot_pixmap(colour: str, side: int = 12, *, scale: float = 2.0) -> QPixmap:
    """Return a filled disc of ``colour`` (#RRGGBB) on nothing."""
    pixmap = QPixmap(int(side * scale), int(side * scale))
    pixmap.setDevicePixelRatio(scale)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colour))
    painter.drawEllipse(1, 1, side - 2, side - 2)
    painter.end()
    return pixmap


def dot_icon(colour: str) -> QIcon:
    """Return a disc as an icon."""
    pixmap = dot_pixmap(colour)
    icon = QIcon(pixmap)
    icon.addPixmap(pixmap, QIcon.Mode.Selected)  # else Qt tints it in chosen rows
    return icon


def ring_icon(colour: str, side: int = 12) -> QIcon:
    """Return an empty circle as an icon: for what is not begun."""
    pixmap = QPixmap(side * 2, side * 2)
    pixmap.setDevicePixelRatio(2.0)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    pen = QPen(QColor(colour))
    pen.setWidthF(1.5)
    painter.setPen(pen)
    painter.drawEllipse(QRectF(2, 2, side - 4, side - 4))
    painter.end()
    icon = QIcon(pixmap)
    icon.addPixmap(pixmap, QIcon.Mode.Selected)
    return icon


def arrow_icon(*, down: bool, colour: str = "#9AA0A8") -> QIcon:
    """Return a small triangle that points down or right."""
    side = 24
    pixmap = QPixmap(side, side)
    pixmap.setDevicePixelRatio(2.0)
    pixmap.fill(Qt.GlobalColor.transparent)
    corners = ((2, 4), (10, 4), (6, 9)) if down else ((4, 2), (9, 6), (4, 10))
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colour))
    painter.drawPolygon(QPolygonF([QPointF(x, y) for x, y in corners]))
    painter.end()
    return QIcon(pixmap)
