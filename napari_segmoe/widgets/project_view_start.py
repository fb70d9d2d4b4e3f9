"""The Project tab without a project: make one, open one, go on with a recent one."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_segmoe.project.recent_projects import recent_projects
from napari_segmoe.widgets.buttons import make_button, make_primary, paint_primary
from napari_segmoe.widgets.rows import buttons_in, clear_rows

PROMISE = (
    "Everything you do is then on the disk as you do it, corrections above all: a"
    " power cut loses at most the last click. A model can learn from it, and nothing"
    " leaves this computer."
)
SHOWN = 5


class ProjectStart(QWidget):
    """Ways to a project.

    Parameters
    ----------
    make, open_other : callable
        Ask where, and make or open it.
    open_recent : callable
        Opens the project of a path.
    parent : QWidget or None
        Owner.
    """

    def __init__(
        self,
        make: Callable[[], None],
        open_other: Callable[[], None],
        open_recent: Callable[[Path], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._open_recent = open_recent
        title = QLabel("Keep your work in a project")
        font = title.font()
        font.setPointSizeF(font.pointSizeF() * 1.2)
        font.setBold(True)
        title.setFont(font)
        text = QLabel(PROMISE)
        text.setWordWrap(True)
        self._new = make_primary("New project…", "", "A new folder, NAME.segmoe")
        self._open = make_button("Open a project…", "", "A folder NAME.segmoe")
        self._recent_title = QLabel("Recent")
        self._recent = QWidget()
        self._rows = QVBoxLayout(self._recent)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setSpacing(4)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 14, 8, 8)
        layout.setSpacing(8)
        layout.addWidget(title)
        layout.addWidget(text)
        layout.addSpacing(4)
        layout.addWidget(self._new)
        layout.addWidget(self._open)
        layout.addSpacing(8)
        layout.addWidget(self._recent_title)
        layout.addWidget(self._recent)
        layout.addStretch(1)
        self._new.clicked.connect(lambda _=False: make())
        self._open.clicked.connect(lambda _=False: open_other())
        self.show_recent()

    @property
    def recent_buttons(self) -> list[QPushButton]:
        """One button a recent project."""
        return buttons_in(self._rows)

    def set_accent(self, colour: str) -> None:
        """Fill the primary button with the theme's own highlight, #RRGGBB."""
        paint_primary(self._new, colour)

    def show_recent(self) -> None:
        """Read the list of recent projects anew."""
        clear_rows(self._rows)
        paths = [one for one in recent_projects() if one.is_dir()][:SHOWN]
        for path in paths:
            button = make_recent_button(path, self._open_recent)
            self._rows.addWidget(button)
        for part in (self._recent_title, self._recent):
            part.setVisible(bool(paths))


def make_recent_button(path: Path, act: Callable[[Path], None]) -> QPushButton:
    """Return a button that opens a recent project."""
    metrics_text = f"{path.stem}   in {path.parent.name or path.parent}"
    button = QPushButton()
    width_px = 270
    text = button.fontMetrics().elidedText(
        metrics_text, Qt.TextElideMode.ElideMiddle, width_px
    )
    button.setText(text)
    button.setToolTip(str(path))
    button.setMinimumHeight(28)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    button.setStyleSheet("text-align: left; padding-left: 8px;")
    button.clicked.connect(partial(_call_with, act, path))
    return button


def _call_with(act: Callable[[Path], None], path: Path, _: object = None) -> None:
    act(path)
