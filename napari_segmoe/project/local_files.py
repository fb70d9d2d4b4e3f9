"""Where a project's images lie on this computer: in `local.json`, and nowhere else."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_segmoe.errors import ProjectError

LOCAL = "local.json"


def read_paths(project: Path) -> dict[str, Path]:
    """Return where the images lie, by fingerprint; what cannot be read is not known."""
    try:
        images = _read(project)["images"]
        return {str(key): Path(value) for key, value in images.items()}
    except (KeyError, TypeError, AttributeError):
        return {}


def read_annotator(project: Path) -> str | None:
    """Return the pseudonym used last on this computer, or None."""
    found = _read(project).get("annotator")
    return found if isinstance(found, str) and found else None


def note_annotator(project: Path, pseudonym: str | None) -> None:
    """Remember the pseudonym used on this computer.

    Raises
    ------
    ProjectError
        If the file cannot be written.
    """
    _write(project, {"annotator": pseudonym})


def _read(project: Path) -> dict[str, Any]:
    try:
        values = json.loads((project / LOCAL).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def note_paths(project: Path, found: Mapping[str, Path]) -> None:
    """Remember where images lie, beside what is known already.

    Raises
    ------
    ProjectError
        If the file cannot be written.
    """
    before = read_paths(project)
    known = before | {key: path.resolve() for key, path in found.items()}
    if known != before:
        _write(project, {"images": {key: str(path) for key, path in known.items()}})


def _write(project: Path, values: Mapping[str, Any]) -> None:
    content = _read(project) | dict(values)
    partial = project / f".{LOCAL}.partial"
    try:
        partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
        partial.replace(project / LOCAL)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ProjectError(
            f"{LOCAL} cannot be written: {error.strerror or error}."
        ) from error
