"""The images of a run, and the card of the weights that come of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from napari_segmoe.data.folder import DataFolder, read_data_folder
from napari_segmoe.data.splits import DataItem, split_groups, split_hash
from napari_segmoe.errors import DataFolderError
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.prompt_stem import PROMPT_CHANNELS
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.sources import Source, load_sources
from napari_segmoe.training.spaced_sources import load_spaced_sources


@dataclass(frozen=True, slots=True, eq=False)
class RunData:
    """Training and validation images with their classes.

    ``classes`` are those of the image head, ``object_classes`` those of the region
    head (all but the empty class).
    """

    train: tuple[Source, ...]
    validation: tuple[Source, ...]
    classes: tuple[str, ...]
    object_classes: tuple[str, ...]
    split: dict[str, Any]
    notes: tuple[str, ...]

    def card(
        self,
        config: TrainingConfig,
        options: dict[str, Any],
        *,
        validation: dict[str, float],
    ) -> WeightsCard:
        """Return the card of weights trained on these data."""
        return WeightsCard(
            name=config.name,
            title=config.title,
            model=config.model,
            options=options,
            classes=self.classes,
            object_classes=self.object_classes,
            empty_class=config.empty_class,
            modality=config.modality,
            organ=config.organ,
            spacing_um=config.spacing_um,
            assumed_spacing_um=config.data_spacing_um,
            input_px=config.input_px,
            prompt_channels=PROMPT_CHANNELS,
            seed=config.seed,
            data={"folder": config.data.name, "train": len(self.train)},
            split=self.split,
            training=config.model_dump(
                mode="json", exclude={"data", "out", "title", "licence"}
            ),
            metrics={"validation": validation} if validation else {},
            licence=config.licence,
        )


def load_run_data(config: TrainingConfig) -> RunData:
    """Read the data folder and carve validation from the training split by group.

    Raises
    ------
    DataFolderError
        If nothing is left to train or validate on.
    """
    folder = read_data_folder(config.data)
    train, validation = divide_items(folder, config)
    kept = [*train, *validation]
    if not train or not validation:
        raise DataFolderError(
            f"{config.data} leaves {len(train)} images to train and"
            f" {len(validation)} to validate on; both need at least one."
        )
    classes = _classes(kept)
    object_classes = tuple(name for name in classes if name != config.empty_class)
    if not config.image_head:
        classes = ()
    load = _loader(folder, config, classes, object_classes)
    return RunData(
        train=load(train),
        validation=load(validation),
        classes=classes,
        object_classes=object_classes if len(object_classes) > 1 else (),
        split=_describe_split(train, validation, config) | describe_leak(folder),
        notes=tuple(folder.notes),
    )


def _loader(
    folder: DataFolder,
    config: TrainingConfig,
    classes: tuple[str, ...],
    object_classes: tuple[str, ...],
) -> Callable[[Sequence[DataItem]], tuple[Source, ...]]:
    if config.spacing_um is None:
        return partial(load_sources, classes=classes, object_classes=object_classes)
    return partial(
        load_spaced_sources,
        classes=classes,
        object_classes=object_classes,
        spacing_um=config.spacing_um,
        data_spacing_um=config.data_spacing_um,
        kind=folder.mask_kind,
    )


def divide_items(
    folder: DataFolder, config: TrainingConfig
) -> tuple[tuple[DataItem, ...], tuple[DataItem, ...]]:
    """Return the items to train and to validate on; no group is on both sides."""
    kept = [item for item in folder.select(config.split) if _is_kept(item, config)]
    return split_groups(kept, config.validation_fraction, config.seed)


def describe_leak(folder: DataFolder) -> dict[str, str]:
    """Return how many groups are on two sides of the folder's split, if any are."""
    if folder.leaky_groups is None:
        return {}
    leaky, groups = folder.leaky_groups
    return {"leaky_groups": f"{leaky} of {groups}"}


def _is_kept(item: DataItem, config: TrainingConfig) -> bool:
    return all(
        item.extra.get(column) != value for column, value in config.exclude.items()
    )


def _classes(items: list[DataItem]) -> tuple[str, ...]:
    names = {item.class_name for item in items if item.class_name is not None}
    return tuple(sorted(names)) if len(names) > 1 else ()


def _describe_split(
    train: tuple[DataItem, ...],
    validation: tuple[DataItem, ...],
    config: TrainingConfig,
) -> dict[str, Any]:
    return {
        "from": config.split,
        "seed": config.seed,
        "validation_fraction": config.validation_fraction,
        "by": "group",
        "train": len(train),
        "validation": len(validation),
        "sha256": split_hash(
            [
                *(replace(item, split="train") for item in train),
                *(replace(item, split="validation") for item in validation),
            ]
        ),
    }
