"""What a round leaves in the project: weights, a version, and the decision."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn

from napari_segmoe.errors import TrainingError
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.weights import save_weights
from napari_segmoe.project.model_versions import hash_file, weights_file
from napari_segmoe.project.records import Change, EventKind, ModelVersion, RunRecord
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.training.finetune.guard import Decision, Verdict
from napari_segmoe.training.finetune.judging import Ending

PUBLISHED, ROLLED_BACK = "published", "rolled_back"
RUNNING, STOPPED, FAILED = "running", "stopped", "failed"


def note_run(
    project: Path, name: str, state: str, figures: Mapping[str, float] | None = None
) -> None:
    """Record how a round stands."""
    record = RunRecord(name=name, state=state, figures=figures or {})
    with ProjectStore.open(project) as store:
        store.append(EventKind.RUN, Change(run=record, details={"state": state}))


def ending_of(project: Path, name: str) -> Ending | None:
    """Return how a round ended, as the project knows it; None while it has not."""
    with ProjectStore.open(project, read_only=True) as store:
        states = {one.name: one.state for one in store.runs()}
        if states.get(name) not in (PUBLISHED, ROLLED_BACK):
            return None
        for event in store.events():
            details = event.change.details or {}
            if event.kind.value in set(Decision) and details.get("round") == name:
                return Ending(
                    event.kind.value,
                    details.get("version"),
                    str(details["reason"]),
                    dict(details["figures"]),
                )
    return None


def settle(
    project: Path,
    name: str,
    verdict: Verdict,
    *,
    candidate: nn.Module | None,
    card: WeightsCard,
    start: Path,
    details: Mapping[str, Any],
) -> int | None:
    """Publish a candidate or roll back, as the guard decided; return the version.

    The weights are in their place before the project says so: whatever ends the
    process in between, the project never names weights that are not there.

    Parameters
    ----------
    project : Path
    name : str
        The round's.
    verdict : Verdict
    candidate : nn.Module or None
        What was learnt; None where nothing came of it.
    card : WeightsCard
        Of the candidate.
    start : Path
        Weights that the round started from; they become version 0 if there is none.
    details : mapping
        Stored with the decision.

    Raises
    ------
    TrainingError
        If the weights cannot be written.
    """
    about = {**details, "round": name, "reason": verdict.reason}
    figures = dict(verdict.figures)
    with ProjectStore.open(project) as store:
        if verdict.decision is Decision.ROLLBACK or candidate is None:
            record = RunRecord(name=name, state=ROLLED_BACK, figures=figures)
            change = Change(run=record, details={**about, "figures": figures})
            store.append(EventKind.ROLLBACK, change)
            return None
        versions = {one.number for one in store.models()}
        try:
            if not versions:
                _keep_start(store, start)
            number = max(versions, default=0) + 1
            path = weights_file(project, number)
            path.parent.mkdir(exist_ok=True)
            save_weights(path, candidate, card, half=True)
            _flush(path)
        except (OSError, SafetensorError) as error:
            raise TrainingError(
                f"The new weights cannot be written into the project: {error}. Free"
                " space, then resume the round."
            ) from error
        version = ModelVersion(
            number=number,
            weights_sha256=hash_file(path),
            base=card.name,
            is_current=True,
            figures=figures,
        )
        record = RunRecord(name=name, state=PUBLISHED, figures=figures)
        about |= {"version": number, "figures": figures}
        change = Change(model=version, run=record, details=about)
        store.append(EventKind.PUBLISH, change)
        return number


def _keep_start(store: ProjectStore, start: Path) -> None:
    """Make what the first round began with version 0, so that one can go back to it."""
    path = weights_file(store.path, 0)
    path.parent.mkdir(exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    shutil.copyfile(start, partial)
    partial.replace(path)
    _flush(path)
    version = ModelVersion(
        number=0,
        weights_sha256=hash_file(path),
        base=start.stem,
        is_current=False,
    )
    store.append(EventKind.RUN, Change(model=version, details={"version": 0}))


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
