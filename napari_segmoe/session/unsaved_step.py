"""A step of the session on its way into the project."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from napari_segmoe.project.records import Change, EventKind, PixelPatch
from napari_segmoe.session.history import Step
from napari_segmoe.session.objects import ObjectRecord
from napari_segmoe.session.project_states import change_of, kind_of, patch_of
from napari_segmoe.session.workspace import Workspace

WEIGHTS = "weights"  # folder of a project's published weights, v0001.safetensors


@dataclass(frozen=True, slots=True, eq=False)
class UnsavedStep:
    """A step on its way into the project; without a workspace it is about classes.

    ``before``: the objects of the image before it.
    """

    kind: EventKind
    change: Change
    patch: PixelPatch | None = None
    workspace: Workspace | None = None
    before: tuple[ObjectRecord, ...] = ()


def make_unsaved(
    step: Step, workspace: Workspace, kind: EventKind | None, *, weights: str
) -> UnsavedStep:
    """Return a step, or taking it back, as the project is to store it.

    Parameters
    ----------
    step : Step
    workspace : Workspace
        Of its image.
    kind : EventKind or None
        UNDO or REDO; None: it is done for the first time.
    weights : str
        Name on the card of the weights that answered.
    """
    is_undo = kind is EventKind.UNDO
    change = change_of(step, backwards=is_undo)
    kind = kind or kind_of(step.kind)
    if kind is EventKind.COMMIT and weights:
        details = {**(change.details or {}), "weights": weights}
        change = replace(change, details=details)
    patch = patch_of(step.patch, backwards=is_undo)
    before = step.after if is_undo else step.before
    return UnsavedStep(kind, change, patch, workspace, before.records)


def version_of(project: Path | None, weights: str) -> int | None:
    """Return the number of a project's own weights; None: they are from elsewhere."""
    path = Path(weights)
    is_own = project is not None and path.parent == project / WEIGHTS
    found = re.fullmatch(r"v(\d+)", path.stem)
    return int(found[1]) if is_own and found else None
