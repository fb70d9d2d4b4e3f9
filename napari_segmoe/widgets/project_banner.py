"""What the user must know of the project: restored work, unsaved or unread parts."""

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_segmoe.session.session import Session
from napari_segmoe.viewer.keys import run_action
from napari_segmoe.widgets.buttons import make_button, make_row

_LOOK = (
    "QFrame#segmoe_banner {{ border: none; border-left: 3px solid {colour};"
    " background-color: rgba(128, 128, 128, 40); }}"
)
NEWS_COLOUR, UNSAVED_COLOUR = "#35A0E0", "#E0605E"


class ProjectBanner(QFrame):
    """A strip below the head of the dock; hidden where there is nothing to say.

    Parameters
    ----------
    session : Session
        Knows the open project.
    parent : QWidget or None
        Owner.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("segmoe_banner")
        self._session = session
        self._dismissed: tuple[str, ...] = ()
        self._text = QLabel()
        self._text.setWordWrap(True)
        self._close = QToolButton()
        self._close.setText("\N{MULTIPLICATION SIGN}")
        self._close.setToolTip("Understood")
        self._close.setFixedSize(QSize(22, 22))
        self._close.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._retry = make_button("Try again", "", "Store the unsaved steps now")
        self._theirs = make_button(
            "Take what is stored",
            "",
            "Drop the unsaved steps on this image, and show what the project has",
        )
        self._again = make_button("Read again", "", "Read the project once more")
        self._choices = QWidget()
        choices = QVBoxLayout(self._choices)
        choices.setContentsMargins(0, 0, 0, 0)
        choices.addLayout(make_row(self._retry, self._theirs))
        line = QHBoxLayout()
        line.setSpacing(6)
        line.addWidget(self._text, 1)
        line.addWidget(self._close, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 6, 6, 6)
        layout.setSpacing(6)
        layout.addLayout(line)
        layout.addWidget(self._choices)
        layout.addWidget(self._again)
        self._close.clicked.connect(self._on_close_clicked)
        self._retry.clicked.connect(self._on_retry_clicked)
        self._theirs.clicked.connect(self._on_theirs_clicked)
        self._again.clicked.connect(self._on_again_clicked)
        session.project_changed.connect(self._on_project_changed)
        session.project.reading.changed.connect(self._on_project_changed)
        self._on_project_changed()

    @property
    def text(self) -> str:
        """What is said."""
        return str(self._text.text())

    @property
    def closing(self) -> QToolButton:
        """Puts it away."""
        return self._close

    def _on_project_changed(self) -> None:
        project = self._session.project
        if not project.is_open:
            self._dismissed = ()
        notes = tuple(one for one in project.notes if one not in self._dismissed)
        is_unsaved = bool(project.unsaved)
        unread = project.reading.failure
        said = (say_unsaved(project.unsaved, project.failure), unread, *notes)
        self._text.setText("\n".join(one for one in said if one))
        self._choices.setVisible(is_unsaved)
        self._again.setVisible(bool(unread))
        self._close.setVisible(bool(notes))
        colour = UNSAVED_COLOUR if is_unsaved or unread else NEWS_COLOUR
        self.setStyleSheet(_LOOK.format(colour=colour))
        self.setVisible(any(said))

    def _on_close_clicked(self) -> None:
        self._dismissed = self._session.project.notes
        self._on_project_changed()

    def _on_again_clicked(self) -> None:
        run_action(self._session, lambda s: s.project.arrivals.read_again())

    def _on_retry_clicked(self) -> None:
        run_action(self._session, lambda s: s.project.retry())

    def _on_theirs_clicked(self) -> None:
        run_action(self._session, lambda s: s.project.take_stored())


def say_unsaved(count: int, why: str) -> str:
    """Return that steps are unsaved, and why."""
    if not count:
        return ""
    steps = "1 step is" if count == 1 else f"{count} steps are"
    return f"{steps} not stored in the project yet, and kept in this window. {why}"
