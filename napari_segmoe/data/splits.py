"""Splits of a data folder: choose one, make one, name its leaks and its fingerprint."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from napari_segmoe.errors import SplitError


@dataclass(frozen=True, slots=True)
class DataItem:
    """One image of a data folder.

    Attributes
    ----------
    name : str
        Stem of the image's file name.
    image_path, mask_path : Path, Path or None
        Where they are; None without masks.
    class_name : str or None
        Class of the image, if known.
    split : str
        "train", "test" and so on; "all" without ``labels.csv``.
    group : str
        Patient, video or near-duplicates: never on two sides of a split.
    extra : mapping of str to str
        The other columns of ``labels.csv``.
    """

    name: str
    image_path: Path
    mask_path: Path | None = None
    class_name: str | None = None
    split: str = "all"
    group: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)


def select_splits(items: Sequence[DataItem], split: str | None) -> tuple[DataItem, ...]:
    """Return the items of the splits named, separated by commas; None takes all.

    Raises
    ------
    SplitError
        If a name fits no split.
    """
    if split is None:
        return tuple(items)
    known = sorted({item.split for item in items})
    wanted: set[str] = set()
    for name in (part.strip() for part in split.split(",")):
        fitting = {
            one
            for one in known
            if one == name or (name == "test" and one.startswith(name))
        }
        if not fitting:
            raise SplitError(
                f"There is no split {name!r}; this folder has {', '.join(known)}. "
                "Choose one of them."
            )
        wanted |= fitting
    return tuple(item for item in items if item.split in wanted)


def split_groups(
    items: Sequence[DataItem], fraction: float, seed: int
) -> tuple[tuple[DataItem, ...], tuple[DataItem, ...]]:
    """Divide items into training and validation, whole groups at a time.

    Parameters
    ----------
    items : sequence of DataItem
        At least two groups.
    fraction : float
        Share of each class's items that goes to validation, between 0 and 1.
    seed : int
        Same items and seed, same division.

    Returns
    -------
    (training, validation) : tuples of DataItem
        In the order of ``items``; no group is on both sides.

    Raises
    ------
    SplitError
        If the fraction is out of range or there are too few groups.
    """
    if not 0 < fraction < 1:
        raise SplitError(f"The validation share is {fraction}; expected 0 < share < 1.")
    classes: dict[str, list[str | None]] = defaultdict(list)
    for item in items:
        classes[item.group].append(item.class_name)
    if len(classes) < 2:
        raise SplitError(
            f"There are {len(classes)} groups; a split needs two. Add images, or give "
            "them their own groups."
        )
    chosen = _choose_groups(classes, fraction, seed)
    training = tuple(item for item in items if item.group not in chosen)
    validation = tuple(item for item in items if item.group in chosen)
    check_disjoint(training, validation)
    return training, validation


def fold_groups(
    items: Sequence[DataItem], folds: int, fold: int, seed: int
) -> tuple[tuple[DataItem, ...], tuple[DataItem, ...]]:
    """Divide items into folds, whole groups at a time, and hold one fold out.

    Parameters
    ----------
    items : sequence of DataItem
        At least as many groups as folds.
    folds : int
        How many; each item is held out in exactly one.
    fold : int
        Which one is held out, from 0.
    seed : int
        Same items and seed, same folds.

    Returns
    -------
    (training, validation) : tuples of DataItem
        In the order of ``items``; folds hold about the same share of each class.

    Raises
    ------
    SplitError
        If there are fewer groups than folds, or no such fold.
    """
    if not 0 <= fold < folds or folds < 2:
        raise SplitError(
            f"There is no fold {fold} of {folds}; expected 0 to {folds - 1}."
        )
    classes: dict[str, list[str | None]] = defaultdict(list)
    for item in items:
        classes[item.group].append(item.class_name)
    if len(classes) < folds:
        raise SplitError(
            f"There are {len(classes)} groups for {folds} folds. Take fewer folds, or"
            " give images their own groups."
        )
    chosen = _deal_groups(classes, folds, seed)[fold]
    training = tuple(item for item in items if item.group not in chosen)
    validation = tuple(item for item in items if item.group in chosen)
    check_disjoint(training, validation)
    return training, validation


def check_disjoint(first: Sequence[DataItem], second: Sequence[DataItem]) -> None:
    """Refuse two sides that are empty or share a group.

    Raises
    ------
    SplitError
        If a side is empty or a group is on both.
    """
    if not first or not second:
        raise SplitError(
            "One side of the split is empty. Change the share, or add images."
        )
    shared = sorted({item.group for item in first} & {item.group for item in second})
    if shared:
        raise SplitError(
            f"Group {shared[0]!r} is on two sides of the split ({len(shared)} groups "
            "are); a group must stay on one. Change the split column."
        )


def leaky_groups(items: Sequence[DataItem]) -> tuple[tuple[str, ...], int]:
    """Return the groups that are on two sides, and how many groups there are.

    Splits whose names begin with "test" are one side.
    """
    sides: dict[str, set[str]] = defaultdict(set)
    for item in items:
        side = "test" if item.split.startswith("test") else item.split
        sides[item.group].add(side)
    leaky = tuple(sorted(group for group, names in sides.items() if len(names) > 1))
    return leaky, len(sides)


def split_hash(items: Sequence[DataItem]) -> str:
    """Return a sha256 of the names in each split, whatever their order."""
    lines = sorted(f"{item.split}\t{item.name}\n" for item in items)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _deal_groups(
    classes: Mapping[str, list[str | None]], folds: int, seed: int
) -> list[set[str]]:
    """Return the groups of each fold: the largest first, to the emptiest fold."""
    random = np.random.default_rng(seed)
    dealt: list[set[str]] = [set() for _ in range(folds)]
    items = [0] * folds
    for groups in _strata(classes).values():
        own = [0] * folds
        order = [groups[index] for index in random.permutation(len(groups))]
        for group in sorted(order, key=lambda name: -len(classes[name])):
            place = min(range(folds), key=lambda one: (own[one], items[one]))
            dealt[place].add(group)
            own[place] += len(classes[group])
            items[place] += len(classes[group])
    return dealt


def _strata(classes: Mapping[str, list[str | None]]) -> dict[str, list[str]]:
    """Return the groups by the class that most of their items have, sorted."""
    strata: dict[str, list[str]] = defaultdict(list)
    for group in sorted(classes):
        counts = Counter(name or "" for name in classes[group])
        strata[max(sorted(counts), key=lambda name: counts[name])].append(group)
    return {name: strata[name] for name in sorted(strata)}


def _choose_groups(
    classes: Mapping[str, list[str | None]], fraction: float, seed: int
) -> set[str]:
    """Return groups that hold about ``fraction`` of each class's items."""
    random = np.random.default_rng(seed)
    chosen: set[str] = set()
    for groups in _strata(classes).values():
        wanted = fraction * sum(len(classes[group]) for group in groups)
        taken = 0
        for index in random.permutation(len(groups)):
            size = len(classes[groups[index]])
            if taken + size / 2 <= wanted:
                chosen.add(groups[index])
                taken += size
    if not chosen:  # each class is too small for its share
        chosen.add(sorted(classes)[int(random.integers(len(classes)))])
    return chosen
