"""A figure with its interval, drawn as a dot on a line from 0 to 1."""

from qtpy.QtCore import QPointF, QRectF, QSize
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

HEIGHT_PX = 16
GROUND_COLOUR = "#808890"
USED_COLOUR = "#3FBF7F"
OTHER_COLOUR = "#4C9BE8"


class IntervalBar(QWidget):
    """A dot at a value and a whisker over its interval.

    Parameters
    ----------
    parent : QWidget or None
        Owner.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._value: float | None = None
        self._interval: tuple[float, float] | None = None
        self._range = (0.0, 1.0)
        self._colour = OTHER_COLOUR
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a strip as wide as there is room."""
        return QSize(90, HEIGHT_PX)

    def show_figure(
        self,
        value: float | None,
        interval: tuple[float, float] | None,
        *,
        shown: tuple[float, float],
        is_used: bool,
    ) -> None:
        """Draw a figure.

        Parameters
        ----------
        value : float or None
        interval : (low, high) or None
        shown : (low, high)
            What the strip's ends mean: the same for all strips that are compared.
        is_used : bool
            Whether it stands for what is in use.
        """
        self._value, self._interval, self._range = value, interval, shown
        self._colour = USED_COLOUR if is_used else OTHER_COLOUR
        self.update()

    def paintEvent(self, _: QPaintEvent) -> None:  # noqa: N802
        """Draw line, whisker and dot."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle = self.height() / 2
        ground = QColor(GROUND_COLOUR)
        ground.setAlpha(90)
        painter.setPen(QPen(ground, 1))
        painter.drawLine(QPointF(4, middle), QPointF(self.width() - 4, middle))
        if self._value is not None:
            self._paint_figure(painter, self._value, middle)
        painter.end()

    def _paint_figure(self, painter: QPainter, value: float, middle: float) -> None:
        colour = QColor(self._colour)
        if self._interval is not None:
            low, high = (self._place(end) for end in self._interval)
            faint = QColor(colour)
            faint.setAlpha(110)
            painter.setPen(QPen(faint, 0))
            painter.setBrush(faint)
            painter.drawRoundedRect(
                QRectF(low, middle - 2.5, max(high - low, 2), 5), 2, 2
            )
        painter.setPen(QPen(colour, 0))
        painter.setBrush(colour)
        painter.drawEllipse(QPointF(self._place(value), middle), 4.5, 4.5)

    def _place(self, value: float) -> float:
        low, high = self._range
        share = (value - low) / (high - low) if high > low else 0.5
        return 6 + min(max(share, 0.0), 1.0) * (self.width() - 12)
