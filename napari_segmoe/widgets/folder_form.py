"""Which weights are scored on which data folder."""

from pathlib import Path

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_segmoe.models.card import list_weights
from napari_segmoe.session.folder_scoring import FolderQuestion
from napari_segmoe.session.session import Session
from napari_segmoe.widgets.eliding_combo import ElidingComboBox
from napari_segmoe.widgets.versions_view import say_version

BROWSE_PX = 30


class FolderForm(QWidget):
    """What to ask of `segmoe evaluate`; it lives here until it is asked.

    Parameters
    ----------
    session : Session
        Tells which weights there are.
    parent : QWidget or None
        Owner.
    """

    edited = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.data = QLineEdit()
        self.data.setPlaceholderText("images/, masks/, labels.csv")
        self._browse = QPushButton("…")
        self._browse.setFixedWidth(BROWSE_PX)
        self._browse.setToolTip("Choose a data folder")
        self.split = QLineEdit("test")
        self.split.setToolTip("Names of splits in labels.csv, separated by commas")
        self.weights, self.against = _make_combo(), _make_combo()
        self.against.setToolTip("Both are scored on the same images and compared")
        self._lay_out()
        self.data.textChanged.connect(lambda _: self.edited.emit())
        self._browse.clicked.connect(self._on_browse_clicked)
        session.model_changed.connect(self._on_weights_changed)
        session.training_runs.models.changed.connect(self._on_weights_changed)
        session.training_runs.runs_changed.connect(self._on_weights_changed)
        self._on_weights_changed()

    @property
    def has_data(self) -> bool:
        """Whether a data folder is named."""
        return bool(self.data.text().strip())

    @property
    def question(self) -> FolderQuestion:
        """What was set."""
        return FolderQuestion(
            Path(self.data.text().strip()),
            self.split.text().strip() or "test",
            self.weights.currentData(),
            self.against.currentData() or None,
            self._session.model.choice.device,
        )

    def _lay_out(self) -> None:
        data = QHBoxLayout()
        data.setSpacing(4)
        data.addWidget(self.data, 1)
        data.addWidget(self._browse)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(10)
        form.setVerticalSpacing(6)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(QLabel("Data folder"), data)
        form.addRow(QLabel("Split"), self.split)
        form.addRow(QLabel("Weights"), self.weights)
        form.addRow(QLabel("Against"), self.against)

    def _on_weights_changed(self) -> None:
        choices = _choices(self._session)
        for combo, first in ((self.weights, ()), (self.against, (("Nothing", ""),))):
            chosen = combo.currentData()
            with signals_blocked(combo):
                combo.clear()
                for title, weights in (*first, *choices):
                    combo.addItem(title, weights)
                combo.setCurrentIndex(max(combo.findData(chosen), 0))

    def _on_browse_clicked(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "Choose a data folder")
        if found:
            self.data.setText(found)


def _choices(session: Session) -> list[tuple[str, str]]:
    """Return all weights by title: the one in use, versions, shipped, runs'."""
    found: dict[str, str] = {}
    present = session.model.choice.weights
    found[present] = f"{Path(present).stem.replace('_', ' ')}, in use"
    for version in reversed(session.training_runs.versions):
        used = ", in use" if version.weights == present else ""
        found[version.weights] = f"v{version.number}: {say_version(version)}{used}"
    for name, _ in list_weights():
        found.setdefault(name, name.replace("_", " "))
    for run in session.training_runs.runs:
        if run.weights is not None and not run.is_round:
            found.setdefault(str(run.weights), f"{run.name}, best")
    return [(title, weights) for weights, title in found.items()]


def _make_combo() -> QComboBox:
    combo = ElidingComboBox()
    combo.setSizeAdjustPolicy(
        QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    )
    combo.setMinimumContentsLength(8)
    return combo
