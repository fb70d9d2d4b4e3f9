"""A choice whose text ends in an ellipsis where it is too long for its box."""

from qtpy.QtCore import Qt
from qtpy.QtGui import QPaintEvent, QPalette
from qtpy.QtWidgets import QComboBox, QStyle, QStyleOptionComboBox, QStylePainter

_MARGIN_PX, _ICON_GAP_PX = 2, 4  # as Qt draws it


class ElidingComboBox(QComboBox):
    """A combo box that never cuts a letter in two; the list shows texts in full."""

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw the box with as much of its text as fits."""
        painter = QStylePainter(self)
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        field = self.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox,
            option,
            QStyle.SubControl.SC_ComboBoxEditField,
            self,
        )
        room = field.width() - _MARGIN_PX
        if not option.currentIcon.isNull():
            room -= option.iconSize.width() + _ICON_GAP_PX
        if self.currentIndex() < 0 and self.placeholderText():
            faint = option.palette.placeholderText()
            option.palette.setBrush(QPalette.ColorRole.ButtonText, faint)
            option.currentText = self.placeholderText()
        option.currentText = self.fontMetrics().elidedText(
            option.currentText, Qt.TextElideMode.ElideRight, room
        )
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
