"""Rows that are made anew when the session changes."""

from qtpy.QtWidgets import QLayout


def clear_rows(layout: QLayout) -> None:
    """Take all widgets out of a layout; they vanish at once."""
    while layout.count():
        item = layout.takeAt(0)
        widget = item.widget() if item is not None else None
        if widget is not None:
            widget.hide()
            widget.deleteLater()
