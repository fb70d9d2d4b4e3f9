"""The buttons of the dock: one look, one height, the key beside the text."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy

HEIGHT_PX = 28
PRIMARY_HEIGHT_PX = 34


def make_button(text: str, key: str, tooltip: str) -> QPushButton:
    """Return a button as wide as its row; ``key`` may be empty."""
    button = QPushButton(f"{text}   {key}" if key else text)
    button.setToolTip(f"{tooltip} ({key})" if key else tooltip)
    button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    button.setMinimumHeight(HEIGHT_PX)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button


def make_compact(text: str, key: str, tooltip: str) -> QPushButton:
    """Return a button that takes what room there is: for three or four in a row."""
    button = make_button(text, key, tooltip)
    button.setText(compact_text(text, key))
    button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    button.setStyleSheet("padding: 2px;")
    return button


def compact_text(text: str, key: str) -> str:
    """Return what stands on a button of `make_compact`."""
    return f"{text}  {key}" if key else text


def make_toggle(text: str, key: str, tooltip: str) -> QPushButton:
    """Return a button that stays down."""
    button = make_button(text, key, tooltip)
    button.setCheckable(True)
    return button


def make_primary(text: str, key: str, tooltip: str) -> QPushButton:
    """Return a button for what a user does most; see `paint_primary`."""
    button = make_button(text, key, tooltip)
    button.setMinimumHeight(PRIMARY_HEIGHT_PX)
    font = button.font()
    font.setBold(True)
    button.setFont(font)
    return button


def paint_primary(button: QPushButton, colour: str) -> None:
    """Fill a primary button with the theme's own highlight, #RRGGBB."""
    button.setStyleSheet(f"QPushButton:enabled {{ background-color: {colour}; }}")


def make_row(*buttons: QPushButton) -> QHBoxLayout:
    """Return buttons beside each other, all alike in width."""
    row = QHBoxLayout()
    row.setSpacing(6)
    for button in buttons:
        row.addWidget(button, 1)
    return row
