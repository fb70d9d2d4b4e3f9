"""All state of one annotation session."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from psygnal import Signal

from napari_segmoe.data.region_store import RegionStore
from napari_segmoe.errors import NoImageError
from napari_segmoe.session.annotation import Annotation
from napari_segmoe.session.class_actions import ClassActions
from napari_segmoe.session.classes import ClassTable
from napari_segmoe.session.correction_tools import CorrectionTools
from napari_segmoe.session.corrections import Correction
from napari_segmoe.session.daily_backup import DailyBackup
from napari_segmoe.session.evaluating import Evaluating
from napari_segmoe.session.explaining import Explaining
from napari_segmoe.session.failures import as_refusal
from napari_segmoe.session.history import EventKind, EventLog, Snapshot, Step
from napari_segmoe.session.image import SessionImage
from napari_segmoe.session.jobs import JobRunner
from napari_segmoe.session.model_state import FIRST_CHOICE, ModelState
from napari_segmoe.session.objects import LabelBox, LabelPatch, ObjectRecord
from napari_segmoe.session.options import SegmentOptions
from napari_segmoe.session.predictor import (
    DeviceReader,
    ModelChoice,
    PredictorHost,
    PredictorLoader,
)
from napari_segmoe.session.project_link import ProjectLink
from napari_segmoe.session.project_tasks import ProjectTasks
from napari_segmoe.session.prompting import Prompting
from napari_segmoe.session.pseudo_labels import PseudoLabels
from napari_segmoe.session.region_shelf import RegionShelf
from napari_segmoe.session.regions import Regions
from napari_segmoe.session.status import Activity, Status, activity_of
from napari_segmoe.session.training_runs import TrainingRuns
from napari_segmoe.session.worklist import Worklist
from napari_segmoe.session.workspace import Workspace
from napari_segmoe.session.workspaces import Workspaces
from napari_segmoe.types import Prediction, Prompts


class Session:
    """State and actions of one annotation session, free of any user interface.

    Views call the methods and listen to the signals; they keep no state. State
    changes only on the thread that made the session. By topic: `prompting` (prompts
    and prediction), `annotation` (committed objects), `classes`, `model`,
    `explaining` (heatmaps, steering of experts), `regions` (a slide and its regions),
    `training_runs` (processes that train, versions of the model), `pseudo_labels`,
    `correction` (tools, review), `project` (where it is stored), `worklist`.

    Parameters
    ----------
    load_predictor : PredictorLoader
        Reads weights; first called when an image is chosen, on the runner's worker.
    runner : JobRunner
        Runs the slow work.
    devices : DeviceReader or None
        Tells about devices, on the runner's worker.
    choice : ModelChoice
        Weights and device to begin with.
    region_folder : Path or None
        Where the labels of slides' regions are kept; by default the user's cache.
    """

    image_changed = Signal(object)
    prompts_changed = Signal(Prompts)
    prediction_changed = Signal(object)
    objects_changed = Signal(object)  # changed box (y0, x0, y1, x1), None: features
    classes_changed = Signal()
    model_changed = Signal()
    options_changed = Signal(SegmentOptions)
    explaining_changed = Signal()
    busy_changed = Signal(bool)
    status_changed = Signal(Status)
    selection_changed = Signal(object)
    history_changed = Signal()
    project_changed = Signal()  # opened, closed, annotator, unsaved steps
    worklist_changed = Signal()
    failed = Signal(Exception)
    notified = Signal(str)

    def __init__(
        self,
        load_predictor: PredictorLoader,
        runner: JobRunner,
        *,
        devices: DeviceReader | None = None,
        choice: ModelChoice = FIRST_CHOICE,
        region_folder: Path | None = None,
    ) -> None:
        self.runner = runner
        self.log = EventLog()
        self.options = SegmentOptions()
        self.workspace: Workspace | None = None
        self.workspaces = Workspaces()
        self._classes = ClassTable()
        self._label_version = 0
        self._status = Status(Activity.NO_IMAGE)
        self.prompting = Prompting(self)
        self.annotation = Annotation(self)
        self.correction = Correction(self)
        self.tools = CorrectionTools(self)
        self.classes = ClassActions(self)
        self.explaining = Explaining(self)
        self.model = ModelState(self, PredictorHost(load_predictor, devices), choice)
        self.regions = Regions(self)
        self.project = ProjectLink(self)
        self.project_tasks = ProjectTasks(self)
        self._daily_backup = DailyBackup(self)
        self.worklist = Worklist(self)
        self._shelf = RegionShelf(region_folder)
        self.training_runs = TrainingRuns(self)
        self.pseudo_labels = PseudoLabels(self)
        self.evaluating = Evaluating(self)

    @property
    def image(self) -> SessionImage | None:
        """The image worked on, or None."""
        return self.workspace.image if self.workspace else None

    @property
    def has_image(self) -> bool:
        """Whether there is something to work on: an image, or a slide."""
        return self.workspace is not None or self.regions.slide is not None

    @property
    def snapshot(self) -> Snapshot:
        """Everything undoable; without an image only the classes."""
        if self.workspace is None:
            return Snapshot(classes=self._classes)
        return self.workspace.snapshot

    @property
    def prompts(self) -> Prompts:
        """Prompts of the object in the making."""
        return self.prompting.prompts

    @property
    def prediction(self) -> Prediction | None:
        """The newest answer to the prompts, or None."""
        return self.prompting.prediction

    @property
    def is_busy(self) -> bool:
        """Whether an answer is awaited."""
        return self.prompting.is_waiting

    @property
    def status(self) -> Status:
        """What the session is doing."""
        return self._status

    def choose_image(self, image: SessionImage) -> None:
        """Work on ``image``; what was made on it before comes back.

        The model begins to load if it is not loaded yet.
        """
        self._park()
        self.regions.follow(image)
        known = self.workspaces.ensure(image, self._classes)
        self.project.arrivals.follow(known)
        known.snapshot = replace(known.snapshot, classes=self._classes)
        self.workspace = known
        self.log.record(EventKind.IMAGE, {"key": image.key, "shape": image.shape})
        self.model.suit(image.modality)
        self._announce_image()
        self.model.load()
        self.prompting.ask_again()

    def close_image(self) -> None:
        """Work on no image; what was made is kept for when it comes back."""
        if self.workspace is not None:
            self.wait_for_region()

    def wait_for_region(self) -> None:
        """Work on a slide without a region yet: for `Regions`."""
        self._park()
        self.workspace = None
        self._announce_image()

    def change_options(self, options: SegmentOptions) -> None:
        """Take other options."""
        if options != self.options:
            self.options = options
            self.options_changed.emit(options)

    def undo(self) -> None:
        """Take the newest action back: prompt, commit, class or deletion."""
        workspace = self.workspace
        step = self.project.undoing.take(workspace) if workspace else None
        if workspace is None or step is None:
            self.notified.emit("There is nothing to undo.")
            return
        if step.patch is not None:
            workspace.apply(step.patch, backwards=True)
        self.log.record(EventKind.UNDO, {"of": step.kind})
        reached = self.project.record(step, is_undo=True)
        self._show(reached or step.before, None if reached else step.patch)

    def redo(self) -> None:
        """Do the action again that was undone last."""
        workspace = self.workspace
        step = workspace.history.take_redo() if workspace else None
        if workspace is None or step is None:
            self.notified.emit("There is nothing to redo.")
            return
        if step.patch is not None:
            workspace.apply(step.patch)
        self.log.record(EventKind.REDO, {"of": step.kind})
        reached = self.project.record(step, is_redo=True)
        self._show(reached or step.after, None if reached else step.patch)

    def release(self) -> None:
        """Give the model's memory back."""
        self.model.release()

    def close(self) -> None:
        """End the workers; the session cannot be used after."""
        self.regions.cancel()
        self.evaluating.close()
        self.pseudo_labels.suggestions.cancel()
        self.runner.close()
        self.project.end()
        self.workspaces.close()

    def perform(
        self,
        kind: EventKind,
        payload: Mapping[str, Any],
        after: Snapshot,
        *,
        patch: LabelPatch | None = None,
    ) -> None:
        """Carry out one undoable step: for the topics of this package.

        Parameters
        ----------
        kind, payload
            What the event log says of it.
        after : Snapshot
            The state to reach.
        patch : LabelPatch or None
            Change of the label image.
        """
        before = self.snapshot
        self.log.record(kind, payload)
        if self.workspace is None:
            self.set_classes(after.classes)
            return
        if patch is not None:
            self.workspace.apply(patch)
        step = Step(kind, before, after, patch)
        self.workspace.history.push(step)
        reached = self.project.record(step)  # on the disk before it shows
        self._show(reached or after, None if reached else patch)

    def set_classes(self, table: ClassTable) -> None:
        """Take a class table without a step to undo."""
        self.project.record_classes(self.snapshot.classes, table)
        self.replace_classes(table)

    def replace_classes(self, table: ClassTable) -> None:
        """Take the class table of a project: it is stored there already."""
        self._classes = table
        if self.workspace is not None:
            self.workspace.snapshot = replace(self.workspace.snapshot, classes=table)
        self.classes_changed.emit()

    def next_label_version(self) -> int:
        """Return a number that names no state of a label image yet."""
        self._label_version += 1
        return self._label_version

    def require_workspace(self) -> Workspace:
        """Return the present workspace.

        Raises
        ------
        NoImageError
            If no image is chosen.
        """
        if self.workspace is None and self.regions.slide is not None:
            raise NoImageError(
                "No region of the slide is chosen. Click on the slide first, or segment"
                " a field of view or a rectangle."
            )
        if self.workspace is None:
            raise NoImageError("No image is chosen. Open an image or a sample first.")
        return self.workspace

    def require_image(self) -> SessionImage:
        """Return the present image; raises as `require_workspace`."""
        return self.require_workspace().image

    def forget_work(self, classes: ClassTable) -> None:
        """Drop all objects from memory, where their project is closed."""
        self._park()
        image, self.workspace = self.image, None
        self.workspaces.clear()
        self.replace_classes(classes.with_model_classes(self.model.mapped_classes()))
        self.regions.forget_work()
        self.worklist.forget()
        if image is not None and image.region is None:
            self.workspace = self.workspaces.ensure(image, self._classes)
        self._announce_image()

    def show_workspace(self) -> None:
        """Tell the views of all that the present image has: it was restored."""
        if self.workspace is not None:
            self._classes = self.workspace.snapshot.classes
        self.classes_changed.emit()
        self._announce_image()

    def show_labels(self, box: LabelBox) -> None:
        """Show label pixels anew that a view has changed on its own."""
        self.require_workspace().write_through(box)
        self.objects_changed.emit(box)

    def find_workspace(self, key: str) -> Workspace | None:
        """Return the work on the image of that key, or None."""
        return self.workspaces.find(key)

    def records_of(self, key: str) -> tuple[ObjectRecord, ...]:
        """Return the committed objects of the image of that key."""
        workspace = self.workspaces.find(key)
        return workspace.snapshot.records if workspace else ()

    def stored_labels(self, workspace: Workspace) -> RegionStore:
        """Return the labels of a slide's region, as kept on disk: made when needed.

        They can be edited in place; `Annotation.correct` takes the change in.
        """
        if workspace.stored is None:
            work = self.regions.works.find(workspace.image.key)
            scene = work.scene if work else None
            self._shelf.fill(workspace, scene, on_failure=self.report)
        assert workspace.stored is not None, "the shelf has filled it"
        return workspace.stored

    def report(self, error: Exception) -> str:
        """Hand an error on through `failed`; return it as one sentence for people."""
        refusal = as_refusal(error)
        self.failed.emit(refusal)
        return str(refusal)

    def announce_status(self) -> None:
        """Work the status out anew, and tell if it changed."""
        status = Status(activity_of(self), self.model.title, self.model.device_text)
        if status != self._status:
            self._status = status
            self.status_changed.emit(status)

    def _park(self) -> None:
        self.prompting.give_up()
        if self.workspace is not None:
            self._classes = self.workspace.snapshot.classes

    def _announce_image(self) -> None:
        self.image_changed.emit(self.image)
        self.prompts_changed.emit(self.prompts)
        self.prediction_changed.emit(self.prediction)
        self.objects_changed.emit(None)
        self.selection_changed.emit(self.annotation.selected_id)
        self.history_changed.emit()
        self.announce_status()

    def _show(self, after: Snapshot, patch: LabelPatch | None) -> None:
        workspace = self.require_workspace()
        before, workspace.snapshot = workspace.snapshot, after
        if after.classes != before.classes:
            self._adopt_classes(after.classes)
        if after.prompts != before.prompts or after.is_automatic != before.is_automatic:
            self.prompts_changed.emit(after.prompts)
        if patch is not None or after.records is not before.records:
            self.objects_changed.emit(patch.box if patch else None)
        self.prompting.follow(before)
        if self.annotation.find(workspace.selected_id or 0) is None:
            self.annotation.select(None)
        self.history_changed.emit()

    def _adopt_classes(self, table: ClassTable) -> None:
        # A step of another image must not bring back classes of before this one.
        self._classes = table
        for other in self.workspaces:
            if other is not self.workspace:
                other.history.clear()
        self.classes_changed.emit()
