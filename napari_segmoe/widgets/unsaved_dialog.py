"""What becomes of steps that the project could not take, before it is closed."""

from enum import Enum
from pathlib import Path

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_segmoe.project.store import SUFFIX
from napari_segmoe.session.session import Session
from napari_segmoe.viewer.keys import run_action


class Answer(Enum):
    """What the user wants."""

    RETRY = "Try again"
    COPY = "Save a copy elsewhere…"
    DISCARD = "Discard them"
    CANCEL = "Cancel"


_ROLES = {
    Answer.RETRY: QMessageBox.ButtonRole.AcceptRole,
    Answer.COPY: QMessageBox.ButtonRole.ActionRole,
    Answer.DISCARD: QMessageBox.ButtonRole.DestructiveRole,
    Answer.CANCEL: QMessageBox.ButtonRole.RejectRole,
}


def settle_unsaved(session: Session, parent: QWidget | None) -> bool:
    """Ask until all steps are stored, or given up; return whether to go on.

    Parameters
    ----------
    session : Session
        Knows the open project.
    parent : QWidget or None
        Of the dialog.
    """
    project = session.project
    while project.unsaved and not project.retry():
        answer = _ask(session, parent)
        if answer is Answer.CANCEL:
            return False
        if answer is Answer.DISCARD:
            project.discard()
        elif answer is Answer.COPY:
            _save_copy(session, parent)
    return True


class CloseGuard(QObject):
    """Lets a window close only once its unsaved steps are settled.

    Parameters
    ----------
    session : Session
        Knows the open project.
    window : QWidget
        The viewer's.
    parent : QObject
        The dock: the guard ends with it.
    """

    def __init__(self, session: Session, window: QWidget, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session  # and no window: it would outlive its closing
        window.installEventFilter(self)

    def eventFilter(  # noqa: N802
        self, watched: QObject | None, event: QEvent | None
    ) -> bool:
        """Stop the window from closing where the user wants to stay."""
        if event is None or event.type() != QEvent.Type.Close:
            return False
        window = watched if isinstance(watched, QWidget) else None
        if settle_unsaved(self._session, window):
            return False
        event.ignore()
        return True


def _ask(session: Session, parent: QWidget | None) -> Answer:
    project = session.project
    count = project.unsaved
    steps = "1 step is" if count == 1 else f"{count} steps are"
    box = QMessageBox(parent)
    box.setWindowTitle("Unsaved steps")
    box.setIcon(QMessageBox.Icon.Warning)
    box.setText(f"{steps} not stored in the project, and in this window only.")
    box.setInformativeText(project.failure)
    buttons = {one: box.addButton(one.value, role) for one, role in _ROLES.items()}
    box.setDefaultButton(buttons[Answer.RETRY])
    box.setEscapeButton(buttons[Answer.CANCEL])
    box.exec()
    clicked = box.clickedButton()
    return next((one for one, b in buttons.items() if b is clicked), Answer.CANCEL)


def _save_copy(session: Session, parent: QWidget | None) -> None:
    old = session.project.path
    name = "study" if old is None else old.stem
    proposed = Path.home() / f"{name}-copy{SUFFIX}"
    path, _ = QFileDialog.getSaveFileName(
        parent, "A new project with all steps", str(proposed), f"Project (*{SUFFIX})"
    )
    if path:
        target = Path(path)
        if target.suffix != SUFFIX:
            target = target.with_name(target.name + SUFFIX)
        run_action(session, lambda s: s.project.save_copy(target))
