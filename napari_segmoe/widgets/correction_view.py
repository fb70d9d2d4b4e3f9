"""Tools for the chosen objects, and for parts of the image that are finished."""

from collections.abc import Callable
from functools import partial
from typing import Any

from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_segmoe.session.correction_tools import (
    LARGEST_STEP_PX,
    SMALLEST_STEP_PX,
    CorrectionTools,
    DrawingTool,
    ToolGesture,
)
from napari_segmoe.session.session import Session
from napari_segmoe.types import Spacing
from napari_segmoe.viewer.keys import run_action
from napari_segmoe.widgets.buttons import (
    compact_text,
    make_button,
    make_compact,
    make_row,
)

NOTHING = "Choose objects in the table, or on their layer; Shift adds one."
DRAG_TILE = "Drag a rectangle on the image: all in it is annotated."
DRAG_CUT = "Drag a line across the object, from edge to edge."
COLUMNS = 3
DRAWING_TOOLS = (
    ("Brush", DrawingTool.BRUSH, "Add to the chosen object (D; on its layer 2)"),
    ("Eraser", DrawingTool.ERASER, "Take away from objects (on their layer 1)"),
    ("Polygon", DrawingTool.POLYGON, "Corners by clicks, a double click ends it (3)"),
    ("Fill", DrawingTool.FILL, "Fill what is enclosed (4)"),
)
Act = Callable[[CorrectionTools], Any]
# text, key, tooltip, what it does
REVIEW_TOOLS: tuple[tuple[str, str, str, Act], ...] = (
    ("Accept", "Y", "It is right: a model learns from it", CorrectionTools.accept),
    ("Review", "R", "Looked at a second time", CorrectionTools.review),
    ("Lock", "K", "Nothing changes it any more", CorrectionTools.toggle_lock),
)
SHAPE_TOOLS: tuple[tuple[str, str, str, Act], ...] = (
    ("Merge", "J", "Make one object of the chosen ones", CorrectionTools.merge),
    ("Split", "⇧J", "Part it where it is thin", CorrectionTools.split),
    ("Fill holes", "O", "Fill what it encloses", CorrectionTools.fill_holes),
    ("Smooth", "⇧O", "Round its outline off", CorrectionTools.smooth),
    ("Grow", "G", "Move its outline outward", CorrectionTools.grow),
    ("Shrink", "⇧G", "Move its outline inward", CorrectionTools.shrink),
)


class CorrectionView(QWidget):
    """A view of the correction tools.

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
        self._tools = session.tools
        self._chosen = QLabel()
        self._chosen.setWordWrap(True)
        self._buttons = {
            text: make_compact(text, key, tip)
            for text, key, tip, _ in (*REVIEW_TOOLS, *SHAPE_TOOLS)
        }
        self._drawing = [make_compact(text, "", tip) for text, _, tip in DRAWING_TOOLS]
        self._new = make_button("New object", "⇧D", "Draw one with the brush")
        self._cut = make_compact("Cut", "", "Part it along a line that you drag")
        self._cut.setCheckable(True)
        self._step = QDoubleSpinBox()
        self._step.setMinimumWidth(70)
        self._step.setToolTip("How far Grow and Shrink move the outline")
        self._view = make_compact(
            "In view", "W", "All that the canvas shows is annotated"
        )
        self._tile = make_compact(
            "Rectangle", "", "All in a rectangle that you drag is annotated"
        )
        self._tile.setCheckable(True)
        self._image = make_compact("All", "⇧↵", "All of the image is annotated")
        self._reopen = make_button(
            "Not finished in view", "", "Finished parts in view are not after all"
        )
        self._finished = QLabel()
        self._finished.setWordWrap(True)
        self._finished.setEnabled(False)
        self._lay_out()
        self._connect()
        self._on_tools_changed()

    def button(self, text: str) -> QPushButton:
        """Return the button of a tool by its text."""
        return self._buttons[text]

    @property
    def chosen_text(self) -> str:
        """What is said of the chosen objects."""
        return str(self._chosen.text())

    @property
    def step(self) -> QDoubleSpinBox:
        """How far to grow or shrink."""
        return self._step

    @property
    def tile(self) -> QPushButton:
        """Waits for a rectangle."""
        return self._tile

    @property
    def view(self) -> QPushButton:
        """Finishes the field of view."""
        return self._view

    @property
    def cut(self) -> QPushButton:
        """Waits for a line."""
        return self._cut

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setSpacing(6)
        for place, button in enumerate(self._buttons.values()):
            grid.addWidget(button, *divmod(place, COLUMNS))
        last = len(self._buttons) // COLUMNS
        step = QHBoxLayout()
        step.setSpacing(6)
        step.addWidget(QLabel("by"))
        step.addWidget(self._step, 1)
        grid.addWidget(self._cut, last, 0)
        grid.addLayout(step, last, 1, 1, 2)
        for column in range(COLUMNS):
            grid.setColumnStretch(column, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 4)
        layout.setSpacing(6)
        layout.addWidget(self._chosen)
        layout.addLayout(make_row(*self._drawing))
        layout.addWidget(self._new)
        layout.addLayout(grid)
        layout.addSpacing(4)
        title = QLabel("Finished: what is no object there is background")
        title.setWordWrap(True)
        layout.addWidget(title)
        layout.addLayout(make_row(self._view, self._tile, self._image))
        layout.addWidget(self._finished)
        layout.addWidget(self._reopen)

    def _connect(self) -> None:
        # view -> session
        for text, _, _, act in (*REVIEW_TOOLS, *SHAPE_TOOLS):
            self._buttons[text].clicked.connect(partial(self._on_tool_clicked, act))
        for button, (_, tool, _) in zip(self._drawing, DRAWING_TOOLS, strict=True):
            button.clicked.connect(partial(self._on_draw_clicked, tool))
        self._new.clicked.connect(self._on_new_clicked)
        self._cut.clicked.connect(partial(self._on_gesture_clicked, ToolGesture.CUT))
        self._tile.clicked.connect(partial(self._on_gesture_clicked, ToolGesture.TILE))
        self._step.valueChanged.connect(self._on_step_changed)
        for button, act in (
            (self._view, CorrectionTools.finish_view),
            (self._image, CorrectionTools.finish_image),
            (self._reopen, CorrectionTools.reopen),
        ):
            button.clicked.connect(partial(self._on_tool_clicked, act))
        # session -> view
        self._tools.changed.connect(self._on_tools_changed)
        self._session.history_changed.connect(self._on_tools_changed)

    def _on_tools_changed(self, _: object = None) -> None:
        count = len(self._tools.ids)
        self._chosen.setText(say_chosen(self._session))
        self._chosen.setEnabled(bool(count))
        for text, button in self._buttons.items():
            button.setEnabled(count > 1 if text == "Merge" else count > 0)
        for button in (self._buttons["Split"], self._cut):
            button.setEnabled(count == 1)
        records = self._tools.records
        is_locked = bool(records) and all(record.is_locked for record in records)
        lock = compact_text("Unlock" if is_locked else "Lock", "K")
        self._buttons["Lock"].setText(lock)
        gesture = self._tools.gesture
        self._cut.setChecked(gesture is ToolGesture.CUT)
        self._tile.setChecked(gesture is ToolGesture.TILE)
        self._show_step()
        self._show_finished()

    def _show_step(self) -> None:
        image = self._session.image
        side_um = side_of(image.spacing_um) if image is not None else None
        with signals_blocked(self._step):
            self._step.setDecimals(0 if side_um is None else 2)
            self._step.setSuffix(" px" if side_um is None else " µm")
            scale = 1.0 if side_um is None else side_um
            self._step.setSingleStep(scale)
            self._step.setRange(SMALLEST_STEP_PX * scale, LARGEST_STEP_PX * scale)
            self._step.setValue(self._tools.step_px * scale)
        self._step.setToolTip(
            f"How far Grow and Shrink move the outline: {self._tools.step_px} px"
        )

    def _show_finished(self) -> None:
        has_image = self._session.workspace is not None
        for button in (*self._drawing, self._new, self._view, self._tile, self._image):
            button.setEnabled(has_image)
        text = say_finished(self._session)
        self._finished.setText(text)
        self._finished.setVisible(bool(text))
        self._reopen.setVisible(bool(text))

    def _on_tool_clicked(self, act: Act, _: object = None) -> None:
        run_action(self._session, lambda s: act(s.tools))

    def _on_draw_clicked(self, tool: DrawingTool, _: object = None) -> None:
        run_action(self._session, lambda s: s.tools.draw(tool))

    def _on_new_clicked(self) -> None:
        tool = DrawingTool.BRUSH
        run_action(self._session, lambda s: s.tools.draw(tool, is_new=True))

    def _on_gesture_clicked(self, gesture: ToolGesture, _: object = None) -> None:
        is_on = self._tools.gesture is gesture  # a second click: no longer
        wanted = ToolGesture.NONE if is_on else gesture
        run_action(self._session, lambda s: s.tools.wait_for(wanted))
        self._on_tools_changed()

    def _on_step_changed(self, value: float) -> None:
        image = self._session.image
        side_um = side_of(image.spacing_um) if image is not None else None
        self._tools.set_step(round(value / (side_um or 1.0)))


def side_of(spacing_um: Spacing | None) -> float | None:
    """Return the side of a pixel of the same area, in um; None where unknown."""
    if spacing_um is None:
        return None
    return float((spacing_um[0] * spacing_um[1]) ** 0.5)


def say_chosen(session: Session) -> str:
    """Return what the tools act on, or what the next drag is."""
    tools = session.tools
    if tools.gesture is ToolGesture.TILE:
        return DRAG_TILE
    if tools.gesture is ToolGesture.CUT:
        return DRAG_CUT
    if not tools.ids:
        return NOTHING
    if len(tools.ids) > 1:
        ids = ", ".join(map(str, tools.ids[:8]))
        return f"{len(tools.ids)} objects chosen: {ids}{' …' * (len(tools.ids) > 8)}"
    (record,) = tools.records
    return f"Object {record.id}, {record.state.value}"


def say_finished(session: Session) -> str:
    """Return how much of the present image is finished, or nothing."""
    tiles = session.correction.tiles
    image = session.image
    if not tiles or image is None:
        return ""
    height, width = image.shape
    if (0, 0, height, width) in tiles:
        return "All of this image is finished."
    area = sum((y1 - y0) * (x1 - x0) for y0, x0, y1, x1 in tiles)
    share = min(100, max(1, round(100 * area / (height * width))))
    parts = "1 part is" if len(tiles) == 1 else f"{len(tiles)} parts are"
    return f"{parts} finished, about {share} % of this image."
