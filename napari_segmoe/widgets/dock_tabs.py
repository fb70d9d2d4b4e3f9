"""The dock's tabs: all of them in sight, however narrow the dock is."""

from qtpy.QtCore import Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QTabWidget, QWidget

_ROOMY_PX = 384  # six titles, one with a count
_ROOMY = "QTabBar::tab { padding: 3px 5px; font-size: 11px; }"
_TIGHT = "QTabBar::tab { padding: 3px 2px; font-size: 10px; margin-right: 1px; }"


class DockTabs(QTabWidget):
    """Tabs without arrows: where there is little room, titles get smaller.

    Parameters
    ----------
    parent : QWidget or None
        Owner.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setUsesScrollButtons(False)
        self.setElideMode(Qt.TextElideMode.ElideNone)  # a dock is never narrower
        self._look = ""
        self._choose_look(self.width())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Choose how large titles may be."""
        super().resizeEvent(event)
        self._choose_look(self.width())

    def _choose_look(self, width_px: int) -> None:
        look = _ROOMY if width_px >= _ROOMY_PX else _TIGHT
        if look != self._look:
            self._look = look
            self.tabBar().setStyleSheet(look)
