"""The head of the Segment tab while a slide is open: its name and pixel size."""

from functools import partial

from qtpy.QtGui import QFontMetrics
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel
from superqt.utils import signals_blocked

from napari_segmoe.session.session import Session
from napari_segmoe.viewer.keys import run_action
from napari_segmoe.widgets.buttons import make_button, make_row
from napari_segmoe.widgets.region_texts import (
    MAGNIFICATIONS,
    say_scale,
    say_slide,
)

PRESETS = ("10x", "20x", "40x")
WARNING_COLOUR = "#D08A1E"  # readable on dark and on light
SMALLEST_UM, LARGEST_UM = 0.01, 100.0
FIRST_UM = 0.5


class SlideView(QWidget):
    """A view of the open slide; hidden where there is none.

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
        self._name = QElidingLabel()
        font = self._name.font()
        font.setBold(True)
        self._name.setFont(font)
        self._scale = QLabel()
        self._scale.setWordWrap(True)
        self._change = _make_small("Change")
        self._change.setToolTip("Set the size of a pixel yourself")
        self._change.setCheckable(True)
        self._value = QDoubleSpinBox()
        self._value.setDecimals(3)
        self._value.setRange(SMALLEST_UM, LARGEST_UM)
        self._value.setSingleStep(0.05)
        self._value.setSuffix(" µm/px")
        self._value.setToolTip("Micrometres per pixel of the full resolution")
        self._set = _make_small("Set")
        self._set.setToolTip("Take this pixel size; areas and resolution follow")
        self._presets = {name: _make_preset(name) for name in PRESETS}
        self._editor = QWidget()
        self._lay_out()
        # view -> session
        self._change.clicked.connect(self._on_change_clicked)
        self._set.clicked.connect(self._on_set_clicked)
        line = self._value.lineEdit()
        assert line is not None
        line.returnPressed.connect(self._on_set_clicked)
        for name, button in self._presets.items():
            button.clicked.connect(partial(self._take, MAGNIFICATIONS[name]))
        # session -> view
        session.regions.regions_changed.connect(self._on_slide_changed)
        session.model_changed.connect(self._on_slide_changed)
        self._on_slide_changed()

    @property
    def scale_text(self) -> str:
        """What is said of the pixel size."""
        return str(self._scale.text())

    @property
    def editor(self) -> QWidget:
        """Where the user sets the pixel size."""
        return self._editor

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(6)
        top.addWidget(self._scale, 1)
        top.addWidget(self._change)
        value = QHBoxLayout()
        value.setSpacing(6)
        value.addWidget(self._value, 1)
        value.addWidget(self._set)
        editor = QVBoxLayout(self._editor)
        editor.setContentsMargins(0, 0, 0, 0)
        editor.setSpacing(6)
        editor.addLayout(value)
        editor.addLayout(make_row(*self._presets.values()))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 4)
        layout.setSpacing(6)
        layout.addWidget(self._name)
        layout.addLayout(top)
        layout.addWidget(self._editor)

    def _on_slide_changed(self) -> None:
        scene = self._session.regions.slide
        self.setVisible(scene is not None)
        if scene is None:
            return
        assumed_um = self._session.model.assumed_spacing_um
        self._name.setText(scene.name)
        self._name.setToolTip(f"{scene.name}\n{say_slide(scene)}")
        seen_um = self._session.model.spacing_um
        text = say_scale(scene, assumed_um, seen_um=seen_um)
        self._scale.setText(text)
        self._scale.setToolTip(f"{text}\n{say_slide(scene)}")
        is_unknown = scene.spacing_um is None
        self._scale.setStyleSheet(f"color: {WARNING_COLOUR};" if is_unknown else "")
        stated = scene.spacing_um[0] if scene.spacing_um else assumed_um or FIRST_UM
        with signals_blocked(self._value):
            self._value.setValue(stated)
        self._unfold(is_open=is_unknown)
        self._change.setVisible(not is_unknown)

    def _on_change_clicked(self) -> None:
        self._unfold(is_open=self._editor.isHidden())

    def _on_set_clicked(self) -> None:
        self._take(self._value.value())

    def _take(self, spacing_um: float, _: object = None) -> None:
        run_action(self._session, lambda s: s.regions.set_spacing(spacing_um))

    def _unfold(self, *, is_open: bool) -> None:
        self._editor.setVisible(is_open)
        with signals_blocked(self._change):
            self._change.setChecked(is_open)


def _make_small(text: str) -> QPushButton:
    button = make_button(text, "", "")
    button.setFixedWidth(QFontMetrics(button.font()).horizontalAdvance(text) + 24)
    return button


def _make_preset(name: str) -> QPushButton:
    spacing_um = MAGNIFICATIONS[name]
    return make_button(name, "", f"{spacing_um:g} µm/px, as scanners call {name}")
