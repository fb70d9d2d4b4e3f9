"""The head of the dock: status line, image, model and device."""

from html import escape
from pathlib import Path
from typing import Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel
from superqt.utils import signals_blocked

from napari_segmoe.errors import WeightsError
from napari_segmoe.models.card import list_weights, read_card
from napari_segmoe.models.weights_summary import describe
from napari_segmoe.session.session import Session
from napari_segmoe.session.status import Activity, Status
from napari_segmoe.viewer.layers import LayerSync
from napari_segmoe.widgets.eliding_combo import ElidingComboBox
from napari_segmoe.widgets.icons import dot_pixmap
from napari_segmoe.widgets.keys_popover import KeysPopover

ACTIVITY_COLOURS = {
    Activity.NO_IMAGE: "#8A8F98",
    Activity.IDLE: "#8A8F98",
    Activity.LOADING: "#E6A93C",
    Activity.READY: "#3FBF7F",
    Activity.PREDICTING: "#35C9FF",
    Activity.FAILED: "#FF5C5C",
}

POPUP_WIDTH_PX = 200
WEIGHTS_TIP = "Weights that segment and classify"


class StatusView(QWidget):
    """A view of what the session works on, and with what.

    Parameters
    ----------
    session : Session
        The session.
    layers : LayerSync
        Knows the image layers.
    viewer : ViewerModel
        Tells when layers come, go and are renamed.
    parent : QWidget or None
        Owner.
    """

    def __init__(
        self,
        session: Session,
        layers: LayerSync,
        viewer: Any,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._layers = layers
        self._viewer = viewer
        self._dot = QLabel()
        self._line = QElidingLabel()
        self._help = QPushButton("?")
        self._help.setToolTip("Keyboard and mouse")
        self._help.setFixedSize(QSize(24, 24))
        self._image = _make_combo("Image layer to segment")
        self._weights = _make_combo(WEIGHTS_TIP)
        self._device = _make_combo("Device the model runs on")
        self._device.setMaximumWidth(84)
        self._lay_out()
        # view -> session
        self._image.activated.connect(self._on_image_activated)
        self._weights.activated.connect(self._on_weights_activated)
        self._device.activated.connect(self._on_device_activated)
        self._help.clicked.connect(self._on_help_clicked)
        # session and viewer -> view
        session.status_changed.connect(self._on_status_changed)
        session.model_changed.connect(self._on_model_changed)
        session.image_changed.connect(self._on_images_changed)
        viewer.layers.events.inserted.connect(self._on_images_changed)
        viewer.layers.events.removed.connect(self._on_images_changed)
        self._on_status_changed(session.status)
        self._on_model_changed()
        self._on_images_changed()

    def close_connections(self) -> None:
        """Stop listening to the viewer."""
        events = self._viewer.layers.events
        for signal in (events.inserted, events.removed):
            signal.disconnect(self._on_images_changed)

    def _lay_out(self) -> None:
        line = QHBoxLayout()
        line.setSpacing(6)
        line.addWidget(self._dot)
        line.addWidget(self._line, 1)
        line.addWidget(self._help)
        model = QHBoxLayout()
        model.setSpacing(6)
        model.addWidget(self._weights, 1)
        model.addWidget(self._device)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(10)
        form.setVerticalSpacing(6)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Image", self._image)
        form.addRow("Model", model)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(line)
        layout.addLayout(form)

    def _on_status_changed(self, status: Status) -> None:
        self._dot.setPixmap(dot_pixmap(ACTIVITY_COLOURS[status.activity]))
        self._line.setText(status.text)
        self._line.setToolTip(status.text)

    def _on_model_changed(self) -> None:
        choice = self._session.model.choice
        with signals_blocked(self._weights):
            self._weights.clear()
            for name, path in list_weights():
                self._weights.addItem(name.replace("_", " "), name)
                at = self._weights.count() - 1
                tip = _tip_of(path)
                self._weights.setItemData(at, tip, Qt.ItemDataRole.ToolTipRole)
            if self._weights.findData(choice.weights) < 0:
                title = Path(choice.weights).stem.replace("_", " ")
                self._weights.addItem(title, choice.weights)
            current = self._weights.findData(choice.weights)
            self._weights.setCurrentIndex(current)
            tip = self._weights.itemData(current, Qt.ItemDataRole.ToolTipRole)
            self._weights.setToolTip(tip or WEIGHTS_TIP)
        with signals_blocked(self._device):
            self._device.clear()
            for device in self._session.model.devices:
                self._device.addItem(device.title, device.name)
            self._device.setCurrentIndex(self._device.findData(choice.device))

    def _on_images_changed(self, _: object = None) -> None:
        with signals_blocked(self._image):
            self._image.clear()
            for layer in self._layers.images():
                self._image.addItem(layer.name, layer)
            index = -1
            for at, layer in enumerate(self._layers.images()):
                if layer is self._layers.image_layer:
                    index = at
            self._image.setCurrentIndex(index)
        self._image.setPlaceholderText("Open an image or slide")
        self._image.setEnabled(self._image.count() > 0)

    def _on_image_activated(self, index: int) -> None:
        self._layers.choose(self._image.itemData(index))

    def _on_weights_activated(self, index: int) -> None:
        self._session.model.choose(weights=self._weights.itemData(index))

    def _on_device_activated(self, index: int) -> None:
        self._session.model.choose(device=self._device.itemData(index))

    def _on_help_clicked(self) -> None:
        KeysPopover(self._help).show_below(self._help)


def _tip_of(path: Path) -> str:
    """Return what a file of weights is for and how good; it wraps as rich text."""
    try:
        lines = describe(read_card(path))
    except WeightsError as error:
        lines = (str(error),)
    return "<br>".join(f"<span>{escape(line)}</span>" for line in lines)


def _make_combo(tooltip: str) -> QComboBox:
    combo = ElidingComboBox()
    combo.setToolTip(tooltip)
    combo.setSizeAdjustPolicy(
        QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    )
    combo.setMinimumContentsLength(6)
    combo.view().setMinimumWidth(POPUP_WIDTH_PX)
    combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return combo
