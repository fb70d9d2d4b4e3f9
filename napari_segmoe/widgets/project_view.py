"""The Project tab: the project on disk, its images, history, exchange and safety."""

from pathlib import Path

from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel
from superqt.utils import signals_blocked

from napari_segmoe.project.store import SUFFIX
from napari_segmoe.session.session import Session
from napari_segmoe.viewer.keys import run_action
from napari_segmoe.widgets.buttons import make_button
from napari_segmoe.widgets.collapsible import make_collapsible
from napari_segmoe.widgets.project_view_files import ExchangeView, SafetyView
from napari_segmoe.widgets.project_view_history import HistoryView
from napari_segmoe.widgets.project_view_start import ProjectStart
from napari_segmoe.widgets.slide_view import WARNING_COLOUR
from napari_segmoe.widgets.unsaved_dialog import settle_unsaved
from napari_segmoe.widgets.worklist_view import WorklistView

NOBODY = "nobody named"
FILTER = f"Project (*{SUFFIX})"


class ProjectView(QWidget):
    """A view of the open project; without one, ways to one.

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
        self._start = ProjectStart(self.ask_new, self.ask_open, self.open)
        self._name = QElidingLabel()
        font = self._name.font()
        font.setBold(True)
        self._name.setFont(font)
        self._close = make_button("Close", "", "Close the project; all is on the disk")
        self._close.setFixedWidth(66)
        self._summary = QLabel()
        self._summary.setWordWrap(True)
        self._notes = QLabel()
        self._notes.setWordWrap(True)
        self._notes.setStyleSheet(f"color: {WARNING_COLOUR};")
        self._annotator = QComboBox()
        self._annotator.setEditable(True)
        self._annotator.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self._annotator.setToolTip(
            "A pseudonym, as reader-1: who did what is kept in the project. Never a"
            " name."
        )
        line = self._annotator.lineEdit()
        assert line is not None
        line.setPlaceholderText(NOBODY)
        self._worklist = WorklistView(session)
        self._history = HistoryView(session)
        self._exchange = ExchangeView(session)
        self._safety = SafetyView(session, self.open)
        self._opened = QWidget()
        self._lay_out()
        # view -> session
        self._close.clicked.connect(self._on_close_clicked)
        line.editingFinished.connect(self._on_annotator_edited)
        self._annotator.activated.connect(self._on_annotator_edited)
        # session -> view
        session.project_changed.connect(self._on_project_changed)
        session.objects_changed.connect(self._on_objects_changed)
        session.worklist_changed.connect(self._on_objects_changed)
        self._on_project_changed()

    @property
    def start(self) -> ProjectStart:
        """The page without a project."""
        return self._start

    @property
    def worklist(self) -> WorklistView:
        """The images."""
        return self._worklist

    @property
    def history(self) -> HistoryView:
        """What was done."""
        return self._history

    @property
    def exchange(self) -> ExchangeView:
        """Export and import."""
        return self._exchange

    @property
    def safety(self) -> SafetyView:
        """Verify and backups."""
        return self._safety

    @property
    def annotator(self) -> QComboBox:
        """Who works."""
        return self._annotator

    def set_accent(self, colour: str) -> None:
        """Fill primary buttons and bars with the theme's own highlight, #RRGGBB."""
        self._start.set_accent(colour)
        self._worklist.set_accent(colour)
        self._exchange.task.set_accent(colour)
        self._safety.task.set_accent(colour)

    def ask_new(self) -> None:
        """Ask where, and make a project."""
        path, _ = QFileDialog.getSaveFileName(
            self, "New project", f"study{SUFFIX}", FILTER
        )
        if path and settle_unsaved(self._session, self):
            target = Path(path)
            if target.suffix != SUFFIX:
                target = target.with_name(target.name + SUFFIX)
            run_action(self._session, lambda s: s.project.create(target))

    def ask_open(self) -> None:
        """Ask which, and open a project."""
        path = QFileDialog.getExistingDirectory(self, f"Project folder (*{SUFFIX})")
        if path:
            self.open(Path(path))

    def open(self, path: Path) -> None:
        """Open the project of a path; unsaved steps of the open one come first."""
        if settle_unsaved(self._session, self):
            run_action(self._session, lambda s: s.project.open(path))

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(6)
        head.addWidget(self._name, 1)
        head.addWidget(self._close)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(10)
        form.addRow("Annotator", self._annotator)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        layout = QVBoxLayout(self._opened)
        layout.setContentsMargins(8, 10, 8, 8)
        layout.setSpacing(8)
        layout.addLayout(head)
        layout.addWidget(self._summary)
        layout.addWidget(self._notes)
        layout.addLayout(form)
        layout.addWidget(self._worklist, 1)
        for title, part in (
            ("History", self._history),
            ("Export and import", self._exchange),
            ("Verify and back up", self._safety),
        ):
            section = make_collapsible(title)
            section.addWidget(part)
            layout.addWidget(section)
        pages = QVBoxLayout(self)  # no stack: a hidden page would keep its height
        pages.setContentsMargins(0, 0, 0, 0)
        pages.addWidget(self._start)
        pages.addWidget(self._opened)

    def _on_project_changed(self, _: object = None) -> None:
        project = self._session.project
        store = project.store
        self._start.setVisible(store is None)
        self._opened.setVisible(store is not None)
        if store is None:
            self._start.show_recent()
            return
        self._name.setText(store.path.name)
        self._name.setToolTip(str(store.path))
        found = project.reading.read(
            "annotators", lambda one: (one.notes, one.annotators()), None
        )
        notes, annotators = found or ((), ())
        self._notes.setText("\n".join(notes))
        self._notes.setVisible(bool(notes))
        with signals_blocked(self._annotator):
            self._annotator.clear()
            self._annotator.addItems(annotators)
            self._annotator.setCurrentText(project.annotator or "")
        self._on_objects_changed()

    def _on_objects_changed(self, _: object = None) -> None:
        store = self._session.project.store
        if store is None or not self.isVisible():
            return
        self._summary.setText(say_summary(self._session))

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Count what changed while it was hidden."""
        super().showEvent(event)
        self._on_objects_changed()

    def _on_close_clicked(self) -> None:
        if settle_unsaved(self._session, self):
            run_action(self._session, lambda s: s.project.close())

    def _on_annotator_edited(self, _: object = None) -> None:
        name = self._annotator.currentText().strip()
        project = self._session.project
        if project.store is not None and name and name != project.annotator:
            run_action(self._session, lambda s: setattr(s.project, "annotator", name))


def say_summary(session: Session) -> str:
    """Return what the project holds, in one line."""
    found = session.project.reading.read(
        "counts", lambda store: (store.count_objects(), len(store.models())), None
    )
    if found is None:
        return ""
    counts, versions = found
    objects, images = sum(counts.values()), len(session.worklist.rows)
    reviewed = sum(n for (_, state, _), n in counts.items() if state != "proposed")
    parts = [_count(images, "image"), _count(objects, "object")]
    if objects:
        parts.append(f"{reviewed} accepted")
    if versions:
        parts.append(_count(versions, "version"))
    return " · ".join(parts)


def _count(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
