"""The data folders of a run: each read and split by itself, then joined."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_segmoe.data.folder import DataFolder, look_at_masks, read_data_folder
from napari_segmoe.data.splits import DataItem, fold_groups, split_groups
from napari_segmoe.errors import ConfigError, DataFolderError
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.labels import (
    check_labelled,
    choose_labelled,
    uses_some_masks,
)
from napari_segmoe.training.unlabelled_images import find_unlabelled


@dataclass(frozen=True, slots=True, eq=False)
class RunPart:
    """What a run takes of one data folder.

    Attributes
    ----------
    name : str
        The folder's name; of several with one name the later ones are numbered.
    folder : DataFolder
        Where its masks' kind comes from: instances in one folder and binary masks in
        another go together, since each is read as what it is.
    train, validation : tuple of DataItem
        No group is on both sides. In a run of several folders the names of items and
        groups begin with the folder's, so that they are never mistaken for another's.
    spacing_um : float or None
        Pixel size of files whose row states none.
    unlabelled : tuple of DataItem
        Training images that are not learnt from with their masks.
    """

    name: str
    folder: DataFolder
    train: tuple[DataItem, ...]
    validation: tuple[DataItem, ...]
    spacing_um: float | None
    unlabelled: tuple[DataItem, ...] = ()


def read_parts(config: TrainingConfig) -> tuple[RunPart, ...]:
    """Read a run's data folders and carve validation out of each by group.

    Raises
    ------
    ConfigError
        If a folder is given twice, or pixel sizes name a folder that is not there.
    DataFolderError
        If a folder is unusable or leaves nothing to train or validate on.
    """
    names = _names(config)
    several = len(names) > 1
    parts = []
    for name, path in zip(names, config.folders, strict=True):
        part = _read_part(name, path, config)
        parts.append(_qualified(part) if several else part)
    check_labelled([part.train for part in parts], config)
    return tuple(parts)


def _read_part(name: str, path: Path, config: TrainingConfig) -> RunPart:
    partly = uses_some_masks(config)
    folder = read_data_folder(path, all_masks=not partly)
    train, validation = divide_items(folder, config)
    if not train or not validation:
        raise DataFolderError(
            f"{path} leaves {len(train)} images to train and {len(validation)} to"
            " validate on; both need at least one."
        )
    unlabelled: tuple[DataItem, ...] = ()
    if partly:
        train, unlabelled = choose_labelled(train, config)
        folder = look_at_masks(folder, (*train, *validation))
    spacing = _spacing_um(config, name)
    return RunPart(name, folder, train, validation, spacing, unlabelled)


def read_unlabelled(config: TrainingConfig) -> RunPart | None:
    """Return the folder of images without masks, if the run has one."""
    path = config.unlabelled
    if path is None:
        return None
    name = path.resolve().name
    items = find_unlabelled(config)
    folder = DataFolder(path, items)
    return RunPart(name, folder, (), (), _spacing_um(config, name), items)


def divide_items(
    folder: DataFolder, config: TrainingConfig
) -> tuple[tuple[DataItem, ...], tuple[DataItem, ...]]:
    """Return the items to train and to validate on; no group is on both sides.

    Where some items have no mask, only those that have one are validated on.
    """
    kept = [item for item in folder.select(config.split) if _is_kept(item, config)]
    able = [item for item in kept if item.mask_path is not None] or kept
    seed = config.seed if config.split_seed is None else config.split_seed
    if config.folds:
        train, validation = fold_groups(able, config.folds, config.fold, seed)
    else:
        train, validation = split_groups(able, config.validation_fraction, seed)
    chosen = {item.name for item in able}
    held = {item.group for item in validation}
    bare = [item for item in kept if item.name not in chosen]
    return train + tuple(item for item in bare if item.group not in held), validation


def describe_data(parts: Sequence[RunPart]) -> dict[str, Any]:
    """Return the card's entry of the data: names and counts, never a path."""
    entry: dict[str, Any] = {
        "folder": " + ".join(part.name for part in parts),
        "train": sum(len(part.train) for part in parts),
    }
    unlabelled = sum(len(part.unlabelled) for part in parts)
    if unlabelled:
        entry["unlabelled"] = unlabelled
    if len(parts) > 1:
        entry["folders"] = [
            {
                "folder": part.name,
                "train": len(part.train),
                "validation": len(part.validation),
                "masks": part.folder.mask_kind.value if part.folder.mask_kind else None,
                "assumed_spacing_um": part.spacing_um,
            }
            for part in parts
        ]
    return entry


def describe_leaks(parts: Sequence[RunPart]) -> dict[str, str]:
    """Return how many groups are on two sides of published splits, if any are."""
    found = {part.name: describe_leak(part.folder) for part in parts}
    if len(parts) == 1:
        return found[parts[0].name]
    told = [f"{leak['leaky_groups']} ({name})" for name, leak in found.items() if leak]
    return {"leaky_groups": ", ".join(told)} if told else {}


def describe_leak(folder: DataFolder) -> dict[str, str]:
    """Return how many groups are on two sides of the folder's split, if any are."""
    if folder.leaky_groups is None:
        return {}
    leaky, groups = folder.leaky_groups
    return {"leaky_groups": f"{leaky} of {groups}"}


def assumed_spacing_um(config: TrainingConfig) -> float | None:
    """Return the pixel size that an image without one is taken to have.

    Where folders differ, that of the first.
    """
    return _spacing_um(config, _names(config)[0])


def _names(config: TrainingConfig) -> tuple[str, ...]:
    """Return a name of its own for each folder, and check those of pixel sizes."""
    paths = [path.resolve() for path in config.folders]
    if len(set(paths)) < len(paths):
        raise ConfigError("A data folder is given twice. Give each folder once.")
    names: list[str] = []
    for path in paths:
        count = sum(other.name == path.name for other in paths[: len(names)])
        names.append(path.name if not count else f"{path.name}-{count + 1}")
    if isinstance(config.data_spacing_um, dict):
        more = {config.unlabelled.resolve().name} if config.unlabelled else set()
        unknown = sorted(set(config.data_spacing_um) - set(names) - more)
        if unknown:
            raise ConfigError(
                f"data_spacing_um names {unknown[0]!r}; the data folders are"
                f" {', '.join(names)}."
            )
    return tuple(names)


def _spacing_um(config: TrainingConfig, name: str) -> float | None:
    stated = config.data_spacing_um
    return stated.get(name) if isinstance(stated, dict) else stated


def _qualified(part: RunPart) -> RunPart:
    return replace(
        part,
        train=_qualify(part.train, part.name),
        validation=_qualify(part.validation, part.name),
        unlabelled=_qualify(part.unlabelled, part.name),
    )


def _qualify(items: Sequence[DataItem], name: str) -> tuple[DataItem, ...]:
    return tuple(
        replace(item, name=f"{name}/{item.name}", group=f"{name}/{item.group}")
        for item in items
    )


def _is_kept(item: DataItem, config: TrainingConfig) -> bool:
    return all(
        item.extra.get(column) != value for column, value in config.exclude.items()
    )
