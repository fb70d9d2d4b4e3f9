"""What the dock shows while there is no image."""

from collections.abc import Callable
from functools import partial

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QLabel, QPushButton, QVBoxLayout, QWidget

SAMPLES = (
    ("phantom_malignant", "Breast ultrasound phantom"),
    ("he_slide", "Slide of glands"),
    ("immunohistochemistry", "Immunohistochemistry"),
)


class EmptyView(QFrame):
    """Ways to an image or a slide.

    Parameters
    ----------
    open_sample : callable
        Opens a sample by its key.
    open_file : callable
        Asks for a file and opens it.
    parent : QWidget or None
        Owner.
    """

    def __init__(
        self,
        open_sample: Callable[[str], None],
        open_file: Callable[[], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        title = QLabel("Open an image or slide")
        font = title.font()
        font.setPointSizeF(font.pointSizeF() * 1.2)
        font.setBold(True)
        title.setFont(font)
        text = QLabel(
            "Then click a lesion or a gland: its mask and its class appear, and C"
            " keeps them."
        )
        text.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 18, 12, 12)
        layout.setSpacing(8)
        layout.addWidget(title)
        layout.addWidget(text)
        layout.addSpacing(8)
        for key, name in SAMPLES:
            button = _make_button(f"Sample: {name}")
            button.clicked.connect(partial(_call_with, open_sample, key))
            layout.addWidget(button)
        own = _make_button("Open my image or slide…")
        own.clicked.connect(lambda _=False: open_file())
        layout.addWidget(own)
        hint = QLabel(
            "PNG, JPEG, TIFF, ultrasound DICOM; slides as SVS, NDPI, MRXS, SCN, BIF,"
            " OME-TIFF, OME-Zarr or DICOM. Or drop a file here."
        )
        hint.setWordWrap(True)
        hint.setEnabled(False)
        layout.addWidget(hint)
        layout.addStretch(1)


def _call_with(action: Callable[[str], None], key: str, _: object = None) -> None:
    action(key)


def _make_button(text: str) -> QPushButton:
    button = QPushButton(text)
    button.setMinimumHeight(32)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button
