"""The images of a search: several data folders at one size, each divided in three."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_segmoe.data.folder import DataFolder, LeakySplitWarning, read_data_folder
from napari_segmoe.data.images import read_image
from napari_segmoe.data.masks import read_mask
from napari_segmoe.data.splits import DataItem, split_groups
from napari_segmoe.errors import DataFolderError
from napari_segmoe.training.search.config import SearchConfig

_USUAL_SPLIT = "train"
_LEAST_GROUPS = 3


@dataclass(frozen=True, slots=True, eq=False)
class SearchSet:
    """Images of one data folder, all of one size.

    Attributes
    ----------
    name : str
        The folder's name.
    images : Tensor, (N, 3, n, n) uint8
    masks : Tensor, (N, 1, n, n) bool
        Where any object is.
    groups : tuple of str
        Patient, video or near-duplicates of each image.
    """

    name: str
    images: Tensor
    masks: Tensor
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.groups)

    def joined(self, other: "SearchSet") -> "SearchSet":
        """Return the images of two parts of the same folder."""
        return SearchSet(
            self.name,
            torch.cat([self.images, other.images]),
            torch.cat([self.masks, other.masks]),
            self.groups + other.groups,
        )


@dataclass(frozen=True, slots=True, eq=False)
class SearchData:
    """One set a data folder for each of three uses; no group has two uses.

    Attributes
    ----------
    weights, architecture : tuple of SearchSet
        The halves that train weights and what is searched (section III.B.3).
    held_out : tuple of SearchSet
        Scores the networks that are compared; nothing is trained on it.
    notes : tuple of str
        What was assumed or left out, in whole sentences.
    """

    weights: tuple[SearchSet, ...]
    architecture: tuple[SearchSet, ...]
    held_out: tuple[SearchSet, ...]
    notes: tuple[str, ...]

    @property
    def training(self) -> tuple[SearchSet, ...]:
        """Both halves together: what compared networks are trained on."""
        return tuple(
            first.joined(second)
            for first, second in zip(self.weights, self.architecture, strict=True)
        )

    def sizes(self) -> list[dict[str, str | int]]:
        """Return name and number of images of each folder's three parts."""
        return [
            {
                "name": held_out.name,
                "weights": len(weights),
                "architecture": len(architecture),
                "held_out": len(held_out),
            }
            for weights, architecture, held_out in zip(
                self.weights, self.architecture, self.held_out, strict=True
            )
        ]


def load_search_data(config: SearchConfig) -> SearchData:
    """Read all folders, divide each by group, and resize its images.

    Raises
    ------
    DataFolderError
        If a folder is missing, empty or damaged, has no masks, nothing marked, or too
        few groups to be divided in three.
    """
    names = _distinct_names(config.data)
    parts, notes = [], []
    for path, name in zip(config.data, names, strict=True):
        folder = _read_folder(path)
        items = _divide(folder, config)
        parts.append([_load(name, part, config.input_px) for part in items])
        if not any(bool(part.masks.any()) for part in parts[-1]):
            raise DataFolderError(
                f"Nothing is marked in the masks of {path}; a search needs objects."
            )
        notes += [f"{name}: {note}" for note in folder.notes]
    weights, architecture, held_out = zip(*parts, strict=True)
    return SearchData(weights, architecture, held_out, tuple(notes))


def _read_folder(path: Path) -> DataFolder:
    """Read a folder; that its published split leaks is no matter, ours is by group."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeakySplitWarning)
        return read_data_folder(path)


def _distinct_names(paths: Sequence[Path]) -> list[str]:
    names: list[str] = []
    for path in paths:
        name, number = path.resolve().name, 1
        while name in names:
            number += 1
            name = f"{path.resolve().name}-{number}"
        names.append(name)
    return names


def _divide(
    folder: DataFolder, config: SearchConfig
) -> tuple[Sequence[DataItem], Sequence[DataItem], Sequence[DataItem]]:
    items = _choose(folder, config)
    if any(item.mask_path is None for item in items):
        raise DataFolderError(
            f"{folder.path} has no masks, so nothing is learnt from it. Add masks/."
        )
    groups = {item.group for item in items}
    if len(groups) < _LEAST_GROUPS:
        raise DataFolderError(
            f"{folder.path} has {len(items)} images in {len(groups)} groups; a search"
            f" needs at least {_LEAST_GROUPS} groups, for weights, architecture and"
            " score. Add images."
        )
    training, held_out = split_groups(items, config.held_out_fraction, config.seed)
    if len({item.group for item in training}) < _LEAST_GROUPS - 1:
        raise DataFolderError(
            f"{folder.path} leaves {len(training)} images of one group to search on;"
            " two groups are needed. Lower held_out_fraction, or add images."
        )
    weights, architecture = split_groups(training, 0.5, config.seed + 1)
    return weights, architecture, held_out


def _choose(folder: DataFolder, config: SearchConfig) -> tuple[DataItem, ...]:
    splits = {item.split for item in folder.items}
    split = config.split or (_USUAL_SPLIT if _USUAL_SPLIT in splits else None)
    items = folder.select(split)
    if not config.images_per_set or len(items) <= config.images_per_set:
        return items
    rng = np.random.default_rng([config.seed, 0])
    chosen = rng.choice(len(items), size=config.images_per_set, replace=False)
    return tuple(items[index] for index in sorted(chosen))


def _load(name: str, items: Sequence[DataItem], side: int) -> SearchSet:
    pairs = [_read(item, side) for item in items]
    return SearchSet(
        name,
        torch.stack([image for image, _ in pairs]),
        torch.stack([mask for _, mask in pairs]),
        tuple(item.group for item in items),
    )


def _read(item: DataItem, side: int) -> tuple[Tensor, Tensor]:
    pixels = read_image(item.image_path).pixels
    assert item.mask_path is not None, item.name
    mask = read_mask(item.mask_path, pixels.shape[:2]).labels > 0
    image = _resize(pixels if pixels.ndim == 3 else pixels[..., None], side)
    share = _resize(mask[..., None].astype(np.float32), side)
    return (
        image.round().clamp(0, 255).to(torch.uint8).expand(3, -1, -1).contiguous(),
        share >= 0.5,
    )


def _resize(pixels: NDArray, side: int) -> Tensor:
    """Resize (h, w, c) to (c, side, side), averaging where it shrinks."""
    whole = torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32))[None]
    return F.interpolate(whole, size=(side, side), mode="bilinear", antialias=True)[0]
