"""One round: learn from a project's corrections, and publish only what is better."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_segmoe.errors import (
    ProjectError,
    RunFolderError,
    SegmoeError,
    TrainingError,
)
from napari_segmoe.models.card import read_card
from napari_segmoe.project.local_files import note_paths, read_paths
from napari_segmoe.project.round_material import Material, count_material, too_few
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.training.finetune.background import threads
from napari_segmoe.training.finetune.course import Course, Plan
from napari_segmoe.training.finetune.publishing import (
    FAILED,
    RUNNING,
    STOPPED,
    ending_of,
    note_run,
)
from napari_segmoe.training.finetune.round_report import ENDINGS, write_round_report
from napari_segmoe.training.finetune.settings import (
    ANY_TIME,
    RoundSettings,
    load_settings,
    save_settings,
)
from napari_segmoe.training.finetune.snapshot import (
    Snapshot,
    load_snapshot,
    save_snapshot,
    take_snapshot,
)
from napari_segmoe.training.finetune.starting import (
    START_COPY,
    find_again,
    find_start,
    replay_key,
)
from napari_segmoe.training.finetune.views import sight_of
from napari_segmoe.training.memory import is_out_of_memory
from napari_segmoe.training.run_folder import RunFolder
from napari_segmoe.training.run_process import claim

RUNS = "runs"
_SETTINGS = "config.yaml"
Event = dict[str, Any]


def run_round(
    project: Path, settings: RoundSettings, *, resume: bool = False
) -> Iterator[Event]:
    """Learn from a project's accepted objects, and yield events.

    start, look, consistency, progress, memory, validation, epoch (one a training),
    guard, and done or stopped. The guard's decision, with all its figures, is in
    events.jsonl and in the project. Killed, a round goes on where it was with
    ``resume``, and decides the same.

    Parameters
    ----------
    project : Path
        NAME.segmoe.
    settings : RoundSettings
        With ``resume`` only what may change at any time counts.
    resume : bool
        Go on with the newest round that has not ended.

    Raises
    ------
    ProjectError
        If the project cannot be read or written.
    ConfigError
        If it is not said which weights to start from.
    RunFolderError
        If there is nothing to resume.
    TrainingError
        If there is nothing to learn from, the loss is not finite, memory does not
        suffice or the disk is full.
    """
    opened = _resume(project, settings) if resume else _begin(project, settings)
    claim(opened.folder.path)
    with threads(opened.settings.threads):
        yield from _follow(opened)


@dataclass(frozen=True, slots=True)
class _Opened:
    project: Path
    folder: RunFolder
    settings: RoundSettings
    plan: Plan
    is_resumed: bool


def _follow(opened: _Opened) -> Iterator[Event]:
    """Yield a course's events, written down before; say in a sentence what ends it."""
    folder, name = opened.folder, opened.folder.path.name
    try:
        ended = ending_of(opened.project, name) if opened.is_resumed else None
        if not opened.is_resumed:
            note_run(opened.project, name, RUNNING)
        course = Course(opened.plan, opened.settings, folder)
        for event in course.events(ended):
            folder.log(event)
            if event["event"] in ENDINGS:
                write_round_report(folder)
            yield event
            if event["event"] == "stopped":
                note_run(opened.project, name, STOPPED)
    except OSError as error:
        raise _failed(
            opened,
            f"The round's folder cannot be written: {error.strerror or error}. Free"
            " space, then resume it.",
        ) from error
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise _failed(
            opened,
            "Memory does not suffice for a round: nothing was published. Close other"
            " programs, or lower batch_size, then resume it.",
        ) from error
    except SegmoeError as error:
        _fail(opened, str(error))
        raise


def _failed(opened: _Opened, reason: str) -> TrainingError:
    _fail(opened, reason)
    return TrainingError(reason)


def _fail(opened: _Opened, reason: str) -> None:
    """Write down why a round ends, as far as the disk allows."""
    with suppress(OSError):
        opened.folder.log({"event": "failed", "reason": reason})
        write_round_report(opened.folder)
    with suppress(ProjectError):
        note_run(opened.project, opened.folder.path.name, FAILED)


def _begin(project: Path, settings: RoundSettings) -> _Opened:
    with ProjectStore.open(project) as store:
        found = find_start(store, settings.weights)
        card = read_card(found.start)
        material = count_material(store)
        _check(material)
        sight = sight_of(card)
        snapshot = take_snapshot(
            store,
            field_um=sight.field_um,
            assumed_um=sight.assumed_um,
            seed=settings.seed,
        )
        known = [one.name for one in store.runs()]
    snapshot = replace(snapshot, start=found.name)
    path = _make_folder(project, settings, snapshot, found.start, known)
    plan = Plan(project, found.start, found.root, snapshot, material.warnings)
    return _Opened(project, RunFolder(path), settings, plan, False)


def _check(material: Material) -> None:
    if not material.accepted:
        raise TrainingError(material.warnings[0] + " Accept or draw some first.")
    if not material.is_enough:
        raise TrainingError(too_few(material))


def _make_folder(
    project: Path,
    settings: RoundSettings,
    snapshot: Snapshot,
    start: Path,
    known: Sequence[str],
) -> Path:
    """Make the next round's folder; it is there when its configuration is.

    Rounds that the project knows keep their numbers where somebody deleted their
    folders.
    """
    runs = project / RUNS
    try:
        runs.mkdir(exist_ok=True)
        names = [*known, *(path.name for path in runs.iterdir())]
        number = 1 + max(map(_number, names), default=0)
        path = runs / f"round-{number:04}"
        path.mkdir()
        save_snapshot(snapshot, path)
        if not snapshot.start:
            shutil.copyfile(start, path / START_COPY)
        if settings.replay_data is not None:
            note_paths(project, {replay_key(path): settings.replay_data})
        partial = path / ".config.partial"
        save_settings(settings, snapshot.start, partial)
        partial.replace(path / _SETTINGS)
    except OSError as error:
        raise RunFolderError(
            f"The round's folder cannot be made in {runs.name}:"
            f" {error.strerror or error}. Free space, or check that the project can be"
            " written."
        ) from error
    return path


def _number(name: str) -> int:
    head, _, tail = name.partition("-")
    return int(tail) if head == "round" and tail.isdecimal() else 0


def _resume(project: Path, settings: RoundSettings) -> _Opened:
    runs = project / RUNS
    made = [path for path in runs.glob("round-*") if (path / _SETTINGS).is_file()]
    path = max(made, key=lambda path: _number(path.name), default=None)
    if path is None or _is_done(RunFolder(path)):
        raise RunFolderError(
            f"{project.name} has no round to go on with: the newest has ended, or there"
            " is none. Start one without --resume."
        )
    kept = load_settings(path / _SETTINGS)
    changed = {
        name: getattr(settings, name) for name in ANY_TIME & settings.model_fields_set
    }
    kept = kept.model_copy(update=changed)
    snapshot = load_snapshot(path)
    if snapshot is None:
        raise RunFolderError(f"{path.name} never began. Start a new round.")
    replay = read_paths(project).get(replay_key(path))
    kept = kept.model_copy(update={"replay_data": replay})
    with ProjectStore.open(project) as store:
        found = find_again(store, snapshot.start, path / START_COPY)
    plan = Plan(project, found.start, found.root, snapshot, ())
    return _Opened(project, RunFolder(path), kept, plan, True)


def _is_done(folder: RunFolder) -> bool:
    return any(event["event"] == "done" for event in folder.read_events()[-1:])
