"""Pseudo-labels to look at: ask for them, show, accept or reject them."""

from qtpy.QtCore import QItemSelection, Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QHBoxLayout,
    QTableView,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_segmoe.project.records import PlaceVerdict
from napari_segmoe.session.pseudo_rows import PseudoRow
from napari_segmoe.session.session import Session
from napari_segmoe.viewer.keys import run_action
from napari_segmoe.widgets.buttons import make_button, make_row, make_toggle
from napari_segmoe.widgets.heatmap_row import make_small_text
from napari_segmoe.widgets.places_model import set_up_places
from napari_segmoe.widgets.pseudo_labels_model import PseudoLabelsModel

SETTLE_MS = 60  # one reading for a burst of changes
ROW_PX, MOST_ROWS = 24, 7
USUAL_CONFIDENCE = 0.9
NONE_YET = (
    "The model's own answers where nobody has labelled anything. Accept what is right:"
    " it becomes objects that rounds learn from, and that you can correct. Reject what"
    " is wrong: no round learns from that place."
)
ASK = "Ask for suggestions"
AGAIN = "Propose again"


class PseudoLabelsView(QWidget):
    """A view of the project's pseudo-labels.

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
        self._pseudo = session.pseudo_labels
        self._model = PseudoLabelsModel(self)
        self._empty = make_small_text(NONE_YET)
        self._said = make_small_text("")
        self._table = QTableView()
        self._ask = make_button(
            ASK,
            "",
            "The present model answers on up to 24 images without labels, beside the"
            " window",
        )
        self._show = make_toggle("Show", "", "Draw the chosen ones over their image")
        self._accept = make_button(
            "Accept", "", "They become accepted objects; one step to undo"
        )
        self._reject = make_button(
            "Reject",
            "",
            "No round learns from this place, and it is not proposed again",
        )
        self._accept_all = make_button(
            "Accept all above",
            "",
            "Accept each row that is at least so sure, also of images that are not"
            " open",
        )
        self._least = QDoubleSpinBox()
        self._least.setRange(0.5, 1.0)
        self._least.setSingleStep(0.01)
        self._least.setValue(USUAL_CONFIDENCE)
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
    def rows(self) -> tuple[PseudoRow, ...]:
        """The rows shown."""
        return self._model.rows

    @property
    def text(self) -> str:
        """What is said of all of them."""
        return str(self._said.text())

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Show what changed while it was hidden."""
        super().showEvent(event)
        self._on_settled()

    def _set_up_table(self) -> None:
        table = self._table
        table.setModel(self._model)
        set_up_places(table, row_px=ROW_PX, widths_px=(58, 46))
        table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def _lay_out(self) -> None:
        self._all = QWidget()
        line = QHBoxLayout(self._all)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(6)
        line.addWidget(self._accept_all, 1)
        line.addWidget(self._least)
        self._buttons = QWidget()
        row = make_row(self._show, self._accept, self._reject)
        row.setContentsMargins(0, 0, 0, 0)
        self._buttons.setLayout(row)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for part in (
            self._empty,
            self._ask,
            self._said,
            self._table,
            self._buttons,
            self._all,
        ):
            layout.addWidget(part)

    def _connect(self) -> None:
        # view -> session
        self._ask.clicked.connect(self._on_ask_clicked)
        self._table.selectionModel().selectionChanged.connect(self._on_row_chosen)
        self._show.clicked.connect(self._on_show_clicked)
        self._accept.clicked.connect(self._on_accept_clicked)
        self._reject.clicked.connect(self._on_reject_clicked)
        self._accept_all.clicked.connect(self._on_accept_all_clicked)
        # session -> view
        self._settle.timeout.connect(self._on_settled)
        self._pseudo.changed.connect(self._on_changed)
        self._session.project_changed.connect(self._on_changed)
        self._session.worklist_changed.connect(self._on_changed)

    def _on_changed(self) -> None:
        if self.isVisible() and not self._settle.isActive():
            self._settle.start()

    def _on_settled(self) -> None:
        self._model.show_rows(self._pseudo.rows)
        rows, chosen = self._model.rows, self._pseudo.selected
        keys = [row.key for row in rows]
        with signals_blocked(self._table.selectionModel()):
            if chosen is None:
                self._table.clearSelection()
            else:
                self._table.selectRow(keys.index(chosen.key))
        self._table.viewport().update()
        count = min(max(len(rows), 1), MOST_ROWS)
        head = self._table.horizontalHeader().height()
        self._table.setFixedHeight(count * ROW_PX + max(head, ROW_PX) + 4)
        for part in (self._table, self._buttons, self._all):
            part.setVisible(bool(rows))
        self._empty.setVisible(not rows)
        self._show_words(rows)
        self._show_buttons(rows, chosen)

    def _show_words(self, rows: tuple[PseudoRow, ...]) -> None:
        asked = self._pseudo.suggestions
        self._ask.setText("Cancel" if asked.is_running else ASK)
        self._ask.setEnabled(self._session.project.is_open)
        words = say_counts(rows)
        if asked.is_running:
            words = say_progress(asked.done, asked.total)
        elif not rows and asked.total:
            words = "The model found nothing in the images without labels."
        self._said.setText(words)
        self._said.setVisible(bool(words))

    def _show_buttons(
        self, rows: tuple[PseudoRow, ...], chosen: PseudoRow | None
    ) -> None:
        waits = chosen is not None and chosen.verdict is PlaceVerdict.PROPOSED
        self._show.setEnabled(waits)
        with signals_blocked(self._show):
            self._show.setChecked(self._pseudo.is_shown and waits)
        self._accept.setEnabled(waits)
        self._reject.setEnabled(chosen is not None)
        self._reject.setText("Reject" if waits or chosen is None else AGAIN)
        proposed = any(one.verdict is PlaceVerdict.PROPOSED for one in rows)
        self._accept_all.setEnabled(proposed)

    def _on_ask_clicked(self) -> None:
        if self._pseudo.suggestions.is_running:
            self._pseudo.suggestions.cancel()
        else:
            run_action(self._session, lambda s: s.pseudo_labels.suggest())

    def _on_row_chosen(self, chosen: QItemSelection, _: QItemSelection) -> None:
        if chosen.indexes():
            row = self._model.rows[chosen.indexes()[0].row()]
            run_action(self._session, lambda s: s.pseudo_labels.select(row))

    def _on_show_clicked(self, is_shown: bool) -> None:
        row = self._pseudo.selected
        if is_shown and row is not None:  # another image may be open by now
            run_action(self._session, lambda s: s.pseudo_labels.select(row))
        else:
            self._pseudo.show(is_shown=is_shown)

    def _on_accept_clicked(self) -> None:
        row = self._pseudo.selected
        if row is not None:
            run_action(self._session, lambda s: s.pseudo_labels.accept(row))

    def _on_reject_clicked(self) -> None:
        row = self._pseudo.selected
        if row is None:
            return
        if row.verdict is PlaceVerdict.PROPOSED:
            run_action(self._session, lambda s: s.pseudo_labels.reject(row))
        else:
            run_action(self._session, lambda s: s.pseudo_labels.propose_again(row))

    def _on_accept_all_clicked(self) -> None:
        least = float(self._least.value())
        run_action(self._session, lambda s: s.pseudo_labels.accept_above(least))


def say_counts(rows: tuple[PseudoRow, ...]) -> str:
    """Return how many there are, what became of them, and what proposed them."""
    if not rows:
        return ""
    counts = dict.fromkeys(PlaceVerdict, 0)
    for row in rows:
        counts[row.verdict] += 1
    parts = [f"{count} {verdict}" for verdict, count in counts.items() if count]
    sources = dict.fromkeys(row.source.replace("_", " ") for row in rows)
    return f"{' · '.join(parts)} — from {', '.join(sources)}"


def say_progress(done: int, total: int) -> str:
    """Return how far the model is with answering."""
    return f"The model answers: {done} of {total}." if total else "The model begins…"
