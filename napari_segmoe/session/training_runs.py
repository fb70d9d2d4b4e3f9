"""Training from the window: start, follow, stop, kill and resume runs.

A run is a process of its own and its folder all that is shared with it. So runs are
found again in the project's ``runs`` and in the user's list, whoever started them, and
closing the window stops none.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_segmoe.errors import ProjectError, RunFolderError, TrainingError
from napari_segmoe.session import run_words
from napari_segmoe.session.learning_material import LearningMaterial
from napari_segmoe.session.model_versions import ModelVersions, Version
from napari_segmoe.session.run_launch import Launcher, recipe_words
from napari_segmoe.session.run_list import (
    default_runs_folder,
    find_runs,
    forget_run,
    note_run,
)
from napari_segmoe.session.training_run import ERRORS, RunState, TrainingRun
from napari_segmoe.training.run_control import RunControl
from napari_segmoe.training.run_process import write_mark

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session

LOOK_AROUND_S = 5.0


@dataclass(frozen=True, slots=True)
class RoundRequest:
    """How a learning round is run.

    Attributes
    ----------
    weights : str or None
        What it starts from; None: the project's version in use.
    minutes : float or None
        The longest it may take; None: as `segmoe finetune` sees fit.
    preset : str or None
        Its size.
    settings : mapping
        Any other settings by name.
    """

    weights: str | None = None
    minutes: float | None = None
    preset: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


class TrainingRuns:
    """The runs that this window knows, and what can be done with them.

    Parameters
    ----------
    session : Session
        Whose clicks make trainers wait, and whose model a round may change.
    """

    runs_changed = Signal()  # which there are, or what one is doing
    told = Signal(object)  # a TrainingRun has new events
    selection_changed = Signal()

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._launcher = Launcher()
        self._runs: dict[Path, TrainingRun] = {}
        self._awaited: dict[Path, tuple[TrainingRun, frozenset[Path]]] = {}
        self._looked_around = float("-inf")
        self.selected: TrainingRun | None = None
        self.models = ModelVersions(session)
        self.material = LearningMaterial(session)
        session.busy_changed.connect(self._on_worked)
        session.prompts_changed.connect(self._on_worked)
        session.objects_changed.connect(self._on_worked)
        session.project_changed.connect(self._on_project_changed)

    @property
    def runs(self) -> tuple[TrainingRun, ...]:
        """All known runs: those that train first, then the newest."""
        awaited = [run for run, _ in self._awaited.values()]
        known = [*awaited, *self._runs.values()]
        return tuple(sorted(known, key=lambda run: not run.state.is_active))

    @property
    def active(self) -> tuple[TrainingRun, ...]:
        """The runs that a process of this computer is at."""
        return tuple(run for run in self.runs if run.state.is_active)

    @property
    def versions(self) -> tuple[Version, ...]:
        """The project's versions of its model, oldest first."""
        return self.models.versions

    @property
    def project(self) -> Path | None:
        """The folder of the open project, or None."""
        return self.models.project

    @property
    def seconds_a_step(self) -> float | None:
        """What a step of the newest whole round took, with judging; or None."""
        rounds = sorted((one for one in self.runs if one.is_round), key=_by_name)
        paces = (one.history.seconds_a_step for one in reversed(rounds))
        return next((one for one in paces if one is not None), None)

    def use(self, version: Version) -> None:
        """Make a version the project's, and the session's from the next click on."""
        self.models.use(version)

    def revert(self, version: Version) -> None:
        """Go back to what the model was before ``version``."""
        self.models.revert(version)

    def select(self, run: TrainingRun | None) -> None:
        """Show a run's curves."""
        if run is not self.selected:
            self.selected = run
            self.selection_changed.emit()

    def use_run(self, run: TrainingRun) -> None:
        """Answer with a run's best weights from the next click on.

        Raises
        ------
        RunFolderError
            If it has none yet.
        """
        weights = run.weights
        if weights is None:
            raise RunFolderError(
                f"{run.name} has no weights yet. Wait for its first validation."
            )
        self._session.model.choose(weights=str(weights), is_asked_again=False)
        self._session.notified.emit(
            f"The best weights of {run.name} answer from the next click on."
        )

    def start_recipe(self, values: Mapping[str, Any]) -> TrainingRun:
        """Start `segmoe train` on a data folder.

        Parameters
        ----------
        values : mapping
            Settings of `TrainingConfig`; without ``out`` the run's folder is made in
            the user's own.

        Raises
        ------
        ConfigError
            If a setting is unknown or out of range.
        RunFolderError
            If the data folder is missing, or the run folder holds a run or cannot be
            made.
        """
        from napari_segmoe.training.config import make_config

        folder = Path(values.get("out") or _fresh_folder(values))
        config = make_config(**{**values, "out": folder})
        missing = [one for one in config.folders if not one.is_dir()]
        if missing:
            raise RunFolderError(
                f"{missing[0]} is no folder. Choose a data folder: images/, masks/ and"
                " labels.csv."
            )
        if (folder / "config.yaml").exists():
            raise RunFolderError(
                f"{folder.name} holds a run already. Resume it, or choose another"
                " folder."
            )
        wanted = {"threads": 1, **values, "out": folder.resolve()}
        wanted["data"] = config.data.resolve()
        return self._launch(TrainingRun(folder.resolve()), recipe_words(wanted))

    def start_round(self, request: RoundRequest | None = None) -> TrainingRun:
        """Start `segmoe finetune` on the open project.

        Raises
        ------
        ProjectError
            If no project is open, or a round is at it already.
        RunFolderError
            If it cannot be started.
        """
        store, _ = self._session.project.require()
        store.check_place()
        project = store.path
        if any(run.is_round and run.folder.parent.parent == project
               for run in self.active):  # fmt: skip
            raise ProjectError(
                "A round is learning from this project already. Wait for it, or kill it"
                " first."
            )
        words = run_words.round_words(project, request or RoundRequest())
        return self._await_round(project, words)

    def stop_after_epoch(self, run: TrainingRun) -> None:
        """Ask a run to end after its epoch; it can be resumed.

        Raises
        ------
        RunFolderError
            If its folder cannot be written.
        """
        try:
            run.stop()
        except OSError as error:
            raise RunFolderError(
                f"{run.name} cannot be asked to stop: {error.strerror}. Kill it."
            ) from error
        self._look_at(run)

    def kill(self, run: TrainingRun) -> None:
        """End a run at once; what it learnt since its last epoch is lost."""
        if not run.kill():
            self._session.notified.emit(f"{run.name} had ended already.")
        self._launcher.reap()
        self._look_at(run)

    def resume(self, run: TrainingRun) -> None:
        """Let a run go on where it ended.

        Raises
        ------
        RunFolderError
            If it is at work, was done, or never got as far as its configuration.
        """
        run.look()
        if not run.can_resume:
            raise RunFolderError(
                f"{run.name} cannot go on: it is {run.state}. Start a new run."
            )
        RunControl(run.folder).forget_stop()
        project = run.folder.parent.parent
        if run.is_round:
            words = run_words.round_words(project, RoundRequest(), resume=True)
        else:
            words = recipe_words({"out": run.folder}, resume=True)
        self._launch(run, words)

    def forget(self, run: TrainingRun) -> None:
        """Take an ended run off the list; its folder stays."""
        if not run.state.is_active:
            forget_run(run.folder)
            self._runs.pop(run.folder, None)
            if self.selected is run:
                self.select(None)
            self.runs_changed.emit()

    def look_around(self) -> None:
        """Find runs that others have started, and drop those that are gone."""
        self._looked_around = time.monotonic()
        found = find_runs(self.models.project)
        known = {path: self._runs.get(path) for path in found}
        is_new = set(known) != set(self._runs)
        self._runs = {path: run or TrainingRun(path) for path, run in known.items()}
        for path, run in self._runs.items():
            if known[path] is None:
                run.look()
        if self.selected is None:
            self.select(next(iter(self.runs), None))
        if is_new:
            self.runs_changed.emit()

    def poll(self) -> None:
        """Read what runs have told since; the window calls this twice a second."""
        self._launcher.reap()
        self._find_awaited()
        if time.monotonic() - self._looked_around > LOOK_AROUND_S:
            self.look_around()
        if self._session.is_busy:
            self._on_worked()
        for run in tuple(self._runs.values()):
            if run.needs_looking:
                self._look_at(run)

    def _look_at(self, run: TrainingRun) -> None:
        was, mark = run.state, run.mark
        if not run.look():
            return
        self.told.emit(run)
        if run.state != was or run.mark != mark:
            self.runs_changed.emit()
        if was.is_active and not run.state.is_active:
            self._say_end(run)

    def _say_end(self, run: TrainingRun) -> None:
        if run.state in (RunState.FAILED, RunState.DIED):
            advice = " Resume it in the Train tab." if run.can_resume else ""
            self._session.report(TrainingError(f"{run.name}: {run.reason}{advice}"))
        else:
            self._session.notified.emit(run_words.say_end(run))
        if run.is_round:
            self.models.follow_publication()

    def _launch(self, run: TrainingRun, words: list[str]) -> TrainingRun:
        run.mark = self._launcher.start(words, log=run.log)
        try:
            write_mark(run.folder, run.mark)
        except OSError as error:
            run.kill()
            raise RunFolderError(
                f"{run.folder} cannot be written: {error.strerror}. Choose another"
                " folder."
            ) from error
        if not run.is_round:
            note_run(run.folder)
        self._runs = {run.folder: run, **self._runs}
        run.look()
        self.select(run)
        self.runs_changed.emit()
        return run

    def _await_round(self, project: Path, words: list[str]) -> TrainingRun:
        """Start a round, which makes its own folder; it is found in `poll`."""
        before = frozenset(find_runs(project))
        runs = project / "runs"
        log = runs / f".{datetime.now():%H%M%S%f}.{ERRORS}"
        run = TrainingRun(runs / run_words.STARTING, log=log)
        run.mark = self._launcher.start(words, log=log)
        self._awaited[log] = (run, before)
        self.select(run)
        self.runs_changed.emit()
        return run

    def _find_awaited(self) -> None:
        for log, (run, before) in tuple(self._awaited.items()):
            made = set(find_runs(run.folder.parent.parent)) - before
            folder = next(
                (one for one in made if one.parent == run.folder.parent), None
            )
            if folder is not None:
                self._adopt(run, log, folder)
                continue
            run.look()
            if not run.state.is_active:
                del self._awaited[log]
                self.select(None)
                if run.state is RunState.KILLED:
                    self._session.notified.emit("The round was ended before it began.")
                else:
                    self._session.report(TrainingError(f"The round: {run.reason}"))
                log.unlink(missing_ok=True)
                self.look_around()
                self.runs_changed.emit()

    def _adopt(self, starting: TrainingRun, log: Path, folder: Path) -> None:
        del self._awaited[log]
        run = TrainingRun(folder)
        run.mark = starting.mark
        try:
            if starting.mark is not None:
                write_mark(folder, starting.mark)
            log.replace(folder / ERRORS)
        except OSError:
            run.log = log  # a system that cannot move open files
        self._runs = {folder: run, **self._runs}
        run.look()
        if self.selected is starting:
            self.select(run)
        self.runs_changed.emit()

    def _on_project_changed(self) -> None:
        self.models.follow_project()
        self.look_around()

    def _on_worked(self, _: object = None) -> None:
        """Let trainers wait while somebody works here."""
        for run in self.active:
            run.pause()


def _by_name(run: TrainingRun) -> str:
    return run.name


def _fresh_folder(values: Mapping[str, Any]) -> Path:
    """Return a folder that does not exist yet, named after data and time."""
    data = Path(str(values.get("data", "run"))).name or "run"
    name = f"{data}-{datetime.now():%Y%m%d-%H%M%S}"
    folder = default_runs_folder() / name
    number = 2
    while folder.exists():
        folder = folder.with_name(f"{name}-{number}")
        number += 1
    return folder
