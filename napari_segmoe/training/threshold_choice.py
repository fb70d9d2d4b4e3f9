"""Choose a mask threshold on images that are not the scored ones."""

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from napari_segmoe.data.folder import DataFolder, DataItem
from napari_segmoe.data.splits import split_groups, split_hash
from napari_segmoe.errors import ConfigError
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.inference.predictor import SegmentationPredictor
from napari_segmoe.training.cases import ScoredPredictor, ScoringProgress, read_case
from napari_segmoe.training.image_scores import THRESHOLD, ask_for_everything
from napari_segmoe.training.metrics import measure_overlap

CARVED = "validation"
CANDIDATES = tuple(round(0.05 * step, 2) for step in range(2, 19))  # 0.10 to 0.90


def with_settings(predictor: Any, **settings: Any) -> Any:
    """Return a predictor of the same network with other settings on its card.

    Parameters
    ----------
    predictor : ScoredPredictor
        A stand-in that has no network is returned as it is.
    **settings
        Fields of the card, such as ``mask_threshold`` or ``part_below``.
    """
    if not isinstance(predictor, SegmentationPredictor):
        return predictor
    network = predictor.network
    card = network.card.model_copy(update=settings)
    return SegmentationPredictor(WindowNetwork(network.model, card, network.device))


def choosing_items(
    folder: DataFolder, card: Any, source: str, scored: Sequence[DataItem]
) -> tuple[DataItem, ...]:
    """Return the images of a split to choose on; none of them is scored.

    Parameters
    ----------
    folder : DataFolder
        The data that are scored.
    card : WeightsCard
        Tells how the weights' own validation images were carved from their split.
    source : str
        A split of the folder or, where it has no such split, "validation": those
        images that the weights were not trained on.
    scored : sequence of DataItem
        The images that are scored.

    Raises
    ------
    ConfigError
        If the split is not there, or shares an image with those that are scored.
    """
    known = {item.split for item in folder.items}
    if source == CARVED and CARVED not in known:
        items = _carved(folder, card)
    elif source in known or any(str(name).startswith(source) for name in known):
        items = folder.select(source)
    else:
        raise ConfigError(
            f"There is no split {source!r} to choose the threshold on; there are:"
            f" {', '.join(sorted(filter(None, known)))}."
        )
    shared = {item.name for item in items} & {item.name for item in scored}
    if shared:
        raise ConfigError(
            f"The threshold cannot be chosen on {source!r}: it holds"
            f" {len(shared)} of the scored images. Name another split."
        )
    return items


def choose_threshold(
    predictor: ScoredPredictor, folder: DataFolder, items: Sequence[DataItem]
) -> Generator[ScoringProgress, None, dict[str, Any]]:
    """Find the threshold at which the mean Dice of images is best.

    Parameters
    ----------
    predictor : ScoredPredictor
        Asked once about each image.
    folder, items
        The images to choose on.

    Yields
    ------
    ScoringProgress
        After each image.

    Returns
    -------
    dict
        "threshold", its "dice" there, "dice_at_half", and "n": the images with an
        object, which alone count. Of equal thresholds the one nearest to 0.5.

    Raises
    ------
    ConfigError
        If no image has an object.
    """
    rows = []
    for done, item in enumerate(items, start=1):
        case = read_case(item, folder.mask_kind)
        if case.truth.any():
            found = ask_for_everything(predictor, case).probability
            rows.append(
                [measure_overlap(found >= at, case.truth).dice for at in CANDIDATES]
            )
        yield ScoringProgress(done, len(items), item.name)
    if not rows:
        raise ConfigError("No image to choose the threshold on has an object.")
    dice = np.mean(rows, axis=0)
    best = max(
        range(len(CANDIDATES)),
        key=lambda k: (round(dice[k], 9), -abs(CANDIDATES[k] - THRESHOLD)),
    )
    return {
        "threshold": CANDIDATES[best],
        "dice": float(dice[best]),
        "dice_at_half": float(dice[CANDIDATES.index(THRESHOLD)]),
        "n": len(rows),
    }


def _carved(folder: DataFolder, card: Any) -> tuple[DataItem, ...]:
    """Carve the weights' validation images again, and check that they are the same."""
    split, training = dict(card.split), dict(card.training)
    excluded = training.get("exclude") or {}
    kept = [
        item
        for item in folder.select(split.get("from", "train"))
        if all(item.extra.get(name) != value for name, value in excluded.items())
    ]
    fraction, seed = split.get("validation_fraction"), split.get("seed")
    if fraction is None or seed is None:
        raise ConfigError(
            f"The card of {card.name} does not say which images it was validated on,"
            " and the data has no validation split. Name a split."
        )
    train, validation = split_groups(kept, fraction, seed)
    marked = [
        *(replace(item, split="train") for item in train),
        *(replace(item, split=CARVED) for item in validation),
    ]
    if split_hash(marked) != split.get("sha256"):
        raise ConfigError(
            f"{card.name} was not trained on this folder as it is now, so its"
            " validation images cannot be found again. Name a split of the folder."
        )
    return tuple(validation)
