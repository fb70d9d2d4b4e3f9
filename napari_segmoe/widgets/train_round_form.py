"""How a learning round is run: from which weights, how large, how long."""

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QLabel,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_segmoe.models.card import list_weights
from napari_segmoe.session.round_estimate import estimate_round
from napari_segmoe.session.session import Session
from napari_segmoe.session.training_runs import RoundRequest
from napari_segmoe.training.finetune.settings import RoundSettings
from napari_segmoe.widgets.heatmap_row import make_small_text
from napari_segmoe.widgets.versions_view import say_version

PRESETS = {
    "quick": ("Quick", "A few passes over the corrections; for a first look"),
    "normal": ("Normal", "Until the hold-out gains no more, or the time is up"),
}
LONGEST_MINUTES = 24 * 60


class RoundForm(QWidget):
    """The settings of the next round; they live here until it starts.

    Parameters
    ----------
    session : Session
        Tells versions and material.
    parent : QWidget or None
        Owner.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._weights = QComboBox()
        self._weights.setToolTip("Weights that the round starts from")
        self._preset = QComboBox()
        self._minutes = QSpinBox()
        self._minutes.setRange(1, LONGEST_MINUTES)
        self._minutes.setValue(round(RoundSettings.model_fields["minutes"].default))
        self._minutes.setPrefix("at most ")
        self._minutes.setSuffix(" min")
        self._estimate = make_small_text("")
        for key, (title, tooltip) in PRESETS.items():
            self._preset.addItem(title, key)
            at = self._preset.count() - 1
            self._preset.setItemData(at, tooltip, Qt.ItemDataRole.ToolTipRole)
        self._preset.setCurrentIndex(self._preset.findData("normal"))
        self._lay_out()
        # view -> view: what it will take depends on what is set here
        self._weights.currentIndexChanged.connect(self._on_edited)
        self._preset.currentIndexChanged.connect(self._on_edited)
        self._minutes.valueChanged.connect(self._on_edited)
        # session -> view
        session.training_runs.models.changed.connect(self._on_versions_changed)
        session.training_runs.material.changed.connect(self._on_edited)
        session.training_runs.runs_changed.connect(self._on_edited)
        session.model_changed.connect(self._on_versions_changed)
        self._on_versions_changed()

    @property
    def request(self) -> RoundRequest:
        """What was set."""
        current = self._session.training_runs.models.current
        chosen = self._weights.currentData()
        is_usual = current is not None and chosen == current.weights
        return RoundRequest(
            weights=None if is_usual else chosen,
            minutes=float(self._minutes.value()),
            preset=self._preset.currentData(),
        )

    @property
    def estimate_text(self) -> str:
        """What the round will take, in words."""
        return str(self._estimate.text())

    def _lay_out(self) -> None:
        for combo in (self._weights, self._preset):
            combo.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
            combo.setMinimumContentsLength(8)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(10)
        form.setVerticalSpacing(6)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(QLabel("Start from"), self._weights)
        form.addRow(QLabel("Preset"), self._preset)
        form.addRow(QLabel("Time"), self._minutes)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(form)
        layout.addWidget(self._estimate)

    def _on_versions_changed(self) -> None:
        chosen = self._weights.currentData() if self._was_chosen() else None
        with signals_blocked(self._weights):
            self._weights.clear()
            for version in reversed(self._session.training_runs.versions):
                used = ", in use" if version.is_current else ""
                words = f"v{version.number}: {say_version(version)}{used}"
                self._weights.addItem(words, version.weights)
            self._add_others()
            start = chosen or self._first_choice()
            self._weights.setCurrentIndex(max(self._weights.findData(start), 0))
        self._shown = self._first_choice()
        self._on_edited()

    def _add_others(self) -> None:
        present = self._session.model.choice.weights
        others = [present, *(name for name, _ in list_weights())]
        for weights in others:
            if self._weights.findData(weights) < 0:
                title = Path(weights).stem.replace("_", " ")
                self._weights.addItem(title, weights)

    def _was_chosen(self) -> bool:
        """Whether the user chose other weights than those that are proposed."""
        shown = getattr(self, "_shown", None)
        return shown is not None and self._weights.currentData() != shown

    def _first_choice(self) -> str:
        current = self._session.training_runs.models.current
        return current.weights if current else self._session.model.choice.weights

    def _on_edited(self, _: object = None) -> None:
        material = self._session.training_runs.material.counted
        request = self.request
        estimate = estimate_round(
            material,
            weights=self._weights.currentData(),
            preset=request.preset,
            minutes=float(self._minutes.value()),
            seconds_a_step=self._session.training_runs.seconds_a_step,
        )
        self._estimate.setText(estimate.text)
        self._estimate.setToolTip(estimate.details)
