"""Where a project's images lie on this computer: in `local.json`, and nowhere else."""

import json
from collections.abc import Mapping
from pathlib import Path

from napari_segmoe.errors import ProjectError

LOCAL = "local.json"


def read_paths(project: Path) -> dict[str, Path]:
    """Return where the images lie, by fingerprint; what cannot be read is not known."""
    try:
        values = json.loads((project / LOCAL).read_text(encoding="utf-8"))
        return {str(key): Path(value) for key, value in values["images"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def note_paths(project: Path, found: Mapping[str, Path]) -> None:
    """Remember where images lie, beside what is known already.

    Raises
    ------
    ProjectError
        If the file cannot be written.
    """
    known = read_paths(project) | {key: path.resolve() for key, path in found.items()}
    partial = project / f".{LOCAL}.partial"
    content = {"images": {key: str(path) for key, path in sorted(known.items())}}
    try:
        partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
        partial.replace(project / LOCAL)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ProjectError(
            f"{LOCAL} cannot be written: {error.strerror or error}."
        ) from error
