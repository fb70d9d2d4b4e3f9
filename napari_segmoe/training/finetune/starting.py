"""Which weights a round starts from, and how a resumed one finds them again."""

from dataclasses import dataclass
from pathlib import Path

from napari_segmoe.errors import ConfigError, ProjectError
from napari_segmoe.models.card import (
    WeightsCard,
    find_weights,
    list_weights,
    read_card,
)
from napari_segmoe.project.model_versions import current_version, weights_file
from napari_segmoe.project.store import ProjectStore

START_COPY = "start.safetensors"
_VERSION = "version "


@dataclass(frozen=True, slots=True)
class Start:
    """Weights to start from.

    Attributes
    ----------
    start : Path
    root : Path
        What the project began with, or the start itself.
    name : str
        "version N", the name of shipped weights, or empty for any other file.
    """

    start: Path
    root: Path
    name: str


def find_start(store: ProjectStore, weights: str) -> Start:
    """Return the weights to start from: those asked for, or the project's current ones.

    Raises
    ------
    ConfigError
        If the project has none yet and none are asked for.
    ProjectError
        If the current ones are gone.
    WeightsError
        If there are none of that name.
    """
    if weights:
        path = find_weights(weights)
        shipped = {file: name for name, file in list_weights()}
        own = {
            weights_file(store.path, one.number).resolve(): one.number
            for one in store.models()
        }
        name = shipped.get(path, "")
        if path.resolve() in own:
            name = f"{_VERSION}{own[path.resolve()]}"
        return Start(path, _root(store, path), name)
    current = current_version(store)
    if current is None:
        raise ConfigError(
            "The project has no weights yet: say which to start from, as in --weights"
            " glands."
        )
    return _of_version(store, current.number)


def find_again(store: ProjectStore, name: str, copy: Path) -> Start:
    """Return the weights that a round started from.

    Parameters
    ----------
    store : ProjectStore
    name : str
        As `Start.name` said.
    copy : Path
        Where a copy of others was kept.
    """
    if name.startswith(_VERSION):
        return _of_version(store, int(name.removeprefix(_VERSION)))
    path = find_weights(name) if name else copy
    return Start(path, _root(store, path), name)


def replay_key(folder: Path) -> str:
    """Return under which name `local.json` knows where a round's replay data lie."""
    return f"replay of {folder.name}"


def _of_version(store: ProjectStore, number: int) -> Start:
    path = weights_file(store.path, number)
    if not path.is_file():
        raise ProjectError(
            f"The weights of version {number} are gone from the project. Say which to"
            " start from with --weights."
        )
    return Start(path, _root(store, path), f"{_VERSION}{number}")


def _root(store: ProjectStore, start: Path) -> Path:
    root = weights_file(store.path, 0)
    if root.is_file() and _is_kin(read_card(root), read_card(start)):
        return root
    return start


def _is_kin(one: WeightsCard, other: WeightsCard) -> bool:
    return (one.model, one.options) == (other.model, other.options)
