"""The images of a run, and the card of the weights that come of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from napari_segmoe.data.splits import DataItem, split_hash
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.prompt_stem import PROMPT_CHANNELS
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.run_parts import (
    RunPart,
    assumed_spacing_um,
    describe_data,
    describe_leak,
    describe_leaks,
    divide_items,
    read_parts,
)
from napari_segmoe.training.sources import Source, load_sources
from napari_segmoe.training.spaced_sources import load_spaced_sources

__all__ = ["RunData", "describe_leak", "divide_items", "load_run_data"]


@dataclass(frozen=True, slots=True, eq=False)
class RunData:
    """Training and validation images with their classes.

    ``classes`` are those of the image head, ``object_classes`` those of the region
    head (all but the empty class); ``described`` is the card's entry of the data.
    """

    train: tuple[Source, ...]
    validation: tuple[Source, ...]
    classes: tuple[str, ...]
    object_classes: tuple[str, ...]
    split: dict[str, Any]
    notes: tuple[str, ...]
    described: dict[str, Any]

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
            assumed_spacing_um=assumed_spacing_um(config),
            input_px=config.input_px,
            prompt_channels=PROMPT_CHANNELS,
            seed=config.seed,
            data=self.described,
            split=self.split,
            training=config.model_dump(
                mode="json", exclude={"data", "more_data", "out", "title", "licence"}
            ),
            metrics={"validation": validation} if validation else {},
            licence=config.licence,
        )


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
    train = tuple(item for part in parts for item in part.train)
    validation = tuple(item for part in parts for item in part.validation)
    classes = _classes([*train, *validation])
    object_classes = tuple(name for name in classes if name != config.empty_class)
    if not config.image_head:
        classes = ()
    if not config.object_head:
        object_classes = ()
    loads = [_loader(part, config, classes, object_classes) for part in parts]
    pairs = tuple(zip(parts, loads, strict=True))
    return RunData(
        train=tuple(one for part, load in pairs for one in load(part.train)),
        validation=tuple(one for part, load in pairs for one in load(part.validation)),
        classes=classes,
        object_classes=object_classes if len(object_classes) > 1 else (),
        split=_describe_split(train, validation, config) | describe_leaks(parts),
        notes=tuple(note for part in parts for note in _notes(part, len(parts) > 1)),
        described=describe_data(parts),
    )


def _loader(
    part: RunPart,
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
        data_spacing_um=part.spacing_um,
        kind=part.folder.mask_kind,
    )


def _notes(part: RunPart, several: bool) -> tuple[str, ...]:
    """Return what was assumed of a folder, by its name where there are several."""
    notes = part.folder.notes
    return tuple(f"{part.name}: {note}" for note in notes) if several else notes


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
