"""Which training images are learnt from with their masks: a share, or a list."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from napari_segmoe.data.splits import DataItem
from napari_segmoe.errors import ConfigError
from napari_segmoe.training.config import RecipeName, TrainingConfig


def uses_some_masks(config: TrainingConfig) -> bool:
    """Whether a run reads only some of the training images' masks."""
    semi = config.recipe is RecipeName.SEMI_SUPERVISED
    return semi or config.label_fraction < 1 or bool(config.labelled_list)


def choose_labelled(
    items: Sequence[DataItem], config: TrainingConfig
) -> tuple[tuple[DataItem, ...], tuple[DataItem, ...]]:
    """Divide the training images of a folder into labelled and unlabelled ones.

    Parameters
    ----------
    items : sequence of DataItem
        The training images.
    config : TrainingConfig
        Its ``labelled_list`` or ``label_fraction`` and ``seed``; every recipe labels
        the same images by them, and more by a larger share.

    Returns
    -------
    (labelled, unlabelled) : tuples of DataItem
        The masks of the first are read, those of the second are not.

    Raises
    ------
    ConfigError
        If a share leaves no labelled image, or the list is unusable.
    """
    if config.labelled_list and config.label_fraction < 1:
        raise ConfigError(
            "labelled_list and label_fraction both say which images are labelled. Give"
            " one of them."
        )
    able = [item for item in items if item.mask_path is not None]
    if config.labelled_list:
        chosen = _listed(able, items, config)
    else:
        chosen = _drawn(able, config)
    labelled = tuple(item for item in items if item.name in chosen)
    return labelled, tuple(item for item in items if item.name not in chosen)


def check_labelled(
    labelled: Sequence[Sequence[DataItem]], config: TrainingConfig
) -> None:
    """Refuse a list that leaves no labelled image in any folder.

    Raises
    ------
    ConfigError
        If it does.
    """
    if config.labelled_list and not any(labelled):
        path = _find_list(config)
        raise ConfigError(
            f"None of the {len(_read_list(path))} names in {path.name} is a training"
            " image of this run. Write file names as in labels.csv, one a line; images"
            " of the validation part do not count."
        )


def _drawn(items: Sequence[DataItem], config: TrainingConfig) -> Collection[str]:
    """Return names: a share of each class, group after group.

    The last group of a class may be labelled in part, so that the shares are exact.
    """
    wanted = round(config.label_fraction * len(items))
    if not wanted:
        least = f" At least {1 / len(items):.3g} is needed." if items else ""
        raise ConfigError(
            f"label_fraction {config.label_fraction:g} leaves no labelled image of"
            f" {len(items)} training images with a mask.{least}"
        )
    by_class: dict[str, list[DataItem]] = defaultdict(list)
    for item in items:
        by_class[item.class_name or ""].append(item)
    rank = _group_ranks(items, config.seed)
    counts = _shares({name: len(ones) for name, ones in by_class.items()}, wanted)
    chosen: set[str] = set()
    for name, ones in by_class.items():
        ordered = sorted(ones, key=lambda item: rank[item.group])
        chosen |= {item.name for item in ordered[: counts[name]]}
    return chosen


def _group_ranks(items: Sequence[DataItem], seed: int) -> dict[str, int]:
    groups = sorted({item.group for item in items})
    order = np.random.default_rng([seed, 3]).permutation(len(groups))
    return {groups[index]: rank for rank, index in enumerate(order)}


def _shares(sizes: dict[str, int], wanted: int) -> dict[str, int]:
    """Return how many of each class: by size, but one of each where possible."""
    total = sum(sizes.values())
    exact = {name: wanted * size / total for name, size in sizes.items()}
    least = int(wanted >= len(sizes))
    counts = {name: max(int(share), least) for name, share in exact.items()}
    while (missing := wanted - sum(counts.values())) != 0:
        step = 1 if missing > 0 else -1
        able = [name for name in sorted(sizes) if step > 0 or counts[name] > least]
        furthest = max(able, key=lambda name: step * (exact[name] - counts[name]))
        counts[furthest] += step
    return counts


def _listed(
    able: Sequence[DataItem], items: Sequence[DataItem], config: TrainingConfig
) -> Collection[str]:
    path = _find_list(config)
    names = _read_list(path)
    by_name = {item.name: item for item in items}
    by_name |= {item.image_path.name: item for item in items}
    masked = {item.name for item in able}
    chosen = {by_name[name].name for name in names if name in by_name}
    bare = sorted(chosen - masked)
    if bare:
        raise ConfigError(
            f"{path.name} lists {bare[0]}, which has no mask ({len(bare)} of"
            f" {len(names)} have none). Add the mask, or take it off the list."
        )
    return chosen


def _find_list(config: TrainingConfig) -> Path:
    given = Path(config.labelled_list)
    for path in (given, config.data / given):
        if path.is_file():
            return path
    raise ConfigError(
        f"There is no file {config.labelled_list}, here or in the data folder. Write"
        " one with the labelled images' names, one a line."
    )


def _read_list(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path.name} is not readable as text: {error}. Save it as UTF-8, a name a"
            " line."
        ) from error
    names = (line.strip() for line in lines)
    return [name for name in names if name and not name.startswith("#")]
