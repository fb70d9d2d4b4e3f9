"""The keyboard map, shown below a button."""

from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QFrame, QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_segmoe.viewer.keys import KEY_TEXTS


class KeysPopover(QFrame):
    """A small window with keys and what they do; a click elsewhere closes it.

    Parameters
    ----------
    parent : QWidget or None
        Owner.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 12, 16, 14)
        layout.setSpacing(8)
        title = QLabel("<b>Keyboard and mouse</b>")
        layout.addWidget(title)
        grid = QGridLayout()
        grid.setHorizontalSpacing(18)
        grid.setVerticalSpacing(5)
        half = -(-len(KEY_TEXTS) // 2)
        for place, (key, text) in enumerate(KEY_TEXTS):
            side, row = divmod(place, half)
            shown = QLabel(f"<b>{key}</b>")
            grid.addWidget(shown, row, 3 * side, Qt.AlignmentFlag.AlignRight)
            grid.addWidget(QLabel(text), row, 3 * side + 1)
        grid.setColumnMinimumWidth(2, 12)
        layout.addLayout(grid)
        hint = QLabel("Keys work while a SegMoE layer is selected.")
        hint.setEnabled(False)
        layout.addWidget(hint)

    def show_below(self, widget: QWidget) -> None:
        """Show below ``widget``, its right edges aligned."""
        self.adjustSize()
        corner = widget.mapToGlobal(QPoint(widget.width(), widget.height() + 4))
        self.move(max(0, corner.x() - self.width()), corner.y())
        self.show()
