"""A recipe on a data folder: a few usual settings, the rest behind "More"."""

from pathlib import Path
from typing import Any

from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_segmoe.models.card import list_weights
from napari_segmoe.models.preset_names import PRESETS
from napari_segmoe.session.run_list import default_runs_folder
from napari_segmoe.training.config import RecipeName, TrainingConfig
from napari_segmoe.widgets.collapsible import make_collapsible
from napari_segmoe.widgets.eliding_combo import ElidingComboBox
from napari_segmoe.widgets.heatmap_row import make_small_text
from napari_segmoe.widgets.settings_form import SettingsForm, make_form_layout

_SUITED = {  # the recipe of each paper's network
    "decoder_interaction": RecipeName.MULTITASK,
    "semi_moe": RecipeName.SEMI_SUPERVISED,
    "utanet": RecipeName.TWO_STAGE,
}
USUAL = ("recipe", "epochs", "input_px", "batch_size")
_OWN = ("data", "out", "model", "start_from")  # rows of this form
BROWSE_PX = 30
TAKES = (
    "One thread, in the background. How long it takes is said after its first steps."
)


class RecipeForm(QWidget):
    """The settings of a run on a data folder; they live here until it starts.

    Parameters
    ----------
    parent : QWidget or None
        Owner.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._data = QLineEdit()
        self._data.setPlaceholderText("images/, masks/, labels.csv")
        self._browse = QPushButton("…")
        self._browse.setFixedWidth(BROWSE_PX)
        self._browse.setToolTip("Choose a data folder")
        self._model = _make_combo("Network to train")
        for name in PRESETS:
            self._model.addItem(name.replace("_", " "), name)
        default = TrainingConfig.model_fields["model"].default
        self._model.setCurrentIndex(self._model.findData(default))
        self._start = _make_combo("Weights to start from")
        self._start.addItem("Nothing (random)", "")
        for name, _ in list_weights():
            self._start.addItem(name.replace("_", " "), name)
        self._out = QLineEdit()
        self._out.setPlaceholderText("made for you")
        self._out.setToolTip(f"By default in {default_runs_folder()}")
        self._form = make_form_layout(None)
        data = QHBoxLayout()
        data.setSpacing(4)
        data.addWidget(self._data, 1)
        data.addWidget(self._browse)
        self._form.addRow(QLabel("Data folder"), data)
        self._form.addRow(QLabel("Network"), self._model)
        self._form.addRow(QLabel("Start from"), self._start)
        self._form.addRow(QLabel("Run folder"), self._out)
        self.usual = SettingsForm(TrainingConfig, USUAL, layout=self._form)
        others = (one for one in TrainingConfig.model_fields if one not in USUAL + _OWN)
        self.others = SettingsForm(TrainingConfig, others)
        self._more = make_collapsible("More settings")
        self._more.addWidget(self.others.native)
        self._note = make_small_text(TAKES)
        self._lay_out()
        self._browse.clicked.connect(self._on_browse_clicked)
        self._model.activated.connect(self._on_model_activated)

    @property
    def values(self) -> dict[str, Any]:
        """What was set: settings of `TrainingConfig` that differ from the defaults.

        Raises
        ------
        ConfigError
            If a text cannot be read.
        """
        values: dict[str, Any] = {"data": Path(self._data.text().strip() or ".")}
        values["model"] = self._model.currentData()
        if self._start.currentData():
            values["start_from"] = self._start.currentData()
        if self._out.text().strip():
            values["out"] = Path(self._out.text().strip())
        return values | self.usual.changed() | self.others.changed()

    @property
    def has_data(self) -> bool:
        """Whether a data folder is named."""
        return bool(self._data.text().strip())

    @property
    def data(self) -> QLineEdit:
        """The line that names the data folder."""
        return self._data

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(self._form)
        layout.addWidget(self._more)
        layout.addWidget(self._note)

    def _on_model_activated(self, _: int) -> None:
        family = str(self._model.currentData()).removesuffix("_lite")
        self.usual.row("recipe").value = _SUITED.get(family, RecipeName.SUPERVISED)

    def _on_browse_clicked(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "Choose a data folder")
        if found:
            self._data.setText(found)


def _make_combo(tooltip: str) -> QComboBox:
    combo = ElidingComboBox()
    combo.setToolTip(tooltip)
    combo.setSizeAdjustPolicy(
        QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    )
    combo.setMinimumContentsLength(8)
    return combo
