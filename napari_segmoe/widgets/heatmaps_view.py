"""The Heatmaps tab: what the network saw, map by map, and who was asked."""

from functools import partial

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_segmoe.session.session import Session
from napari_segmoe.types import Explanation, ExplanationGroup
from napari_segmoe.viewer.heatmaps import HeatmapLayers
from napari_segmoe.widgets.experts_view import ExpertsView
from napari_segmoe.widgets.heatmap_row import (
    INDENT_PX,
    HeatmapRow,
    TableRow,
    make_small_text,
)
from napari_segmoe.widgets.icons import arrow_icon
from napari_segmoe.widgets.rows import clear_rows

WAITING_FOR_CLICK = "Click an object: what the network saw appears here."
READY = "Tick a map to lay it over the image; point at the image to read its values."
WAITING = "The network is asked why…"
NOTHING = "This answer comes without explanations."
MOST_OPEN_ROWS = 8  # longer groups begin folded


class GroupSection(QWidget):
    """A heading that folds the rows below it.

    Parameters
    ----------
    title : str
        The heading.
    """

    def __init__(self, title: str) -> None:
        super().__init__()
        self._heading = QPushButton(title)
        self._heading.setStyleSheet(
            "text-align: left; border: none; background: transparent; padding: 3px 0;"
            " font-weight: 600;"
        )
        self._heading.clicked.connect(self._on_heading_clicked)
        self._body = QWidget()
        self.rows = QVBoxLayout(self._body)
        self.rows.setContentsMargins(2, 0, 0, 0)
        self.rows.setSpacing(5)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._heading)
        layout.addWidget(self._body)
        self.unfold(is_open=True)

    def unfold(self, *, is_open: bool) -> None:
        """Show or fold the rows."""
        self._heading.setIcon(arrow_icon(down=is_open))
        self._body.setVisible(is_open)

    def _on_heading_clicked(self) -> None:
        self.unfold(is_open=self._body.isHidden())


class HeatmapsView(QWidget):
    """A view of explanations and of the wishes about experts.

    Parameters
    ----------
    session : Session
        The session.
    heatmaps : HeatmapLayers
        Tells which pixel is pointed at.
    parent : QWidget or None
        Owner.
    """

    def __init__(
        self, session: Session, heatmaps: HeatmapLayers, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._message = QLabel()
        self._message.setWordWrap(True)
        self._opacity = QSlider(Qt.Orientation.Horizontal)
        self._opacity.setRange(0, 100)
        self._opacity.setToolTip("How strongly maps cover the image")
        self._hide = QPushButton("Hide all")
        self._hide.setToolTip("Take all maps off the image")
        self._groups = QVBoxLayout()
        self._groups.setSpacing(8)
        self._experts = ExpertsView(session, self)
        self._rows: dict[str, HeatmapRow | TableRow] = {}
        self._made: object = None  # what the rows were made of
        self._lay_out()
        # view -> session
        self._opacity.valueChanged.connect(self._on_opacity_moved)
        self._hide.clicked.connect(partial(_call, session.explaining.hide_all))
        # session and viewer -> view
        session.explaining_changed.connect(self._on_explaining_changed)
        session.prediction_changed.connect(self._on_prediction_changed)
        session.busy_changed.connect(self._on_busy_changed)
        session.model_changed.connect(self._on_prediction_changed)
        heatmaps.pointed_at.connect(self._on_pointed_at)
        self._on_prediction_changed()

    @property
    def rows(self) -> dict[str, HeatmapRow | TableRow]:
        """The rows by the explanation's key."""
        return dict(self._rows)

    @property
    def experts(self) -> ExpertsView:
        """Pins and vetoes."""
        return self._experts

    @property
    def message(self) -> str:
        """What the tab says on top."""
        return str(self._message.text())

    def _lay_out(self) -> None:
        opacity = QHBoxLayout()
        opacity.setSpacing(8)
        opacity.addWidget(QLabel("Opacity"))
        opacity.addWidget(self._opacity, 1)
        opacity.addWidget(self._hide)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 10, 8, 8)
        layout.setSpacing(8)
        layout.addWidget(self._message)
        layout.addLayout(opacity)
        layout.addLayout(self._groups)
        layout.addStretch(1)

    def _on_prediction_changed(self, _: object = None) -> None:
        self._remake_rows()
        for explanation in self._session.explaining.explanations:
            row = self._rows.get(explanation.key)
            if row is not None:
                row.show_explanation(explanation)
        self._on_explaining_changed()

    def _on_explaining_changed(self) -> None:
        explaining = self._session.explaining
        self._remake_rows()
        for row in self._rows.values():
            row.show_choice()
        self._hide.setEnabled(bool(explaining.shown))
        with signals_blocked(self._opacity):
            self._opacity.setValue(round(explaining.opacity * 100))
        self._on_busy_changed()

    def _on_busy_changed(self, _: object = None) -> None:
        self._message.setText(self._say())
        has_answer = bool(self._session.explaining.explanations)
        for row in self._rows.values():
            row.setEnabled(has_answer)

    def _on_pointed_at(self, at: tuple[int, int] | None) -> None:
        if self.isVisible():
            for row in self._rows.values():
                row.show_value(at)

    def _on_opacity_moved(self, percent: int) -> None:
        self._session.explaining.change_opacity(percent / 100)

    def _say(self) -> str:
        session = self._session
        if session.prompting.failure:
            return session.prompting.failure
        if session.explaining.explanations:
            return READY
        if session.is_busy:
            return WAITING
        return WAITING_FOR_CLICK if session.prediction is None else NOTHING

    def _remake_rows(self) -> None:
        explaining = self._session.explaining
        catalogue, absent = explaining.catalogue, explaining.unavailable
        wanted = (tuple(_shape_of(one) for one in catalogue), tuple(absent.items()))
        if wanted == self._made:
            return
        self._made = wanted
        self._experts.setParent(self)
        clear_rows(self._groups)
        self._rows.clear()
        known = [str(group) for group in ExplanationGroup]
        others = [one.group for one in catalogue if one.group not in known]
        for group in dict.fromkeys((*known, *others)):
            members = [one for one in catalogue if one.group == group]
            if members:
                self._groups.addWidget(self._make_group(group, members))
            elif group in absent:
                self._groups.addWidget(_make_absent(group, absent[group]))

    def _make_group(self, group: str, members: list[Explanation]) -> GroupSection:
        is_long = len(members) > MOST_OPEN_ROWS
        title = group or "Others"
        section = GroupSection(f"{title} ({len(members)})" if is_long else title)
        for explanation in members:
            row = (
                TableRow(explanation)
                if explanation.kind == "table"
                else HeatmapRow(self._session, explanation)
            )
            self._rows[explanation.key] = row
            section.rows.addWidget(row)
        is_chosen = any(one.key in self._session.explaining.shown for one in members)
        section.unfold(is_open=is_chosen or not is_long)
        if group == ExplanationGroup.ROUTING:
            section.rows.addWidget(self._experts)
        return section


def _call(action: object, _: object = None) -> None:
    if callable(action):
        action()


def _shape_of(one: Explanation) -> tuple[object, ...]:
    """Return all that a row is made of, values and words apart."""
    return one.key, one.name, one.kind, one.group, one.labels, one.row_labels


def _make_absent(group: str, reason: str) -> QWidget:
    """Return a disabled control that says why the network lacks it."""
    part = QWidget()
    box = QCheckBox(group)
    box.setEnabled(False)
    text = make_small_text(reason)
    text.setContentsMargins(INDENT_PX, 0, 0, 0)
    for one in (part, box, text):
        one.setToolTip(reason)
    layout = QVBoxLayout(part)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(1)
    layout.addWidget(box)
    layout.addWidget(text)
    return part
