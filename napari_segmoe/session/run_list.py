"""Run folders that this user started: a list that outlives the window."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

MOST = 100
_FILE = "runs.json"
_SIGNS = ("events.jsonl", "config.yaml", "process.json")


def state_folder() -> Path:
    """Return where this program remembers things; `SEGMOE_STATE` sets another place."""
    from platformdirs import user_state_dir

    place = os.environ.get("SEGMOE_STATE") or user_state_dir("napari-segmoe", False)
    return Path(place)


def default_runs_folder() -> Path:
    """Return where runs on data folders go unless a user says otherwise."""
    return state_folder() / "runs"


def listed_runs() -> tuple[Path, ...]:
    """Return the run folders of the list, newest first; some may be gone."""
    try:
        paths = json.loads((state_folder() / _FILE).read_text(encoding="utf-8"))
        return tuple(Path(str(one)) for one in paths)[:MOST]
    except (OSError, ValueError, TypeError):
        return ()


def note_run(folder: Path) -> None:
    """Put a run at the head of the list; where it cannot be kept, it is not."""
    folder = folder.resolve()
    _write([folder, *(one for one in listed_runs() if one != folder)][:MOST])


def forget_run(folder: Path) -> None:
    """Take a run off the list; its folder stays."""
    _write([one for one in listed_runs() if one != folder.resolve()])


def find_runs(project: Path | None) -> tuple[Path, ...]:
    """Return the folders of all known runs: a project's, and those of the list."""
    found = {path.resolve(): None for path in _runs_in(project)}
    found |= {path: None for path in listed_runs() if is_run(path)}
    return tuple(found)


def is_run(folder: Path) -> bool:
    """Return whether somebody trained, or trains, in a folder."""
    return any((folder / name).is_file() for name in _SIGNS)


def _runs_in(project: Path | None) -> Iterator[Path]:
    if project is None:
        return
    try:
        folders = sorted((project / "runs").iterdir(), reverse=True)
    except OSError:
        return
    yield from (one for one in folders if one.is_dir() and is_run(one))


def _write(paths: list[Path]) -> None:
    place = state_folder() / _FILE
    partial = place.with_name(f".{_FILE}.{os.getpid()}.partial")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps([str(one) for one in paths], indent=1), "utf-8")
        partial.replace(place)
    except OSError:
        partial.unlink(missing_ok=True)
