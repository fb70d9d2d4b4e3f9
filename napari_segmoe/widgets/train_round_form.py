"""How a learning round is run: from which weights, how large, how long."""

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
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
from napari_segmoe.widgets.collapsible import make_collapsible
from napari_segmoe.widgets.eliding_combo import ElidingComboBox
from napari_segmoe.widgets.heatmap_row import make_small_text
from napari_segmoe.widgets.settings_form import SettingsForm
from napari_segmoe.widgets.versions_view import say_version

PRESETS = {
    "quick": ("Quick", "A few passes over the corrections; for a first look"),
    "normal": ("Normal", "Until the hold-out gains no more, or the time is up"),
}
LONGEST_MINUTES = 24 * 60
PSEUDO_WEIGHT = 0.5
PSEUDO_TIP = (
    "Pseudo-labels: the model's own answers on images and tiles without labels teach it"
    " too, once they have passed the hold-out"
)
PSEUDO_NOTE = "Off by default: not shown to help beyond corrections alone."
_OWN = ("weights", "preset", "minutes", "pseudo_weight", "device", "threads", "nice")


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
        self._weights = ElidingComboBox()
        self._weights.setToolTip("Weights that the round starts from")
        self._preset = ElidingComboBox()
        self._minutes = QSpinBox()
        self._minutes.setRange(1, LONGEST_MINUTES)
        self._minutes.setValue(round(RoundSettings.model_fields["minutes"].default))
        self._minutes.setPrefix("at most ")
        self._minutes.setSuffix(" min")
        self._estimate = make_small_text("")
        self._pseudo = QCheckBox("Learn from unlabelled tissue too")
        self._pseudo.setToolTip(PSEUDO_TIP)
        self._pseudo.setChecked(_is_pseudo_usual())
        self.others = SettingsForm(RoundSettings, _other_settings())
        self._more = make_collapsible("More settings")
        self._more.addWidget(self.others.native)
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
        """What was set.

        Raises
        ------
        ConfigError
            If a text among the other settings cannot be read.
        """
        current = self._session.training_runs.models.current
        chosen = self._weights.currentData()
        is_usual = current is not None and chosen == current.weights
        return RoundRequest(
            weights=None if is_usual else chosen,
            minutes=float(self._minutes.value()),
            preset=self._preset.currentData(),
            settings=self._pseudo_settings() | self.others.changed(),
        )

    @property
    def pseudo_labels(self) -> QCheckBox:
        """Whether unlabelled tissue teaches too."""
        return self._pseudo

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
        layout.addWidget(self._pseudo)
        if not _is_pseudo_usual():
            layout.addWidget(make_small_text(PSEUDO_NOTE))
        layout.addWidget(self._more)
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

    def _pseudo_settings(self) -> dict[str, float]:
        if self._pseudo.isChecked() == _is_pseudo_usual():
            return {}
        return {"pseudo_weight": PSEUDO_WEIGHT if self._pseudo.isChecked() else 0.0}

    def _was_chosen(self) -> bool:
        """Whether the user chose other weights than those that are proposed."""
        shown = getattr(self, "_shown", None)
        return shown is not None and self._weights.currentData() != shown

    def _first_choice(self) -> str:
        current = self._session.training_runs.models.current
        return current.weights if current else self._session.model.choice.weights

    def _on_edited(self, _: object = None) -> None:
        material = self._session.training_runs.material.counted
        estimate = estimate_round(
            material,
            weights=self._weights.currentData(),
            preset=self._preset.currentData(),
            minutes=float(self._minutes.value()),
            seconds_a_step=self._session.training_runs.seconds_a_step,
        )
        self._estimate.setText(estimate.text)
        self._estimate.setToolTip(estimate.details)


def _is_pseudo_usual() -> bool:
    """Return whether rounds use pseudo-labels unless somebody says otherwise."""
    return bool(RoundSettings.model_fields["pseudo_weight"].default)


def _other_settings() -> list[str]:
    return [name for name in RoundSettings.model_fields if name not in _OWN]
