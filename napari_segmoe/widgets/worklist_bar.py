"""Where one is in the worklist, and ways on: seen from every tab."""

from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget
from superqt import QElidingLabel

from napari_segmoe.session.session import Session
from napari_segmoe.session.worklist import WorklistRow
from napari_segmoe.viewer.keys import run_action
from napari_segmoe.widgets.worklist_model import STATUS_TIPS, describe, status_icon

SETTLE_MS = 60
LEFT = "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}"
RIGHT = "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"
ICON_PX = 12


class WorklistBar(QWidget):
    """One line: back, place and name, on; hidden where there are fewer than two.

    Parameters
    ----------
    session : Session
        The session.
    parent : QWidget or None
        Owner.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._back = _make_step(LEFT, "Image before (PgUp)")
        self._on = _make_step(RIGHT, "Next image (PgDn)")
        self._dot = QLabel()
        self._text = QElidingLabel()
        self._text.setElideMode(Qt.TextElideMode.ElideMiddle)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self._back)
        layout.addWidget(self._dot)
        layout.addWidget(self._text, 1)
        layout.addWidget(self._on)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self._on_settled)
        self._back.clicked.connect(self._on_back_clicked)
        self._on.clicked.connect(self._on_next_clicked)
        for signal in (
            session.worklist_changed,
            session.project_changed,
            session.objects_changed,
            session.image_changed,
        ):
            signal.connect(self._on_changed)
        self._on_settled()

    @property
    def text(self) -> str:
        """What is said."""
        return str(self._text.text())

    def _on_changed(self, _: object = None) -> None:
        if not self._settle.isActive():
            self._settle.start()

    def _on_settled(self) -> None:
        rows = self._session.worklist.rows
        self.setVisible(len(rows) > 1)
        at = next((place for place, row in enumerate(rows) if row.is_current), None)
        self._text.setText(say_place(rows, at))
        self._back.setEnabled(at != 0)
        self._on.setEnabled(at != len(rows) - 1)
        self._dot.setVisible(at is not None)
        self._text.setToolTip("" if at is None else describe(rows[at]))
        if at is not None:
            icon = status_icon(rows[at].status)
            self._dot.setPixmap(icon.pixmap(QSize(ICON_PX, ICON_PX)))
            self._dot.setToolTip(STATUS_TIPS[rows[at].status])

    def _on_back_clicked(self) -> None:
        run_action(self._session, lambda s: s.worklist.previous())

    def _on_next_clicked(self) -> None:
        run_action(self._session, lambda s: s.worklist.next())


def say_place(rows: tuple[WorklistRow, ...], at: int | None) -> str:
    """Return which image of how many it is."""
    if at is None:
        return f"{len(rows)} images in the worklist"
    return f"{at + 1} of {len(rows)} · {rows[at].title}"


def _make_step(text: str, tooltip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tooltip)
    button.setFixedSize(QSize(26, 24))
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    button.setStyleSheet("padding: 0;")
    return button
