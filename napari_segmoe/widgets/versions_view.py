"""The timeline of a project's model: each version, how good, and going back."""

from functools import partial

from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_segmoe.session.model_versions import Version
from napari_segmoe.session.session import Session
from napari_segmoe.viewer.keys import run_action
from napari_segmoe.widgets.heatmap_row import make_small_text
from napari_segmoe.widgets.interval_bar import IntervalBar
from napari_segmoe.widgets.rows import clear_rows

NONE_YET = "No round has published a version of the model yet."
BUTTON_PX = 58


class VersionsView(QWidget):
    """A view of the versions, the newest on top.

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
        self._empty = make_small_text(NONE_YET)
        self._body = QWidget()
        self._grid = QGridLayout(self._body)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(5)
        self._grid.setVerticalSpacing(5)
        self._grid.setColumnStretch(2, 1)
        self.buttons: dict[int, QPushButton] = {}
        self._words: list[QLabel] = []
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._empty)
        layout.addWidget(self._body)
        session.training_runs.models.changed.connect(self._on_versions_changed)
        self._on_versions_changed()

    @property
    def texts(self) -> list[str]:
        """What is said of each version, the newest first."""
        return [one.text() for one in reversed(self._words)]

    def _on_versions_changed(self) -> None:
        versions = self._session.training_runs.versions
        clear_rows(self._grid)
        self.buttons, self._words = {}, []
        shown = _common_range(versions)
        for row, version in enumerate(reversed(versions)):
            self._add_row(row, version, shown, is_first=version is versions[0])
        self._empty.setVisible(not versions)
        self._body.setVisible(bool(versions))

    def _add_row(
        self, row: int, version: Version, shown: tuple[float, float], *, is_first: bool
    ) -> None:
        name = QLabel(f"v{version.number}")
        name.setToolTip(version.title)
        font = name.font()
        font.setBold(version.is_current)
        name.setFont(font)
        bar = IntervalBar()
        bar.show_figure(
            version.dice, version.interval, shown=shown, is_used=version.is_current
        )
        words = QLabel(say_version(version))
        tooltip = say_figures(version)
        words.setToolTip(tooltip)
        bar.setToolTip(tooltip)
        button = self._make_button(version, is_first=is_first)
        for column, part in enumerate((name, words, bar, button)):
            self._grid.addWidget(part, row, column)
        self.buttons[version.number] = button
        self._words.insert(0, words)

    def _make_button(self, version: Version, *, is_first: bool) -> QPushButton:
        act = self._on_use_clicked
        button = QPushButton("Use")
        button.setToolTip("Answer with this version from the next click on")
        if version.is_current:
            act = self._on_revert_clicked
            button.setText("Revert")
            button.setToolTip("In use; go back to the version before it")
            button.setEnabled(not is_first)
            if is_first:
                button.setText("In use")
        button.setFixedWidth(BUTTON_PX)
        button.clicked.connect(partial(act, version))
        return button

    def _on_use_clicked(self, version: Version, _: bool = False) -> None:
        run_action(self._session, lambda s: s.training_runs.use(version))

    def _on_revert_clicked(self, version: Version, _: bool = False) -> None:
        run_action(self._session, lambda s: s.training_runs.revert(version))


def say_version(version: Version) -> str:
    """Say how good a version is on the hold-out."""
    if version.dice is None:
        return "base" if version.number == 0 else "no figure"
    if version.interval is None:
        return f"{version.dice:.3f}"
    low, high = version.interval
    return f"{version.dice:.3f} ({low:.2f}-{high:.2f})"


def say_figures(version: Version) -> str:
    """Return all that the guard saw of a version, a line a figure."""
    lines = [version.title, "Dice on the hold-out, with its 95 % interval"]
    lines += [
        f"{name.replace('_', ' ')}: {value:.4g}"
        for name, value in version.figures.items()
    ]
    return "\n".join(lines)


def _common_range(versions: tuple[Version, ...]) -> tuple[float, float]:
    """Return the ends of all strips: around all intervals, within 0 and 1."""
    values = [end for one in versions for end in (one.interval or ())]
    values += [one.dice for one in versions if one.dice is not None]
    if not values:
        return 0.0, 1.0
    margin = 0.1 * (max(values) - min(values)) + 0.02
    return max(min(values) - margin, 0.0), min(max(values) + margin, 1.0)
