"""The Train tab: what there is to learn from, the run, its curves, the versions."""

from collections.abc import Callable
from enum import StrEnum

from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QButtonGroup, QLabel, QProgressBar, QVBoxLayout, QWidget

from napari_segmoe.session.run_words import say_guard
from napari_segmoe.session.session import Session
from napari_segmoe.session.training_run import RunState, TrainingRun
from napari_segmoe.viewer.keys import run_action
from napari_segmoe.widgets.buttons import (
    make_button,
    make_primary,
    make_row,
    make_toggle,
    paint_primary,
)
from napari_segmoe.widgets.pseudo_labels_view import PseudoLabelsView
from napari_segmoe.widgets.run_texts import say_run_state
from napari_segmoe.widgets.runs_view import RunsView
from napari_segmoe.widgets.train_curves import CurvesView
from napari_segmoe.widgets.train_material_view import MaterialView
from napari_segmoe.widgets.train_recipe_form import RecipeForm
from napari_segmoe.widgets.train_round_form import RoundForm
from napari_segmoe.widgets.versions_view import VersionsView


class Source(StrEnum):
    """What is learnt from."""

    PROJECT = "project"
    FOLDER = "folder"


class TrainView(QWidget):
    """A view of learning: start it, follow it, take what came of it.

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
        self._runs = session.training_runs
        self._sources = {
            Source.PROJECT: make_toggle(
                "This project", "", "Learn from the open project's corrections"
            ),
            Source.FOLDER: make_toggle(
                "A data folder", "", "Train any network on images with masks"
            ),
        }
        self.material = MaterialView(session)
        self.round_form = RoundForm(session)
        self.recipe_form = RecipeForm()
        self._train = make_primary("Train", "", "Start it in a process of its own")
        self._stop = make_button(
            "Stop after epoch", "", "It ends when its epoch is done, and can be resumed"
        )
        self._kill = make_button(
            "Kill", "", "Ends at once; what came since the last epoch is lost"
        )
        self._resume = make_button("Resume", "", "Go on where the chosen run ended")
        self._state, self._guard = QLabel(), QLabel()
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setFixedHeight(5)
        self.curves = CurvesView()
        self.pseudo = PseudoLabelsView(session)
        self.versions = VersionsView(session)
        self.runs = RunsView(session)
        self._lay_out()
        self._connect()
        is_project = session.project.path is not None
        self.choose_source(Source.PROJECT if is_project else Source.FOLDER)
        self._on_selection_changed()
        self._on_project_changed()

    @property
    def source(self) -> Source:
        """What is learnt from."""
        is_project = self._sources[Source.PROJECT].isChecked()
        return Source.PROJECT if is_project else Source.FOLDER

    @property
    def state_text(self) -> str:
        """What is said of the chosen run."""
        return str(self._state.text())

    @property
    def guard_text(self) -> str:
        """What the guard of the chosen run decided."""
        return str(self._guard.text())

    def choose_source(self, source: Source) -> None:
        """Show what is learnt from, and its settings."""
        source = Source(source)
        self._sources[source].setChecked(True)
        for part in (
            self.material,
            self.round_form,
            self.pseudo,
            self._pseudo_title,
            self.versions,
            self._versions_title,
        ):
            part.setVisible(source is Source.PROJECT)
        self.recipe_form.setVisible(source is Source.FOLDER)
        self._on_material_changed()

    def set_colours(self, *, accent: str, background: str, text: str) -> None:
        """Take the theme's colours, #RRGGBB."""
        paint_primary(self._train, accent)
        self.curves.set_colours(background=background, text=text)
        self._bar.setStyleSheet(
            "QProgressBar { border: none; border-radius: 2px;"
            " background-color: rgba(128, 128, 128, 60); }"
            f"QProgressBar::chunk {{ background-color: {accent}; border-radius: 2px; }}"
        )

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Find runs that others have started meanwhile."""
        super().showEvent(event)
        self._runs.look_around()
        self._runs.models.read()

    def _lay_out(self) -> None:
        group = QButtonGroup(self)
        for button in self._sources.values():
            group.addButton(button)
        for label in (self._state, self._guard):
            label.setWordWrap(True)
        self._pseudo_title = _make_title("Pseudo-labels")
        self._versions_title = _make_title("Versions of the model")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 10, 8, 8)
        layout.setSpacing(8)
        layout.addLayout(make_row(*self._sources.values()))
        for part in (self.material, self.round_form, self.recipe_form, self._train):
            layout.addWidget(part)
        layout.addLayout(make_row(self._stop, self._kill, self._resume))
        for line in (self._state, self._bar, self._guard, self.curves):
            layout.addWidget(line)
        layout.addWidget(self._pseudo_title)
        layout.addWidget(self.pseudo)
        layout.addWidget(self._versions_title)
        layout.addWidget(self.versions)
        layout.addWidget(_make_title("Runs"))
        layout.addWidget(self.runs)
        layout.addStretch(1)

    def _connect(self) -> None:
        # view -> session
        for source, button in self._sources.items():
            button.clicked.connect(lambda _, one=source: self.choose_source(one))
        self._train.clicked.connect(self._on_train_clicked)
        self._stop.clicked.connect(self._on_stop_clicked)
        self._kill.clicked.connect(self._on_kill_clicked)
        self._resume.clicked.connect(self._on_resume_clicked)
        self.recipe_form.data.textChanged.connect(self._on_material_changed)
        # session -> view
        self._runs.selection_changed.connect(self._on_selection_changed)
        self._runs.runs_changed.connect(self._on_runs_changed)
        self._runs.told.connect(self._on_told)
        self._runs.material.changed.connect(self._on_material_changed)
        self._session.project_changed.connect(self._on_project_changed)

    def _on_project_changed(self) -> None:
        if self._session.project.path is not None and not self.recipe_form.has_data:
            self.choose_source(Source.PROJECT)
        self._on_material_changed()

    def _on_material_changed(self, _: object = None) -> None:
        material = self._runs.material.counted
        if self.source is Source.FOLDER:
            self._train.setText("Train")
            self._train.setEnabled(self.recipe_form.has_data)
            return
        is_learning = any(run.is_round for run in self._runs.active)
        self._train.setText("A round is learning…" if is_learning else "Train")
        is_enough = material is not None and material.is_enough
        self._train.setEnabled(is_enough and not is_learning)

    def _on_runs_changed(self) -> None:
        self._on_material_changed()
        self._show_state()

    def _on_told(self, run: TrainingRun) -> None:
        if run is self._runs.selected:
            self._on_selection_changed()

    def _on_selection_changed(self) -> None:
        run = self._runs.selected
        if run is not None:
            self.curves.show_history(run.history)
        self.curves.setVisible(run is not None)
        self._show_state()

    def _show_state(self) -> None:
        run = self._runs.selected
        state = run.state if run is not None else None
        self._stop.setEnabled(state is RunState.RUNNING)
        self._kill.setEnabled(state is not None and state.is_active)
        self._resume.setEnabled(run is not None and run.can_resume)
        self._state.setText("" if run is None else say_run_state(run))
        self._guard.setText("" if run is None else say_guard(run))
        for label in (self._state, self._guard):
            label.setVisible(bool(label.text()))
        self._bar.setVisible(state is not None and state.is_active)
        if run is not None:
            is_known = run.state is not RunState.STARTING and run.history.epochs
            self._bar.setRange(0, 1000 if is_known else 0)
            share = run.history.position / max(run.history.epochs, 1)
            self._bar.setValue(round(1000 * min(share, 1.0)))

    def _on_train_clicked(self) -> None:
        if self.source is Source.PROJECT:
            run_action(
                self._session,
                lambda s: s.training_runs.start_round(self.round_form.request),
            )
        else:
            run_action(
                self._session,
                lambda s: s.training_runs.start_recipe(self.recipe_form.values),
            )

    def _on_stop_clicked(self) -> None:
        self._with_selected(self._runs.stop_after_epoch)

    def _on_kill_clicked(self) -> None:
        self._with_selected(self._runs.kill)

    def _on_resume_clicked(self) -> None:
        self._with_selected(self._runs.resume)

    def _with_selected(self, act: Callable[[TrainingRun], None]) -> None:
        run = self._runs.selected
        if run is not None:
            run_action(self._session, lambda _: act(run))


def _make_title(text: str) -> QLabel:
    label = QLabel(text)
    font = label.font()
    font.setBold(True)
    label.setFont(font)
    label.setContentsMargins(0, 6, 0, 0)
    return label
