"""The Evaluate tab: how good are the objects, or a model on a data folder."""

from enum import StrEnum
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_segmoe.data.masks import MaskKind
from napari_segmoe.session.evaluating import KINDS, TruthChoice
from napari_segmoe.session.session import Session
from napari_segmoe.viewer.agreement_layer import COLOURS, AgreementLayer, truth_of
from napari_segmoe.viewer.keys import run_action
from napari_segmoe.widgets.buttons import (
    PRIMARY_HEIGHT_PX,
    make_button,
    make_primary,
    make_row,
    make_toggle,
    paint_primary,
)
from napari_segmoe.widgets.eliding_combo import ElidingComboBox
from napari_segmoe.widgets.evaluation_result import EvaluationResult
from napari_segmoe.widgets.folder_form import FolderForm
from napari_segmoe.widgets.heatmap_row import make_small_text

NO_TRUTH = (
    "Pick a ground-truth layer, one with label values: open or drop a mask file, and it"
    " can be chosen here."
)
CHOICES: tuple[MaskKind | None, ...] = (
    None,
    MaskKind.INSTANCES,
    MaskKind.BINARY,
    MaskKind.SEMANTIC,
)


class Subject(StrEnum):
    """What is evaluated."""

    IMAGE = "image"
    FOLDER = "folder"


class EvaluateView(QWidget):
    """A view of evaluations.

    Parameters
    ----------
    session : Session
        The session.
    agreement : AgreementLayer
        Draws what was found, and knows the layers that may be a truth.
    viewer : ViewerModel
        Tells when layers come and go.
    parent : QWidget or None
        Owner.
    """

    def __init__(
        self,
        session: Session,
        agreement: AgreementLayer,
        viewer: Any,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._agreement = agreement
        self._viewer = viewer
        self._subjects = {
            Subject.IMAGE: make_toggle(
                "This image", "", "Compare this image's objects with a labels layer"
            ),
            Subject.FOLDER: make_toggle(
                "A data folder", "", "Score weights on images with masks"
            ),
        }
        self._image_form = QWidget()
        self._found, self._truth, self._kind = (ElidingComboBox() for _ in range(3))
        self._no_truth = make_small_text(NO_TRUTH)
        self._overlay = QCheckBox("Draw it over the image")
        self._legend = QLabel(_legend())
        self.folder_form = FolderForm(session)
        self._start = make_primary("Evaluate", "", "Compare, beside the window")
        self._bar = QProgressBar()
        self._bar.setMinimumHeight(PRIMARY_HEIGHT_PX)
        self._cancel = make_button("Cancel", "", "Stop; the table before stays")
        self._running = QWidget()
        self.result = EvaluationResult(session, self._open_image)
        self._lay_out()
        self._connect()
        self.choose_subject(Subject.IMAGE)
        self._on_layers_changed()
        self._on_changed()

    @property
    def subject(self) -> Subject:
        """What is evaluated."""
        is_image = self._subjects[Subject.IMAGE].isChecked()
        return Subject.IMAGE if is_image else Subject.FOLDER

    @property
    def truth_names(self) -> list[str]:
        """The layers that can be chosen as truth."""
        return [self._truth.itemText(at) for at in range(self._truth.count())]

    def choose_subject(self, subject: Subject) -> None:
        """Show what is evaluated, and its settings."""
        subject = Subject(subject)
        self._subjects[subject].setChecked(True)
        self._image_form.setVisible(subject is Subject.IMAGE)
        self.folder_form.setVisible(subject is Subject.FOLDER)
        self._show_button()

    def set_accent(self, colour: str) -> None:
        """Fill the primary button with the theme's own highlight, #RRGGBB."""
        paint_primary(self._start, colour)
        self._bar.setStyleSheet(
            "QProgressBar { text-align: center; border: none; border-radius: 2px;"
            " background-color: rgba(128, 128, 128, 60); }"
            f"QProgressBar::chunk {{ background-color: {colour}; border-radius: 2px; }}"
        )

    def close_connections(self) -> None:
        """Stop listening to the viewer."""
        events = self._viewer.layers.events
        for signal in (events.inserted, events.removed):
            signal.disconnect(self._on_layers_changed)
        self._agreement.close()

    def _lay_out(self) -> None:
        group = QButtonGroup(self)
        for button in self._subjects.values():
            group.addButton(button)
        self._lay_out_image_form()
        running = QHBoxLayout(self._running)
        running.setContentsMargins(0, 0, 0, 0)
        running.setSpacing(6)
        running.addWidget(self._bar, 1)
        running.addWidget(self._cancel)
        self._cancel.setFixedWidth(76)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 10, 8, 8)
        layout.setSpacing(8)
        layout.addLayout(make_row(*self._subjects.values()))
        layout.addWidget(self._image_form)
        layout.addWidget(self.folder_form)
        layout.addWidget(self._start)
        layout.addWidget(self._running)
        layout.addWidget(self.result)
        layout.addStretch(1)

    def _lay_out_image_form(self) -> None:
        self._found.addItem("Committed objects", False)
        self._found.addItem("The model's answer", True)
        for kind in CHOICES:
            self._kind.addItem(KINDS[kind].capitalize() if kind else "Find out", kind)
        self._kind.setToolTip("What the truth's values mean")
        form = QFormLayout()
        form.setHorizontalSpacing(10)
        form.setVerticalSpacing(6)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for title, combo in (
            ("Prediction", self._found),
            ("Truth", self._truth),
            ("Its values", self._kind),
        ):
            combo.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
            combo.setMinimumContentsLength(8)
            form.addRow(QLabel(title), combo)
        layout = QVBoxLayout(self._image_form)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(form)
        for part in (self._no_truth, self._overlay, self._legend):
            layout.addWidget(part)

    def _connect(self) -> None:
        # view -> session and viewer
        for subject, button in self._subjects.items():
            button.clicked.connect(lambda _, one=subject: self.choose_subject(one))
        self._start.clicked.connect(self._on_start_clicked)
        self._cancel.clicked.connect(self._session.evaluating.cancel)
        self._overlay.toggled.connect(self._on_overlay_toggled)
        self.folder_form.edited.connect(self._show_button)
        # session and viewer -> view
        self._session.evaluating.changed.connect(self._on_changed)
        for signal in (
            self._viewer.layers.events.inserted,
            self._viewer.layers.events.removed,
        ):
            signal.connect(self._on_layers_changed)

    def _on_overlay_toggled(self, wanted: bool) -> None:
        self._agreement.want(wanted)
        self._on_changed()

    def _on_layers_changed(self, _: object = None) -> None:
        chosen = self._truth.currentData()
        truths = self._agreement.truths()
        with signals_blocked(self._truth):
            self._truth.clear()
            for layer in truths:
                self._truth.addItem(layer.name, layer)
            rows = [at for at, layer in enumerate(truths) if layer is chosen]
            self._truth.setCurrentIndex(rows[0] if rows else len(truths) - 1)
        self._no_truth.setVisible(not truths)
        self._truth.setEnabled(bool(truths))
        self._show_button()

    def _on_changed(self) -> None:
        evaluating = self._session.evaluating
        self._running.setVisible(evaluating.is_running)
        self._start.setVisible(not evaluating.is_running)
        done, total = evaluating.progress or (0, 0)
        self._bar.setRange(0, total)
        self._bar.setValue(done)
        self._bar.setFormat(f"{done} of {total}" if total else "Starting…")
        has_overlay = evaluating.overlay is not None
        self._legend.setVisible(has_overlay and self._agreement.is_wanted)
        with signals_blocked(self._overlay):
            self._overlay.setChecked(self._agreement.is_wanted)

    def _show_button(self) -> None:
        is_ready = (
            self._truth.count() > 0
            if self.subject is Subject.IMAGE
            else self.folder_form.has_data
        )
        self._start.setEnabled(is_ready)

    def _on_start_clicked(self) -> None:
        evaluating = self._session.evaluating
        if self.subject is Subject.FOLDER:
            question = self.folder_form.question
            run_action(self._session, lambda _: evaluating.score_folder(question))
            return
        is_proposal = bool(self._found.currentData())
        truth = self._choice()
        run_action(
            self._session,
            lambda _: evaluating.score_image(truth, is_proposal=is_proposal),
        )

    def _choice(self) -> TruthChoice:
        truth = truth_of(self._truth.currentData())
        kind = self._kind.currentData()
        return TruthChoice(
            truth.labels,
            truth.name,
            kind=MaskKind(kind) if kind else None,
            class_of=truth.class_of,
        )

    def _open_image(self, name: str) -> None:
        question = self._session.evaluating.question
        if question is not None:
            data = Path(question.data)
            run_action(self._session, lambda _: self._agreement.open_case(data, name))


def _legend() -> str:
    rows = (
        f'<span style="color:{colour}">■</span> {words}'
        for colour, words in COLOURS.values()
    )
    return "<br>".join(rows)
