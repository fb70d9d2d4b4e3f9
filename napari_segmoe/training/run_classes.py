"""The classes that the masks of a run tell apart."""

from collections.abc import Sequence
from dataclasses import dataclass

from napari_segmoe.data.mask_classes import (
    LEFT_OUT,
    NOT_KNOWN,
    MaskClasses,
    choose_classes,
)
from napari_segmoe.data.masks import MaskKind
from napari_segmoe.errors import ConfigError
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.run_parts import RunPart


@dataclass(frozen=True, slots=True)
class RunClasses:
    """What the masks of a run's data folders mean.

    Attributes
    ----------
    names : tuple of str
        Class 1, class 2, ...; empty where the masks tell fewer than two apart.
    of_parts : tuple of MaskClasses or None
        Of each data folder; None where its masks only say what is foreground.
    """

    names: tuple[str, ...]
    of_parts: tuple[MaskClasses | None, ...]


def find_run_classes(parts: Sequence[RunPart], config: TrainingConfig) -> RunClasses:
    """Return the classes of a run's masks, merged as configured.

    Raises
    ------
    ConfigError
        If classes are to be merged but the masks have none.
    DataFolderError
        If a class to be merged is none of the masks' classes.
    """
    named = [_names(part, config) for part in parts]
    every = tuple(dict.fromkeys(name for names in named for name in names))
    if not every:
        if config.merge_classes:
            raise ConfigError(
                "merge_classes needs masks whose values are named classes. Name them"
                " in classes.csv or by mask_classes."
            )
        return RunClasses((), (None,) * len(parts))
    wanted = choose_classes(every, config.merge_classes).names
    if len(wanted) < 2:
        return RunClasses((), (None,) * len(parts))
    return RunClasses(
        wanted,
        tuple(
            choose_classes(
                names,
                {old: new for old, new in config.merge_classes.items() if old in names},
                wanted=wanted,
            )
            if names
            else None
            for names in named
        ),
    )


def _names(part: RunPart, config: TrainingConfig) -> tuple[str, ...]:
    """Return the names of a folder's values; its own, or the configured ones."""
    if part.folder.mask_kind is None or part.folder.mask_kind is MaskKind.EMPTY:
        return ()
    return config.mask_classes or part.folder.mask_classes


def describe_merges(config: TrainingConfig) -> tuple[str, ...]:
    """Return a sentence for what was merged or left out."""
    if not config.merge_classes:
        return ()
    told = []
    for old, new in config.merge_classes.items():
        if new == LEFT_OUT:
            told.append(f"{old} counts as background")
        elif new == NOT_KNOWN:
            told.append(f"{old} is left out")
        else:
            told.append(f"{old} counts as {new}")
    return (f"Classes: {'; '.join(told)}.",)
