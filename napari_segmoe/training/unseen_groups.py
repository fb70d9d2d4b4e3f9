"""Which patients weights have not learnt from, where a published split leaks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from napari_segmoe.data.folder import DataFolder
from napari_segmoe.data.splits import DataItem
from napari_segmoe.errors import SegmoeError
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.run_data import describe_division
from napari_segmoe.training.run_parts import divide_items

_SETTINGS = {"from": "split", "seed": "split_seed"}
_SAME = ("validation_fraction", "folds", "fold")


class TrainedWeights(Protocol):
    """What a card says of its training data."""

    @property
    def data(self) -> Mapping[str, Any]:
        """The data folders, by name."""
        ...

    @property
    def split(self) -> Mapping[str, Any]:
        """How validation was carved."""
        ...


def unseen_groups(
    folder: DataFolder, items: Sequence[DataItem], card: TrainedWeights
) -> frozenset[str] | None:
    """Return the groups of scored images that the weights have not learnt from.

    Class figures of other images would flatter: the patient was seen in training. The
    division of the training data is a function of what the card says of it, so it is
    made again and held against the card's hash. Where it cannot be, every group that
    occurs in another split counts as learnt from.

    Parameters
    ----------
    folder : DataFolder
        Its published split may have a group on two sides.
    items : sequence of DataItem
        The images that are scored.
    card : TrainedWeights
        The weights' card.

    Returns
    -------
    frozenset of str or None
        None where nothing leaks, or the weights learnt from other data.
    """
    scored = {item.group for item in items}
    splits = {item.split for item in items}
    elsewhere = {item.group for item in folder.items if item.split not in splits}
    names = str(card.data.get("folder", "")).split(" + ")
    if not scored & elsewhere or folder.path.name not in names:
        return None
    learnt = _trained_groups(folder, card.split)
    return frozenset(scored - (elsewhere if learnt is None else learnt))


def _trained_groups(folder: DataFolder, split: Mapping[str, Any]) -> set[str] | None:
    """Return the groups of a card's training part; None: not those of this folder."""
    known = {new: split[old] for old, new in _SETTINGS.items() if old in split}
    known |= {name: split[name] for name in _SAME if name in split}
    try:
        config = TrainingConfig(data=folder.path, out=Path("unused"), **known)
        train, validation = divide_items(folder, config)
    except (SegmoeError, ValueError):
        return None
    made = describe_division(train, validation, config)
    if made["sha256"] != split.get("sha256"):
        return None
    return {item.group for item in train}
