"""The legend of a heatmap: its colours, and what they mean."""

from html import escape

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QLinearGradient, QPainter, QPaintEvent
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

from napari_segmoe.types import Explanation
from napari_segmoe.viewer.heatmap_drawing import (
    category_colour,
    contrast_limits,
    gradient,
)
from napari_segmoe.widgets.routing_matrix import number_text

BAR_PX = 8
STOPS = 33


class ColourBar(QWidget):
    """A colour map as a thin bar, with the values at its ends, and zero if inside.

    Parameters
    ----------
    explanation : Explanation
        Of kind "map".
    """

    def __init__(self, explanation: Explanation) -> None:
        super().__init__()
        self._explanation = explanation
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_scale(self, explanation: Explanation) -> None:
        """Show another scale."""
        self._explanation = explanation
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the height of the bar and one line of text."""
        return QSize(120, BAR_PX + 3 + self.fontMetrics().height())

    def paintEvent(self, _: QPaintEvent) -> None:  # noqa: N802
        """Draw bar and numbers."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ramp = QLinearGradient(0, 0, self.width(), 0)
        colours = gradient(self._explanation.colormap, STOPS)
        for at, (red, green, blue, _alpha) in enumerate(colours.tolist()):
            ramp.setColorAt(at / (STOPS - 1), QColor.fromRgbF(red, green, blue))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(ramp)
        painter.drawRoundedRect(QRectF(0, 0, self.width(), BAR_PX), 2, 2)
        painter.setPen(self.palette().color(self.foregroundRole()))
        line = self.rect().adjusted(0, BAR_PX + 2, 0, 0)
        low, high = contrast_limits(self._explanation)
        left, middle, right = (
            Qt.AlignmentFlag.AlignLeft,
            Qt.AlignmentFlag.AlignHCenter,
            Qt.AlignmentFlag.AlignRight,
        )
        painter.drawText(line, left, number_text(low))
        painter.drawText(line, right, number_text(high))
        if low == -high:
            painter.drawText(line, middle, "0")
        painter.end()


def make_category_legend(explanation: Explanation) -> QLabel:
    """Return the categories with their colours, as a line that wraps."""
    label = QLabel(category_text(explanation))
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.RichText)
    return label


def category_text(explanation: Explanation) -> str:
    """Return the categories with a coloured square each, as rich text."""
    parts = (
        f'<span style="color:{category_colour(index)}">■</span>&nbsp;'
        + escape(name).replace(" ", "&nbsp;")
        for index, name in enumerate(explanation.labels)
    )
    return " &nbsp; ".join(parts)
