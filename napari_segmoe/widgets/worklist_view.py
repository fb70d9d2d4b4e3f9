"""The images to work on: which there are, how far they are, and which comes next."""

from pathlib import Path

from qtpy.QtCore import QModelIndex, Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QTableView,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_segmoe.session.session import Session
from napari_segmoe.session.worklist import (
    Worklist,
    WorklistOrder,
    WorklistRow,
    WorklistStatus,
)
from napari_segmoe.viewer.keys import run_action
from napari_segmoe.widgets.buttons import (
    make_button,
    make_primary,
    make_row,
    paint_primary,
)
from napari_segmoe.widgets.places_model import set_up_places
from napari_segmoe.widgets.worklist_model import WorklistModel

SETTLE_MS = 60  # one reading for a burst of changes
NO_IMAGES = "No images yet.\nAdd a folder or files, or drop them on the canvas."
ORDERS = {
    WorklistOrder.ADDED: "As added",
    WorklistOrder.UNCERTAIN: "Most uncertain first",
    WorklistOrder.RANDOM: "At random (control)",
}
PATTERNS = (
    "*.png *.jpg *.jpeg *.bmp *.tif *.tiff *.dcm *.jp2 *.svs *.ndpi *.mrxs *.scn"
    " *.bif *.vms *.vmu *.svslide"
)


class WorklistView(QWidget):
    """A view of the worklist.

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
        self._model = WorklistModel(self)
        self._table = QTableView()
        self._counts = QLabel()
        self._empty = QLabel(NO_IMAGES)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.setWordWrap(True)
        self._empty.setEnabled(False)
        self._empty.setMinimumHeight(90)
        self._files = make_button("Add files…", "", "Images or slides")
        self._folder = make_button("Add folder…", "", "All images and slides in it")
        self._order = QComboBox()
        self._order.setToolTip(
            "Which untouched image comes next: the one the model is least sure of, or"
            " any, to compare with"
        )
        for order, text in ORDERS.items():
            self._order.addItem(text, order)
        self._progress = QLabel()
        self._progress.setEnabled(False)
        self._previous = make_button("Previous", "PgUp", "Open the image before")
        self._next = make_button("Next", "PgDn", "Open the next image")
        self._done = make_primary(
            "Image is finished",
            "⇧↵",
            "What is no object in it is background: a model learns from all of it",
        )
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._set_up_table()
        self._lay_out()
        self._connect()
        self._on_settled()

    @property
    def table(self) -> QTableView:
        """The table."""
        return self._table

    @property
    def rows(self) -> tuple[WorklistRow, ...]:
        """The rows shown."""
        return self._model.rows

    def set_accent(self, colour: str) -> None:
        """Fill the primary button with the theme's own highlight, #RRGGBB."""
        paint_primary(self._done, colour)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Show what changed while it was hidden."""
        super().showEvent(event)
        self._on_settled()

    def _set_up_table(self) -> None:
        table = self._table
        table.setModel(self._model)
        set_up_places(table, row_px=26, widths_px=(58, 58))
        table.setMinimumHeight(150)

    def _lay_out(self) -> None:
        title = QLabel("Images")
        font = title.font()
        font.setBold(True)
        title.setFont(font)
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(title)
        head.addWidget(self._counts, 1)
        order = QHBoxLayout()
        order.setSpacing(8)
        order.addWidget(QLabel("Order"))
        order.addWidget(self._order, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(head)
        layout.addLayout(make_row(self._files, self._folder))
        layout.addLayout(order)
        layout.addWidget(self._progress)
        layout.addWidget(self._empty, 1)
        layout.addWidget(self._table, 1)
        layout.addLayout(make_row(self._previous, self._next))
        layout.addWidget(self._done)

    def _connect(self) -> None:
        # view -> session
        self._files.clicked.connect(self._on_files_clicked)
        self._folder.clicked.connect(self._on_folder_clicked)
        self._order.activated.connect(self._on_order_activated)
        self._table.doubleClicked.connect(self._on_row_opened)
        self._table.activated.connect(self._on_row_opened)
        self._previous.clicked.connect(self._on_previous_clicked)
        self._next.clicked.connect(self._on_next_clicked)
        self._done.clicked.connect(self._on_done_clicked)
        # session -> view
        session = self._session
        self._settle.timeout.connect(self._on_settled)
        for signal in (
            session.worklist_changed,
            session.project_changed,
            session.objects_changed,
            session.image_changed,
        ):
            signal.connect(self._on_changed)

    def _on_changed(self, _: object = None) -> None:
        if self.isVisible() and not self._settle.isActive():
            self._settle.start()

    def _on_settled(self) -> None:
        worklist = self._session.worklist
        before = self._model.current
        self._model.show_rows(worklist.rows)
        rows, current = self._model.rows, self._model.current
        self._counts.setText(say_counts(rows))
        self._empty.setVisible(not rows)
        self._table.setVisible(bool(rows))
        with signals_blocked(self._order):
            self._order.setCurrentIndex(self._order.findData(worklist.order))
        self._progress.setText(say_suggestions(worklist))
        self._progress.setVisible(bool(self._progress.text()))
        if current is not None and current != before:
            self._table.selectRow(current)
            self._table.scrollTo(self._model.index(current, 0))
        self._previous.setEnabled(bool(rows) and current != 0)
        self._next.setEnabled(bool(rows) and current != len(rows) - 1)
        self._show_done(rows, current)

    def _show_done(self, rows: tuple[WorklistRow, ...], current: int | None) -> None:
        is_done = current is not None and rows[current].status is WorklistStatus.DONE
        text = "Not finished after all" if is_done else "Image is finished   ⇧↵"
        self._done.setText(text)
        has_image = self._session.workspace is not None
        self._done.setEnabled(has_image)

    def _on_files_clicked(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(
            self, "Images or slides", "", f"Images and slides ({PATTERNS});;All (*)"
        )
        if paths:
            run_action(self._session, lambda s: s.worklist.add(map(Path, paths)))

    def _on_folder_clicked(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder of images or slides")
        if path:
            run_action(self._session, lambda s: s.worklist.add([Path(path)]))

    def _on_order_activated(self, index: int) -> None:
        order = WorklistOrder(self._order.itemData(index))  # Qt made a str of it
        run_action(self._session, lambda s: s.worklist.sort(order))

    def _on_row_opened(self, index: QModelIndex) -> None:
        row = self._model.rows[index.row()]
        if not row.is_current:
            run_action(self._session, lambda s: s.worklist.open(row))

    def _on_previous_clicked(self) -> None:
        run_action(self._session, lambda s: s.worklist.previous())

    def _on_next_clicked(self) -> None:
        run_action(self._session, lambda s: s.worklist.next())

    def _on_done_clicked(self) -> None:
        run_action(self._session, lambda s: s.tools.toggle_image())


def say_counts(rows: tuple[WorklistRow, ...]) -> str:
    """Return how many images there are, and how far they are."""
    if not rows:
        return ""
    done, started = (
        sum(row.status is status for row in rows)
        for status in (WorklistStatus.DONE, WorklistStatus.STARTED)
    )
    if done == len(rows):
        return f"All {done} done: add images, or train."
    parts = [f"{done} of {len(rows)} done"]
    if started:
        parts.append(f"{started} started")
    return " · ".join(parts)


def say_suggestions(worklist: Worklist) -> str:
    """Return how far the model is with looking at the images, or nothing."""
    asked = worklist.suggestions
    if worklist.order is not WorklistOrder.UNCERTAIN or not asked.is_running:
        return ""
    return f"The model looks at the images: {asked.done} of {asked.total}."
