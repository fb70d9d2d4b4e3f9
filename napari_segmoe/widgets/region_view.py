"""Regions of the open slide: which there are, and segmenting one of them."""

from collections.abc import Callable
from functools import partial

from qtpy.QtCore import QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_segmoe.session.session import Session
from napari_segmoe.session.slide_scene import RegionChoice
from napari_segmoe.viewer.keys import run_action
from napari_segmoe.widgets.buttons import (
    HEIGHT_PX,
    PRIMARY_HEIGHT_PX,
    make_button,
    make_primary,
    make_row,
    make_toggle,
    paint_primary,
)
from napari_segmoe.widgets.region_texts import (
    say_estimate,
    say_progress,
    say_region,
)
from napari_segmoe.widgets.rows import clear_rows
from napari_segmoe.widgets.slide_view import WARNING_COLOUR

DRAG = "Drag a rectangle on the slide."
LOOK = "Bring the slide into view."
COUNTING = "Working out what it takes…"
WAITING_FOR_MODEL = "The model is loading; what it takes is known then."
SETTLE_MS = 250  # panning changes the field of view many times a second
COLUMNS = 6


class RegionView(QWidget):
    """A view of the regions and of the run on one; hidden where there is no slide.

    Parameters
    ----------
    session : Session
        The session.
    go_to : callable
        Makes a region current by its number, and brings it into view.
    parent : QWidget or None
        Owner.
    """

    def __init__(
        self,
        session: Session,
        go_to: Callable[[int], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._go_to = go_to
        self._choices = {
            RegionChoice.FIELD_OF_VIEW: make_toggle(
                "Field of view", "", "What the canvas shows of the slide"
            ),
            RegionChoice.RECTANGLE: make_toggle(
                "Rectangle", "", "A rectangle that you drag on the slide"
            ),
        }
        self._cost = QLabel()
        self._cost.setWordWrap(True)
        self._start = make_primary(
            "Segment region", "A", "Find all objects in it, without a prompt"
        )
        self._bar = QProgressBar()
        self._bar.setMinimumHeight(PRIMARY_HEIGHT_PX)
        self._cancel = make_button("Cancel", "", "Stop; what was there before stays")
        self._cancel.setMinimumHeight(PRIMARY_HEIGHT_PX)
        self._run = QWidget()
        self._title = QLabel("Regions")
        self._numbers = QWidget()
        self._grid = QGridLayout(self._numbers)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._lay_out()
        self._connect()
        self._on_regions_changed()
        self._on_target_changed()
        self._on_progress_changed()

    @property
    def cost_text(self) -> str:
        """What is said of the part to segment."""
        return str(self._cost.text())

    @property
    def numbers(self) -> list[QPushButton]:
        """One button a region, oldest first."""
        items = (self._grid.itemAt(index) for index in range(self._grid.count()))
        widgets = (item.widget() for item in items if item is not None)
        return [one for one in widgets if isinstance(one, QPushButton)]

    def set_accent(self, colour: str) -> None:
        """Fill the primary button with the theme's own highlight, #RRGGBB."""
        paint_primary(self._start, colour)
        self._bar.setStyleSheet(
            "QProgressBar { text-align: center; border: none; border-radius: 2px;"
            " background-color: rgba(128, 128, 128, 60); }"
            f"QProgressBar::chunk {{ background-color: {colour}; border-radius: 2px; }}"
        )

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Ask for the costs that were not asked for while hidden."""
        super().showEvent(event)
        self._settle.start()

    def _lay_out(self) -> None:
        group = QButtonGroup(self)
        for button in self._choices.values():
            group.addButton(button)
        run = QHBoxLayout(self._run)
        run.setContentsMargins(0, 0, 0, 0)
        run.setSpacing(6)
        run.addWidget(self._bar, 1)
        run.addWidget(self._cancel)
        self._cancel.setFixedWidth(76)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(6)
        for column in range(COLUMNS):
            self._grid.setColumnStretch(column, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(make_row(*self._choices.values()))
        layout.addWidget(self._cost)
        layout.addWidget(self._start)
        layout.addWidget(self._run)
        layout.addWidget(self._title)
        layout.addWidget(self._numbers)

    def _connect(self) -> None:
        session, regions = self._session, self._session.regions
        # view -> session
        for choice, button in self._choices.items():
            button.clicked.connect(partial(self._on_choice_clicked, choice))
        self._start.clicked.connect(self._on_start_clicked)
        self._cancel.clicked.connect(self._on_cancel_clicked)
        self._settle.timeout.connect(self._on_settled)
        # session -> view
        regions.regions_changed.connect(self._on_regions_changed)
        regions.target_changed.connect(self._on_target_changed)
        regions.estimate_changed.connect(self._on_estimate_changed)
        regions.progress_changed.connect(self._on_progress_changed)
        session.objects_changed.connect(self._on_objects_changed)
        session.model_changed.connect(self._on_target_changed)

    def _on_regions_changed(self) -> None:
        regions = self._session.regions
        self.setVisible(regions.slide is not None)
        records = regions.all
        if [one.text() for one in self.numbers] != [str(one.number) for one in records]:
            self._make_numbers()
        for part in (self._title, self._numbers):
            part.setVisible(bool(records))
        self._on_objects_changed()
        self._on_target_changed()

    def _on_objects_changed(self, _: object = None) -> None:
        regions = self._session.regions
        for record, button in zip(regions.all, self.numbers, strict=False):
            kept = len(self._session.records_of(record.key))
            button.setToolTip(say_region(record, kept))
            button.setChecked(record == regions.current)

    def _on_target_changed(self) -> None:
        self._choices[self._session.regions.choice].setChecked(True)
        self._settle.start()
        self._on_estimate_changed()

    def _on_settled(self) -> None:
        regions = self._session.regions
        if regions.slide is not None and self.isVisible() and not regions.is_segmenting:
            regions.estimate()

    def _on_estimate_changed(self) -> None:
        regions = self._session.regions
        text, is_refused = self._say_cost()
        self._cost.setText(text)
        self._cost.setStyleSheet(f"color: {WARNING_COLOUR};" if is_refused else "")
        self._start.setEnabled(regions.target is not None and not is_refused)

    def _on_progress_changed(self) -> None:
        regions = self._session.regions
        if not regions.is_segmenting:
            self._settle.start()
        runs, progress = regions.is_segmenting, regions.progress
        self._start.setVisible(not runs)
        self._run.setVisible(runs)
        # Qt paints a bar at once at each new value, and the canvas with it: put it off
        self._bar.setUpdatesEnabled(False)
        self._bar.setRange(0, progress.total if progress else 0)
        self._bar.setValue(progress.done if progress else 0)
        self._bar.setFormat(say_progress(progress))
        self._bar.setUpdatesEnabled(True)
        self._on_estimate_changed()

    def _on_choice_clicked(self, choice: RegionChoice, _: object = None) -> None:
        self._session.regions.choose(choice)

    def _on_start_clicked(self) -> None:
        run_action(self._session, lambda s: s.regions.segment())

    def _on_cancel_clicked(self) -> None:
        self._session.regions.cancel()

    def _on_number_clicked(self, number: int, _: object = None) -> None:
        run_action(self._session, lambda _: self._go_to(number))
        self._on_objects_changed()

    def _say_cost(self) -> tuple[str, bool]:
        """Return one sentence on the part to segment, and whether it is refused."""
        regions = self._session.regions
        if regions.segmenting is not None:
            return f"{regions.segmenting.title} is being segmented.", False
        if regions.target is None:
            is_drawn = regions.choice is RegionChoice.RECTANGLE
            return (DRAG if is_drawn else LOOK), False
        if not self._settle.isActive():  # else they are of what was in view before
            if regions.refusal:
                return regions.refusal, True
            if regions.estimated is not None:
                return say_estimate(regions.estimated), False
        return (COUNTING if self._session.model.is_loaded else WAITING_FOR_MODEL), False

    def _make_numbers(self) -> None:
        clear_rows(self._grid)
        for place, record in enumerate(self._session.regions.all):
            button = make_toggle(str(record.number), "", record.title)
            button.setMinimumWidth(HEIGHT_PX)
            button.setFixedHeight(HEIGHT_PX)
            button.clicked.connect(partial(self._on_number_clicked, record.number))
            self._grid.addWidget(button, *divmod(place, COLUMNS))
