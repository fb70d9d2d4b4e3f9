"""Pin and veto experts, and watch the mask change."""

from functools import partial

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_segmoe.session.explaining import Wish
from napari_segmoe.session.session import Session
from napari_segmoe.viewer.keys import run_action
from napari_segmoe.widgets.heatmap_row import make_small_text
from napari_segmoe.widgets.rows import clear_rows

BUTTON_PX = 48
ALL_STAGES = "All stages"
HINT = (
    "Pinned experts alone are asked; vetoed ones never. The present prompts are"
    " answered anew."
)
WISHES = ((Wish.PINNED, "Pin"), (Wish.VETOED, "Veto"))


class ExpertsView(QWidget):
    """A view of the wishes about experts; empty where there are none to steer.

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
        self._stage = QComboBox()
        self._stage.setToolTip("Stage of the network whose experts are steered")
        self._free = QPushButton("Free all")
        self._free.setToolTip("Forget all pins and vetoes")
        self._rows = QGridLayout()
        self._rows.setSpacing(4)
        self._rows.setColumnStretch(0, 1)
        self._buttons: dict[tuple[str, Wish], QPushButton] = {}
        head = QHBoxLayout()
        head.setSpacing(6)
        head.addWidget(QLabel("Steer"))
        head.addWidget(self._stage, 1)
        head.addWidget(self._free)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(head)
        layout.addLayout(self._rows)
        layout.addWidget(make_small_text(HINT))
        # view -> session
        self._stage.activated.connect(self._on_stage_activated)
        self._free.clicked.connect(self._on_free_clicked)
        # session -> view
        session.explaining_changed.connect(self._on_changed)
        session.prediction_changed.connect(self._on_changed)
        self._on_changed()

    @property
    def buttons(self) -> dict[tuple[str, Wish], QPushButton]:
        """The buttons by expert and wish."""
        return dict(self._buttons)

    def _on_changed(self, _: object = None) -> None:
        explaining = self._session.explaining
        self.setVisible(bool(explaining.experts))
        self._free.setEnabled(explaining.steering is not None)
        names = explaining.steerable_experts()
        self._show_stages()
        if names != tuple(dict.fromkeys(name for name, _ in self._buttons)):
            self._make_rows(names)
        for (expert, wish), button in self._buttons.items():
            present = explaining.wish_of(expert, stage=explaining.stage)
            with signals_blocked(button):
                button.setChecked(present is wish)

    def _show_stages(self) -> None:
        explaining = self._session.explaining
        wanted = (None, *explaining.experts)
        shown = tuple(self._stage.itemData(at) for at in range(self._stage.count()))
        with signals_blocked(self._stage):
            if wanted != shown:
                self._stage.clear()
                for stage in wanted:
                    self._stage.addItem(stage or ALL_STAGES, stage)
            self._stage.setCurrentIndex(wanted.index(explaining.stage))

    def _make_rows(self, names: tuple[str, ...]) -> None:
        clear_rows(self._rows)
        self._buttons.clear()
        for row, expert in enumerate(names):
            name = QLabel(expert)
            name.setToolTip(expert)
            self._rows.addWidget(name, row, 0)
            for column, (wish, text) in enumerate(WISHES, 1):
                button = QPushButton(text)
                button.setCheckable(True)
                button.setMinimumWidth(BUTTON_PX)
                button.setToolTip(f"{text} {expert}; press again to free it")
                button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
                button.clicked.connect(partial(self._on_clicked, expert, wish))
                self._rows.addWidget(button, row, column)
                self._buttons[expert, wish] = button

    def _on_clicked(self, expert: str, wish: Wish, _: object = None) -> None:
        stage = self._session.explaining.stage
        present = self._session.explaining.wish_of(expert, stage=stage)
        wanted = Wish.FREE if present is wish else wish
        run_action(
            self._session, lambda s: s.explaining.steer(expert, wanted, stage=stage)
        )
        self._on_changed()

    def _on_stage_activated(self, index: int) -> None:
        self._session.explaining.choose_stage(self._stage.itemData(index))

    def _on_free_clicked(self) -> None:
        self._session.explaining.free_all()
