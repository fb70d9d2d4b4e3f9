"""One explanation in the Heatmaps tab: a map to tick, or a table."""

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_segmoe.session.session import Session
from napari_segmoe.types import Explanation
from napari_segmoe.widgets.colour_bar import (
    ColourBar,
    category_text,
    make_category_legend,
)
from napari_segmoe.widgets.routing_matrix import RoutingMatrix, number_text

INDENT_PX = 22
FAINT_COLOUR = "#8A8F98"  # legible on napari's dark and light grounds


class HeatmapRow(QWidget):
    """A map or categories: a box to tick, the value under the mouse, a legend.

    Parameters
    ----------
    session : Session
        The session.
    explanation : Explanation
        Of kind "map" or "categories".
    """

    def __init__(self, session: Session, explanation: Explanation) -> None:
        super().__init__()
        self._session = session
        self._key = explanation.key
        self._box = QCheckBox(explanation.name)
        self._box.setToolTip(explanation.description)
        self._value = QLabel()
        self._value.setAlignment(
            Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        )
        self._is_map = explanation.kind == "map"
        self._legend: QLabel | ColourBar = (
            ColourBar(explanation)
            if self._is_map
            else make_category_legend(explanation)
        )
        self._text = make_small_text(explanation.description)
        self._details = QWidget()
        details = QVBoxLayout(self._details)
        details.setContentsMargins(INDENT_PX, 0, 0, 4)
        details.setSpacing(3)
        details.addWidget(self._legend)
        details.addWidget(self._text)
        head = QHBoxLayout()
        head.setSpacing(6)
        head.addWidget(self._box, 1)
        head.addWidget(self._value)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addLayout(head)
        layout.addWidget(self._details)
        self._box.clicked.connect(self._on_box_clicked)
        self.show_explanation(explanation)
        self.show_choice()

    @property
    def box(self) -> QCheckBox:
        """The box to tick."""
        return self._box

    @property
    def value_text(self) -> str:
        """The value shown for the pixel under the mouse; empty off the image."""
        return str(self._value.text())

    def show_explanation(self, explanation: Explanation) -> None:
        """Show the scale of newer values."""
        self._text.setText(explanation.description)
        self._box.setToolTip(explanation.description)
        if isinstance(self._legend, ColourBar):
            self._legend.show_scale(explanation)
        else:
            self._legend.setText(category_text(explanation))

    def show_choice(self) -> None:
        """Show whether the map is chosen."""
        is_shown = self._key in self._session.explaining.shown
        with signals_blocked(self._box):
            self._box.setChecked(is_shown)
        self._details.setVisible(is_shown)

    def show_value(self, at: tuple[int, int] | None) -> None:
        """Show the value at pixel (y, x)."""
        explanation = self._session.explaining.find(self._key)
        self._value.setText("" if explanation is None else value_text(explanation, at))

    def _on_box_clicked(self, is_checked: bool) -> None:
        self._session.explaining.show(self._key, is_shown=is_checked)


class TableRow(QWidget):
    """A table with its title and what it says.

    Parameters
    ----------
    explanation : Explanation
        Of kind "table".
    """

    def __init__(self, explanation: Explanation) -> None:
        super().__init__()
        self._title = QLabel(explanation.name)
        self._title.setWordWrap(True)
        self.matrix = RoutingMatrix(explanation)
        self._text = make_small_text(explanation.description)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 4)
        layout.setSpacing(3)
        for part in (self._title, self.matrix, self._text):
            layout.addWidget(part)

    def show_explanation(self, explanation: Explanation) -> None:
        """Show newer numbers."""
        self._text.setText(explanation.description)
        self.matrix.show_table(explanation)

    def show_choice(self) -> None:
        """Do nothing: tables are always shown."""

    def show_value(self, at: tuple[int, int] | None) -> None:
        """Do nothing: a table has no value at a pixel."""


def make_small_text(text: str) -> QLabel:
    """Return faint, small text that wraps."""
    label = QLabel(text)
    font = label.font()
    font.setPointSizeF(font.pointSizeF() * 0.9)
    label.setFont(font)
    label.setWordWrap(True)
    label.setStyleSheet(f"color: {FAINT_COLOUR};")
    return label


def value_text(explanation: Explanation, at: tuple[int, int] | None) -> str:
    """Return an explanation's value at pixel (y, x) in words; empty off the map."""
    height, width = explanation.values.shape
    if at is None or not (0 <= at[0] < height and 0 <= at[1] < width):
        return ""
    value = float(explanation.values[at])
    if explanation.kind != "categories":
        return number_text(value)
    is_known = np.isfinite(value) and 0 <= value < len(explanation.labels)
    return explanation.labels[int(value)] if is_known else "-"
