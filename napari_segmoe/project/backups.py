"""Copies of a project's database, and new projects made from one."""

import shutil
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.database import connect_still
from napari_segmoe.project.local_files import LOCAL
from napari_segmoe.project.open_marks import read_marks
from napari_segmoe.project.store import DATABASE, SUFFIX, ProjectStore

FOLDER = "backups"
IMAGES, WEIGHTS = "images", "weights"  # the project's own copies, and versions
DAILY_KEPT = 5
_STAMP = "%Y-%m-%d_%H%M%S"
_DAILY = "-daily"


@dataclass(frozen=True, slots=True)
class Backup:
    """One copy: where it lies, when it was made (UTC), how large it is.

    ``is_daily``: made on opening; old ones of these make way for new ones.
    """

    path: Path
    time_utc: datetime
    size_bytes: int
    is_daily: bool = False


def list_backups(project: Path) -> tuple[Backup, ...]:
    """Return a project's backups, newest first; files of other names are not ours."""
    found = []
    for path in (project / FOLDER).glob("*.db"):
        try:
            stamp = path.stem.removesuffix(_DAILY)
            made = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
            is_daily = path.stem.endswith(_DAILY)
            found.append(Backup(path, made, path.stat().st_size, is_daily))
        except (ValueError, OSError):
            continue
    return tuple(sorted(found, key=lambda one: one.time_utc, reverse=True))


def make_backup(
    project: Path, *, is_daily: bool = False, now: datetime | None = None
) -> Backup:
    """Copy a project's database into its folder of backups, also while others write.

    Raises
    ------
    ProjectError
        If it cannot be read or written, or is damaged: then nothing is kept.
    """
    made = (now or datetime.now(UTC)).replace(microsecond=0)
    ending = _DAILY if is_daily else ""
    target = project / FOLDER / f"{made.strftime(_STAMP)}{ending}.db"
    whole = target.with_suffix(".partial")
    try:
        target.parent.mkdir(exist_ok=True)
        for left in target.parent.glob("*.partial"):  # by a window that was killed
            left.unlink(missing_ok=True)
        with ProjectStore.open(project, read_only=True) as store:
            store.back_up(whole)
        check_copy(whole)
        whole.replace(target)
    except OSError as error:
        raise ProjectError(
            f"{FOLDER} cannot be written in {project.name}: {error.strerror or error}."
            " Free space, or allow writing."
        ) from error
    finally:
        whole.unlink(missing_ok=True)
    return Backup(target, made, target.stat().st_size, is_daily)


def make_daily_backup(project: Path, *, now: datetime | None = None) -> Backup | None:
    """Back a project up that was opened, at most once a day.

    Nothing is done on the day it was made, where nothing has happened since the newest
    backup, or where another window has it open. The last few daily ones are kept; those
    that a user made are never deleted.

    Raises
    ------
    ProjectError
        As `make_backup`; older backups stay.
    """
    if sum(mark.is_alive for mark in read_marks(project)) > 1:
        return None
    now = now or datetime.now(UTC)
    known = list_backups(project)
    if known and _day(known[0].time_utc) >= _day(now):
        return None
    with ProjectStore.open(project, read_only=True) as store:
        newest, first = store.last_number(), next(store.events(), None)
    if first is None or _day(datetime.fromisoformat(first.time_utc)) >= _day(now):
        return None
    if known and _last_number(known[0].path) == newest:
        return None
    made = make_backup(project, is_daily=True, now=now)
    daily = [one for one in list_backups(project) if one.is_daily]
    for old in daily[DAILY_KEPT:]:
        old.path.unlink(missing_ok=True)
    return made


def _day(time_utc: datetime) -> date:
    """Return the day that it is here."""
    return time_utc.astimezone().date()


def _last_number(database: Path) -> int | None:
    """Return the newest event of a backup; None where it cannot be read."""
    try:
        with closing(connect_still(database)) as connection:
            (number,) = connection.execute("SELECT max(number) FROM events").fetchone()
    except ProjectError:
        return None
    return int(number or 0)


def check_target(target: Path) -> None:
    """Raise `ProjectError` where no new project can be made at a place."""
    if target.suffix != SUFFIX:
        raise ProjectError(f"{target.name} must end in {SUFFIX}, as in study{SUFFIX}.")
    if target.exists():
        raise ProjectError(f"{target.name} exists already. Take another name.")


def copy_project(store: ProjectStore, target: Path) -> None:
    """Make a new project out of an open one, with images and weights of its own.

    The database comes from what is open: its folder may be full, read-only or gone.

    Raises
    ------
    ProjectError
        If there is something at the target, nothing can be written there, or the
        project is damaged.
    """
    check_target(target)
    partial = target.with_name(f".{target.stem}.partial{SUFFIX}")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        store.back_up(partial / DATABASE)
        check_copy(partial / DATABASE)
        _copy_parts(store.path, partial)
        partial.replace(target)
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_copy(database: Path) -> None:
    """Raise `ProjectError` where the pages of a copied database are damaged."""
    with closing(connect_still(database)) as connection:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise ProjectError(
            "The database is damaged: verify it, then restore an older backup."
        )


def _copy_parts(source: Path, target: Path) -> None:
    if (source / LOCAL).is_file():
        shutil.copyfile(source / LOCAL, target / LOCAL)
    for folder in (IMAGES, WEIGHTS):
        if (source / folder).is_dir():
            shutil.copytree(source / folder, target / folder)


def _unwritable(target: Path, error: OSError) -> ProjectError:
    return ProjectError(
        f"{target.name} cannot be written: {error.strerror or error}. Free space, or"
        " choose another folder."
    )


def restore_backup(backup: Path, target: Path) -> None:
    """Make a new project from a backup; the old one stays as it is.

    Published weights and the list of where images lie come along, if they are still
    in the project that the backup was made of.

    Raises
    ------
    ProjectError
        If there is something at the target, the backup is damaged, or nothing can be
        written.
    """
    check_target(target)
    partial = target.with_name(f".{target.stem}.partial{SUFFIX}")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        shutil.copyfile(backup, partial / DATABASE)
        _copy_parts(backup.parent.parent, partial)
        with ProjectStore.open(partial) as store:
            store.images()
        partial.replace(target)
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
