"""What the dock shows while there is no image."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_segmoe.project.recent_projects import recent_projects
from napari_segmoe.widgets.project_view_start import make_recent_button
from napari_segmoe.widgets.rows import clear_rows

SHOWN_PROJECTS = 2
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
    show_project : callable
        Shows the Project tab.
    open_project : callable
        Opens the project of a path.
    parent : QWidget or None
        Owner.
    """

    def __init__(
        self,
        open_sample: Callable[[str], None],
        open_file: Callable[[], None],
        show_project: Callable[[], None],
        open_project: Callable[[Path], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._open_project = open_project
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
        layout.addSpacing(8)
        self._recent_title = QLabel("Go on with a project")
        self._recent = QVBoxLayout()
        self._recent.setSpacing(6)
        layout.addWidget(self._recent_title)
        layout.addLayout(self._recent)
        project = _make_button("Make or open a project…")
        project.setToolTip("Keeps all you do on the disk; see the tab Project")
        project.clicked.connect(lambda _=False: show_project())
        layout.addWidget(project)
        layout.addStretch(1)
        self.show_recent()

    def show_recent(self) -> None:
        """Read the list of recent projects anew."""
        clear_rows(self._recent)
        paths = [one for one in recent_projects() if one.is_dir()][:SHOWN_PROJECTS]
        for path in paths:
            self._recent.addWidget(make_recent_button(path, self._open_project))
        self._recent_title.setVisible(bool(paths))


def _call_with(action: Callable[[str], None], key: str, _: object = None) -> None:
    action(key)


def _make_button(text: str) -> QPushButton:
    button = QPushButton(text)
    button.setMinimumHeight(32)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button
