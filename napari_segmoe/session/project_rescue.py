"""A copy of the open project elsewhere, with the steps that it could not take."""

import logging
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.backups import check_target, copy_project
from napari_segmoe.project.recent_projects import note_project
from napari_segmoe.project.records import Change, EventKind, TileState
from napari_segmoe.project.store import SUFFIX, ProjectStore
from napari_segmoe.session.project_recorder import StepRecorder
from napari_segmoe.session.project_restoring import take_in
from napari_segmoe.session.project_states import class_details, class_records
from napari_segmoe.session.run_list import state_folder
from napari_segmoe.session.unsaved_step import UnsavedStep

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session

logger = logging.getLogger(__name__)
SHOWN_ONLY = (
    "The project itself cannot be copied: the new one has what this window shows, and"
    " no history."
)
_FOLDER = "rescued"


def copy_elsewhere(
    session: "Session", store: ProjectStore, recorder: StepRecorder, target: Path
) -> tuple[ProjectStore, StepRecorder, bool]:
    """Copy a project with the steps that wait; where it is damaged, what is shown.

    Parameters
    ----------
    session : Session
    store : ProjectStore
        The project.
    recorder : StepRecorder
        Holds the steps that wait.
    target : Path
        The new project.

    Returns
    -------
    store : ProjectStore
        The copy, open.
    recorder : StepRecorder
        Of the copy; nothing is stored yet.
    is_whole : bool
        Whether all of the project is in it.

    Raises
    ------
    ProjectError
        If there is something at the target, or it cannot be written.
    """
    check_target(target)
    try:
        copy_project(store, target)
    except ProjectError:  # damaged or gone, or no room: making a new one will tell
        fresh = ProjectStore.create(target)
        return fresh, _record_shown(session, fresh, recorder.annotator), False
    copy = ProjectStore.open(target)
    return copy, recorder.on_copy(copy), True


def rescue(session: "Session", store: ProjectStore, recorder: StepRecorder) -> None:
    """Keep the steps that wait in a copy in the user's own folder: the session ends.

    Nobody is asked or told any more: the copy leads the list of recent projects.
    """
    folder = state_folder() / _FOLDER
    name = f"{store.path.stem}-{datetime.now():%Y%m%d-%H%M%S-%f}{SUFFIX}"
    count = len(recorder.waiting)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        copy, moved, _ = copy_elsewhere(session, store, recorder, folder / name)
        is_kept = moved.flush() is None
        copy.close()
    except (ProjectError, OSError):
        is_kept = False
    if is_kept:
        note_project(folder / name)
        logger.warning("%d unsaved steps are in a copy of the project.", count)
    else:
        logger.error("%d unsaved steps could not be kept.", count)


def _record_shown(
    session: "Session", store: ProjectStore, annotator: str | None
) -> StepRecorder:
    """Return a recorder with all that the window holds, as steps to be stored."""
    recorder = StepRecorder(store)
    recorder.annotator = annotator
    table = session.snapshot.classes
    change = Change(classes=class_records(table), details=class_details(table))
    recorder.record(UnsavedStep(EventKind.CLASSES, change))
    for workspace in session.workspaces:
        version = workspace.snapshot.label_version
        step = take_in(store, None, workspace, label_version=version)
        boxes = tuple(TileState(box=box) for box in workspace.snapshot.tiles)
        if step is not None:
            recorder.record(step)
        if boxes:
            tiles = Change(tiles=boxes)
            recorder.record(
                UnsavedStep(EventKind.FINISH_TILE, tiles, workspace=workspace)
            )
    return recorder
