"""The Segment tab: prompts, answer, commit."""

from collections.abc import Callable
from functools import partial

from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_segmoe.session.options import SegmentOptions
from napari_segmoe.session.session import Session
from napari_segmoe.types import PromptKind, Prompts
from napari_segmoe.viewer.drawing import (
    NEGATIVE_COLOUR,
    POSITIVE_COLOUR,
    UNCLASSIFIED_COLOUR,
)
from napari_segmoe.viewer.keys import commit_or_predict, run_action
from napari_segmoe.widgets.buttons import (
    make_button,
    make_primary,
    make_row,
    make_toggle,
    paint_primary,
)
from napari_segmoe.widgets.collapsible import make_collapsible
from napari_segmoe.widgets.correction_view import CorrectionView
from napari_segmoe.widgets.forms import make_form
from napari_segmoe.widgets.icons import dot_icon
from napari_segmoe.widgets.region_view import RegionView
from napari_segmoe.widgets.result_card import ResultCard
from napari_segmoe.widgets.slide_view import SlideView

KIND_TEXTS = {
    PromptKind.POINT: ("Point", "P", "Click the object"),
    PromptKind.BOX: ("Box", "B", "Drag a box around the object"),
    PromptKind.STROKE: ("Scribble", "S", "Draw a line inside the object"),
}


class SegmentView(QWidget):
    """A view of prompts and prediction.

    Parameters
    ----------
    session : Session
        The session.
    go_to_region : callable
        Makes a region of the slide current by its number, and brings it into view.
    parent : QWidget or None
        Owner.
    """

    def __init__(
        self,
        session: Session,
        go_to_region: Callable[[int], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._kinds = {kind: make_toggle(*KIND_TEXTS[kind]) for kind in PromptKind}
        self._positive = make_toggle("Object  +", "T", "The prompt marks the object")
        self._negative = make_toggle("Not this  -", "T", "The prompt excludes")
        self._positive.setIcon(dot_icon(POSITIVE_COLOUR))
        self._negative.setIcon(dot_icon(NEGATIVE_COLOUR))
        self._card = ResultCard(session)
        self._class = QComboBox()
        self._class.setToolTip("Class that committed objects get (Ctrl+1 … 9)")
        self._commit = make_primary("Commit object", "C", "Keep this mask as an object")
        self._reject = make_button("Reject", "⌫", "Clear the prompts and the mask")
        self._next = make_button("Next", "N", "Keep the mask and start the next object")
        self._undo = make_button("Undo", "Ctrl+Z", "Take the last action back")
        self._redo = make_button("Redo", "Ctrl+⇧+Z", "Do it again")
        self._whole = make_button(
            "Segment whole image", "A", "Find all objects without a prompt"
        )
        self._slide = SlideView(session, self)
        self._region = RegionView(session, go_to_region, self)
        self._correct = make_collapsible("Correct")
        self._correct.addWidget(CorrectionView(session))
        self._options = make_collapsible("Options")
        form = make_form(session.options, self._on_options_edited)
        self._options.addWidget(form.native)
        self._lay_out()
        self._connect()
        self._show_present_state()

    def set_accent(self, colour: str) -> None:
        """Fill the primary buttons with the theme's own highlight, #RRGGBB."""
        paint_primary(self._commit, colour)
        self._region.set_accent(colour)

    def _lay_out(self) -> None:
        kinds = make_row(*self._kinds.values())
        signs = make_row(self._positive, self._negative)
        groups = ((self._kinds.values()), (self._positive, self._negative))
        for buttons in groups:
            group = QButtonGroup(self)
            for button in buttons:
                group.addButton(button)
        class_row = QHBoxLayout()
        class_row.setSpacing(10)
        class_row.addWidget(QLabel("Class"))
        class_row.addWidget(self._class, 1)
        grid = QGridLayout()
        grid.setSpacing(6)
        grid.addWidget(self._commit, 0, 0, 1, 2)
        grid.addWidget(self._reject, 1, 0)
        grid.addWidget(self._next, 1, 1)
        grid.addWidget(self._undo, 2, 0)
        grid.addWidget(self._redo, 2, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 10, 8, 8)
        layout.setSpacing(8)
        layout.addWidget(self._slide)
        for part in (kinds, signs):
            layout.addLayout(part)
        layout.addWidget(self._card)
        layout.addLayout(class_row)
        layout.addLayout(grid)
        layout.addSpacing(4)
        layout.addWidget(self._whole)
        layout.addWidget(self._region)
        layout.addWidget(self._correct)
        layout.addWidget(self._options)
        layout.addStretch(1)

    def _connect(self) -> None:
        # view -> session
        session = self._session
        for kind, button in self._kinds.items():
            button.clicked.connect(partial(self._on_kind_clicked, kind))
        self._positive.clicked.connect(partial(self._on_sign_clicked, True))
        self._negative.clicked.connect(partial(self._on_sign_clicked, False))
        self._class.activated.connect(self._on_class_activated)
        self._commit.clicked.connect(self._on_commit_clicked)
        self._reject.clicked.connect(self._on_reject_clicked)
        self._next.clicked.connect(self._on_next_clicked)
        self._undo.clicked.connect(self._on_undo_clicked)
        self._redo.clicked.connect(self._on_redo_clicked)
        self._whole.clicked.connect(self._on_whole_clicked)
        # session -> view
        session.prompts_changed.connect(self._on_prompts_changed)
        session.prediction_changed.connect(self._on_prediction_changed)
        session.busy_changed.connect(self._on_prediction_changed)
        session.history_changed.connect(self._on_history_changed)
        session.classes_changed.connect(self._on_classes_changed)
        session.image_changed.connect(self._on_prediction_changed)
        session.regions.regions_changed.connect(self._on_prediction_changed)

    def _show_present_state(self) -> None:
        self._on_prompts_changed(self._session.prompts)
        self._on_prediction_changed()
        self._on_history_changed()
        self._on_classes_changed()

    def _on_prompts_changed(self, _: Prompts) -> None:
        prompting = self._session.prompting
        self._kinds[prompting.kind].setChecked(True)
        chosen = self._positive if prompting.is_positive else self._negative
        chosen.setChecked(True)
        self._on_prediction_changed()

    def _on_prediction_changed(self, _: object = None) -> None:
        session = self._session
        prediction = session.prediction
        has_mask = prediction is not None and bool(prediction.labels.any())
        waits = bool(session.prompts) and prediction is None and not session.is_busy
        self._commit.setText("Segment   Return" if waits else "Commit object   C")
        self._commit.setEnabled(waits or (has_mask and not session.is_busy))
        asked = bool(session.prompts) or session.snapshot.is_automatic
        self._reject.setEnabled(asked)
        self._next.setEnabled(asked)
        self._whole.setEnabled(session.image is not None)
        self._whole.setVisible(session.regions.slide is None)

    def _on_history_changed(self) -> None:
        workspace = self._session.workspace
        history = workspace.history if workspace else None
        undoing = self._session.project.undoing
        can_undo = workspace is not None and undoing.can_undo(workspace)
        self._undo.setEnabled(can_undo)
        self._redo.setEnabled(bool(history and history.can_redo))
        for button, kind in (
            (self._undo, history.undo_kind if history else None),
            (self._redo, history.redo_kind if history else None),
        ):
            button.setToolTip(f"{kind}".replace("_", " ") if kind else "Nothing")
        if can_undo and history is not None and not history.can_undo:
            self._undo.setToolTip("a step of before the project was opened")

    def _on_classes_changed(self) -> None:
        chosen = self._session.annotation.chosen_class_id
        with signals_blocked(self._class):
            self._class.clear()
            self._class.addItem(
                dot_icon(UNCLASSIFIED_COLOUR), "As the model says", None
            )
            for place, entry in enumerate(self._session.classes.table.entries, 1):
                key = f"   Ctrl+{place}" if place < 10 else ""
                icon = dot_icon(entry.colour)
                self._class.addItem(icon, f"{entry.name}{key}", entry.id)
            index = self._class.findData(chosen) if chosen is not None else 0
            self._class.setCurrentIndex(max(0, index))

    def _on_kind_clicked(self, kind: PromptKind, _: object = None) -> None:
        self._session.prompting.choose_kind(kind)

    def _on_sign_clicked(self, is_positive: bool, _: object = None) -> None:
        self._session.prompting.choose_positive(is_positive)

    def _on_class_activated(self, index: int) -> None:
        self._session.annotation.choose_class(self._class.itemData(index))

    def _on_commit_clicked(self) -> None:
        run_action(self._session, commit_or_predict)

    def _on_reject_clicked(self) -> None:
        run_action(self._session, lambda s: s.prompting.reject())

    def _on_next_clicked(self) -> None:
        run_action(self._session, lambda s: s.annotation.next_object())

    def _on_undo_clicked(self) -> None:
        self._session.undo()

    def _on_redo_clicked(self) -> None:
        self._session.redo()

    def _on_whole_clicked(self) -> None:
        run_action(self._session, lambda s: s.prompting.segment_image())

    def _on_options_edited(self, options: object) -> None:
        if isinstance(options, SegmentOptions):
            self._session.change_options(options)
