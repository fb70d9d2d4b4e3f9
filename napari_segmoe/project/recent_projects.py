"""Projects opened last on this computer: a user's list, in no project."""

import json
import os
from pathlib import Path

MOST = 8
_FILE = "recent-projects.json"


def recent_projects() -> tuple[Path, ...]:
    """Return the projects opened last, newest first; some may be gone."""
    try:
        paths = json.loads(_place().read_text(encoding="utf-8"))
        return tuple(Path(str(one)) for one in paths)[:MOST]
    except (OSError, ValueError, TypeError):
        return ()


def note_project(path: Path) -> None:
    """Put a project at the head of the list; where it cannot be kept, it is not."""
    path = path.resolve()
    others = [one for one in recent_projects() if one != path]
    _write([path, *others][:MOST])


def forget_project(path: Path) -> None:
    """Take a project off the list; the project itself stays."""
    _write([one for one in recent_projects() if one != path])


def _write(paths: list[Path]) -> None:
    place = _place()
    partial = place.with_name(f".{_FILE}.partial")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps([str(one) for one in paths], indent=1), "utf-8")
        partial.replace(place)
    except OSError:
        partial.unlink(missing_ok=True)


def _place() -> Path:
    """Return the list's file; `SEGMOE_STATE` sets another folder."""
    from platformdirs import user_state_dir

    folder = os.environ.get("SEGMOE_STATE") or user_state_dir("napari-segmoe", False)
    return Path(folder) / _FILE
