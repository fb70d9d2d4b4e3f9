"""Copies of a project's database, and new projects made from one."""

import shutil
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.database import connect
from napari_segmoe.project.local_files import LOCAL
from napari_segmoe.project.store import DATABASE, SUFFIX, ProjectStore

FOLDER = "backups"
IMAGES, WEIGHTS = "images", "weights"  # the project's own copies, and versions
_STAMP = "%Y-%m-%d_%H%M%S"


@dataclass(frozen=True, slots=True)
class Backup:
    """One copy: where it lies, when it was made (UTC), how large it is."""

    path: Path
    time_utc: datetime
    size_bytes: int


def list_backups(project: Path) -> tuple[Backup, ...]:
    """Return a project's backups, newest first; files of other names are not ours."""
    found = []
    for path in (project / FOLDER).glob("*.db"):
        try:
            made = datetime.strptime(path.stem, _STAMP).replace(tzinfo=UTC)
            found.append(Backup(path, made, path.stat().st_size))
        except (ValueError, OSError):
            continue
    return tuple(sorted(found, key=lambda one: one.time_utc, reverse=True))


def make_backup(project: Path) -> Backup:
    """Copy a project's database into its folder of backups, also while others write.

    Raises
    ------
    ProjectError
        If it cannot be read or written.
    """
    made = datetime.now(UTC).replace(microsecond=0)
    target = project / FOLDER / f"{made.strftime(_STAMP)}.db"
    try:
        target.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise ProjectError(
            f"{FOLDER} cannot be made in {project.name}: {error.strerror or error}."
        ) from error
    with ProjectStore.open(project, read_only=True) as store:
        store.back_up(target)
    return Backup(target, made, target.stat().st_size)


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
    with closing(connect(database, read_only=True)) as connection:
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
