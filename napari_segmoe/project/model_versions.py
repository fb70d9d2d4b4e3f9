"""Where a project keeps the weights that its rounds published. Loads no torch."""

import hashlib
from pathlib import Path

from napari_segmoe.project.records import ModelVersion
from napari_segmoe.project.store import ProjectStore

WEIGHTS = "weights"
_PIECE = 1 << 20


def weights_file(project: Path, number: int) -> Path:
    """Return where a version's weights lie; 0 is what the first round began with."""
    return project / WEIGHTS / f"v{number:04}.safetensors"


def current_version(store: ProjectStore) -> ModelVersion | None:
    """Return the version in use; None before a round has published one."""
    versions = store.models()
    current = [one for one in versions if one.is_current]
    if current:
        return current[0]
    return next((one for one in versions if one.number == 0), None)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
