"""Rows that are made anew when the session changes."""

from qtpy.QtWidgets import QLayout, QPushButton


def clear_rows(layout: QLayout) -> None:
    """Take all widgets out of a layout; they vanish at once."""
    while layout.count():
        item = layout.takeAt(0)
        widget = item.widget() if item is not None else None
        if widget is not None:
            widget.hide()
            widget.deleteLater()


def buttons_in(layout: QLayout) -> list[QPushButton]:
    """Return the buttons of all rows; those that vanish are none any more."""
    items = (layout.itemAt(place) for place in range(layout.count()))
    widgets = [item.widget() for item in items if item is not None]
    found: list[QPushButton] = []
    for widget in widgets:
        if isinstance(widget, QPushButton):
            found.append(widget)
        elif widget is not None:
            found += widget.findChildren(QPushButton)
    return found
