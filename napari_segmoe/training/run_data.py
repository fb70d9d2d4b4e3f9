"""The images of a run, and the card of the weights that come of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from napari_segmoe.data.mask_classes import MaskClasses
from napari_segmoe.data.splits import DataItem, split_hash
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.prompt_stem import PROMPT_CHANNELS
from napari_segmoe.training.class_balance import (
    ClassBalance,
    balance_classes,
    repeat_rare,
)
from napari_segmoe.training.config import ClassLoss, RecipeName, TrainingConfig
from napari_segmoe.training.run_classes import describe_merges, find_run_classes
from napari_segmoe.training.run_parts import (
    RunPart,
    assumed_spacing_um,
    describe_data,
    describe_leak,
    describe_leaks,
    divide_items,
    read_parts,
    read_unlabelled,
)
from napari_segmoe.training.sources import Source, load_sources
from napari_segmoe.training.spaced_sources import load_spaced_sources
from napari_segmoe.training.unlabelled_images import load_unlabelled

__all__ = ["RunData", "describe_leak", "divide_items", "load_run_data"]


_FILES = ("encoder_weights", "start_from", "first_stage")
_NOT_IN_CARDS = {
    *("data", "more_data", "unlabelled", "labelled_list"),
    *("out", "title", "licence"),
}


@dataclass(frozen=True, slots=True, eq=False)
class RunData:
    """Training and validation images with their classes.

    ``classes`` are those of the image head, ``object_classes`` those of the region
    head (all but the empty class); ``described`` is the card's entry of the data.
    ``unlabelled`` are training images whose masks were not opened; only
    semi_supervised loads them. ``mask_classes`` are those that the masks tell apart,
    and ``balance`` their weights.
    """

    train: tuple[Source, ...]
    validation: tuple[Source, ...]
    classes: tuple[str, ...]
    object_classes: tuple[str, ...]
    split: dict[str, Any]
    notes: tuple[str, ...]
    described: dict[str, Any]
    unlabelled: tuple[Source, ...] = ()
    mask_classes: tuple[str, ...] = ()
    balance: ClassBalance | None = None

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
            mask_classes=self.mask_classes,
            merged_classes=config.merge_classes if self.mask_classes else {},
            multi_label=bool(self.classes) and config.class_loss == "multi_label",
            empty_class=config.empty_class,
            modality=config.modality,
            organ=config.organ,
            spacing_um=config.spacing_um,
            assumed_spacing_um=assumed_spacing_um(config),
            input_px=config.input_px,
            prompt_channels=PROMPT_CHANNELS,
            seed=config.seed,
            data=self.described,
            split=self.split,
            training=_told(config),
            metrics={"validation": validation} if validation else {},
            licence=config.licence,
        )


def _told(config: TrainingConfig) -> dict[str, Any]:
    """Return the settings for a card: files without the folders they are in."""
    told = config.model_dump(mode="json", exclude=_NOT_IN_CARDS)
    return told | {name: Path(told[name]).name for name in _FILES if told[name]}


def load_run_data(config: TrainingConfig) -> RunData:
    """Read the data folders; carve validation from each training split by group.

    Raises
    ------
    ConfigError
        If a folder is given twice, or pixel sizes name a folder that is not there.
    DataFolderError
        If a folder is unusable or leaves nothing to train or validate on.
    """
    parts = read_parts(config)
    more = read_unlabelled(config)
    bare = parts if more is None else (*parts, more)
    train = tuple(item for part in parts for item in part.train)
    validation = tuple(item for part in parts for item in part.validation)
    classes = _classes([*train, *validation])
    object_classes = tuple(name for name in classes if name != config.empty_class)
    found = find_run_classes(parts, config)
    if found.names:
        object_classes = found.names
    image_classes = classes
    if found.names and config.class_loss is ClassLoss.MULTI_LABEL:
        classes = found.names
    if not config.image_head:
        classes = image_classes = ()
    if not config.object_head:
        object_classes = ()
    known = image_classes if image_classes == classes else ()
    loads = [
        _loader(part, config, known, object_classes, meaning)
        for part, meaning in zip(parts, found.of_parts, strict=True)
    ]
    pairs = tuple(zip(parts, loads, strict=True))
    train_sources = tuple(one for part, load in pairs for one in load(part.train))
    return RunData(
        train=repeat_rare(train_sources, config.rare_below),
        validation=tuple(one for part, load in pairs for one in load(part.validation)),
        classes=classes,
        object_classes=object_classes if len(object_classes) > 1 else (),
        split=describe_division(train, validation, config) | describe_leaks(parts),
        notes=(
            *(note for part in parts for note in _notes(part, len(parts) > 1)),
            *describe_merges(config),
        ),
        described=describe_data(bare),
        unlabelled=_load_unlabelled(bare, config),
        mask_classes=found.names,
        balance=balance_classes(train_sources),
    )


def _loader(
    part: RunPart,
    config: TrainingConfig,
    classes: tuple[str, ...],
    object_classes: tuple[str, ...],
    mask_classes: MaskClasses | None,
) -> Callable[[Sequence[DataItem]], tuple[Source, ...]]:
    if config.spacing_um is None:
        return partial(
            load_sources,
            classes=classes,
            object_classes=object_classes,
            mask_classes=mask_classes,
        )
    return partial(
        load_spaced_sources,
        classes=classes,
        object_classes=object_classes,
        spacing_um=config.spacing_um,
        data_spacing_um=part.spacing_um,
        kind=part.folder.mask_kind,
        mask_classes=mask_classes,
    )


def _load_unlabelled(
    parts: Sequence[RunPart], config: TrainingConfig
) -> tuple[Source, ...]:
    if config.recipe is not RecipeName.SEMI_SUPERVISED:
        return ()
    return tuple(
        source
        for part in parts
        for source in load_unlabelled(part.unlabelled, config, part.spacing_um)
    )


def _notes(part: RunPart, several: bool) -> tuple[str, ...]:
    """Return what was assumed of a folder, by its name where there are several."""
    notes = part.folder.notes
    return tuple(f"{part.name}: {note}" for note in notes) if several else notes


def _classes(items: list[DataItem]) -> tuple[str, ...]:
    names = {item.class_name for item in items if item.class_name is not None}
    return tuple(sorted(names)) if len(names) > 1 else ()


def describe_division(
    train: tuple[DataItem, ...],
    validation: tuple[DataItem, ...],
    config: TrainingConfig,
) -> dict[str, Any]:
    """Return the card's entry of a run's split, with a hash of who is on which side."""
    return {
        "from": config.split,
        "seed": config.seed if config.split_seed is None else config.split_seed,
        "validation_fraction": config.validation_fraction,
        **({"folds": config.folds, "fold": config.fold} if config.folds else {}),
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
