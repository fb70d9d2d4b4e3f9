"""Fit the domain guard of finished weights: what their training images look like."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from napari_segmoe.data.folder import stated_spacing_um
from napari_segmoe.data.images import read_image
from napari_segmoe.data.splits import DataItem
from napari_segmoe.errors import TrainingError
from napari_segmoe.inference.asked_image import AskedImage, ask_about
from napari_segmoe.inference.domain_guard import blocks_of, pool_block
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.models.card import DomainCard, WeightsCard
from napari_segmoe.models.domain_guard import DomainGuard
from napari_segmoe.models.network import SegmentationNetwork
from napari_segmoe.models.weights import load_weights, replace_guard
from napari_segmoe.training.augmentation import augment_intensity
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.run_parts import read_parts
from napari_segmoe.training.stain import augment_stain
from napari_segmoe.types import Modality

COMPONENTS = 24
FALSE_ALARMS = 0.05
_FOLDS = 5
_LEAST = 3
_MOST_IMAGES = 400

logger = logging.getLogger(__name__)

Rows = NDArray[np.float32]
Change = Callable[[torch.Tensor], torch.Tensor]


def fit_domain(
    network: WindowNetwork,
    items: Sequence[DataItem],
    validation: Sequence[DataItem],
    *,
    assumed_um: Mapping[str, float | None] | None = None,
    seed: int = 0,
    on_progress: Callable[[int], None] | None = None,
) -> WeightsCard:
    """Attach a fitted domain guard to the network; return its card, which it keeps.

    To be called last before weights are written: the guard's tensors are then part of
    ``network.model.state_dict()``, and the card says how to read them.

    Parameters
    ----------
    network : WindowNetwork
        Of weights that are final; no tensor of theirs changes.
    items, validation : sequence of DataItem
        Training and validation images of the weights; masks are not read. Of more
        than 400 training images some are taken, evenly.
    assumed_um : mapping of str to float, optional
        Pixel size of images that state none, by the item's name; by default the
        card's.
    seed : int
        Draws augmentation and divides the training images into folds, by group.
    on_progress : callable, optional
        Told the number of images done.

    Raises
    ------
    TooFewImagesError
        If fewer than three parts of training images show anything.

    Notes
    -----
    The domain is what training shows the network: each window as it is, once under
    the augmentation of intensities, and once so and blurred as by fewer pixels. The
    limit is the score that one in twenty of these exceeds: validation images as they
    are, and what training shows under guards that were fitted without its fold.
    """
    items = _some(items)
    train: list[_Block] = []
    unseen: list[_Block] = []
    for done, item in enumerate((*items, *validation)):
        is_training = done < len(items)
        asked = show_item(network, item, (assumed_um or {}).get(item.name))
        found = _read(network, asked, item, [seed, done], is_training=is_training)
        (train if is_training else unseen).extend(found)
        if on_progress is not None:
            on_progress(done + 1)
    if len(train) < _LEAST:
        raise TooFewImagesError(
            f"{len(train)} parts of the training images show anything; a domain guard"
            f" needs at least {_LEAST}. Train on more images."
        )
    scores = _left_out_scores(train, seed)
    model = network.model
    assert isinstance(model, SegmentationNetwork), "every registered network is one"
    guard = model.attach_domain_guard(train[0].as_is.shape[1], COMPONENTS)
    guard.fill(_stack(train))
    scores += [_score(guard, one.as_is) for one in unseen]
    limit = round(float(np.quantile(scores, 1 - FALSE_ALARMS)), 4)
    guard.to(network.device)
    domain = DomainCard(
        features=len(guard.centre),
        components=COMPONENTS,
        limit=limit,
        images=len(items),
        false_alarms=round(float(np.mean(np.array(scores) > limit)), 4),
    )
    network.card = network.card.model_copy(update={"domain": domain})
    return network.card


def fit_run_domain(network: WindowNetwork, config: TrainingConfig) -> WeightsCard:
    """Fit the domain guard on the images of a run; see `fit_domain`.

    Parameters
    ----------
    network : WindowNetwork
        Of the run's weights.
    config : TrainingConfig
        The run's.
    """
    parts = read_parts(config)
    assumed = {
        item.name: part.spacing_um
        for part in parts
        for item in (*part.train, *part.validation)
    }
    return fit_domain(
        network,
        [item for part in parts for item in part.train],
        [item for part in parts for item in part.validation],
        assumed_um=assumed,
        seed=config.seed,
    )


def guard_weights(
    path: Path, config: TrainingConfig, device: torch.device
) -> DomainCard | None:
    """Fit the domain guard of a run's weights and add it to their file.

    Returns
    -------
    DomainCard or None
        None where there are too few images to tell what is foreign: the file then
        stays as it is.
    """
    model, card = load_weights(path)
    try:
        found = fit_run_domain(WindowNetwork(model, card, device), config).domain
    except TooFewImagesError as error:
        logger.info("%s has no domain guard: %s", path.name, error)
        return None
    assert isinstance(model, SegmentationNetwork), "every registered network is one"
    assert model.domain_guard is not None, "it was fitted just now"
    assert found is not None, "it was fitted just now"
    replace_guard(path, model.domain_guard, found)
    return found


def show_item(
    network: WindowNetwork, item: DataItem, assumed_um: float | None = None
) -> AskedImage:
    """Give the network an image of a data folder, as scoring does; no mask is read."""
    image, card = read_image(item.image_path), network.card
    stated = stated_spacing_um(item)
    if stated is None and image.spacing_um is None:
        stated = assumed_um
    spacing = image.spacing_um if stated is None else (stated, stated)
    asked = ask_about(
        card, image.pixels, spacing if card.spacing_um else None, card.modality
    )
    network.set_image(asked.seen)
    return asked


class TooFewImagesError(TrainingError):
    """Too little to say what the training images look like."""


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """What the guard sees of a part of an image: pooled maps of its windows, (W, D)."""

    group: str
    as_is: Rows
    changed: tuple[Rows, ...]


def _some(items: Sequence[DataItem]) -> list[DataItem]:
    step = max(len(items) / _MOST_IMAGES, 1.0)
    return [items[int(i * step)] for i in range(int(len(items) / step))]


def _read(
    network: WindowNetwork,
    asked: AskedImage,
    item: DataItem,
    seed: list[int],
    *,
    is_training: bool,
) -> Iterator[_Block]:
    """Give the parts of the image that the network has."""
    rng = np.random.default_rng(seed)
    tissue = network.card.modality is Modality.HISTOLOGY
    augment = augment_stain if tissue else augment_intensity
    changes: tuple[Change, ...] = (
        lambda image: augment(image, rng).clamp(0, 1),
        lambda image: _coarsen(augment(image, rng).clamp(0, 1), rng),
    )
    for windows in blocks_of(asked, network.card.input_px).values():
        as_is = pool_block(network, windows)
        if as_is is not None:
            changed = [
                pool_block(network, windows, change=change)
                for change in (changes if is_training else ())
            ]
            yield _Block(
                item.group, as_is, tuple(rows for rows in changed if rows is not None)
            )


def _coarsen(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Return half of the images, (3, n, n), as if they had fewer pixels."""
    if rng.random() < 0.5:
        return image
    side = image.shape[-1]
    fewer = max(int(side * rng.uniform(0.35, 0.8)), 1)
    small = F.interpolate(
        image[None], size=(fewer, fewer), mode="bilinear", antialias=True
    )
    return F.interpolate(small, size=(side, side), mode="bilinear")[0]


def _left_out_scores(train: Sequence[_Block], seed: int) -> list[float]:
    """Return the scores of all blocks under guards fitted without their fold."""
    groups = sorted({one.group for one in train})
    order = np.random.default_rng(seed).permutation(len(groups))
    fold = {groups[place]: rank % _FOLDS for rank, place in enumerate(order)}
    scores: list[float] = []
    for number in range(_FOLDS):
        kept = [one for one in train if fold[one.group] != number]
        if len(kept) < _LEAST:
            continue
        guard = DomainGuard(train[0].as_is.shape[1], COMPONENTS)
        guard.fill(_stack(kept))
        for one in train:
            if fold[one.group] == number:
                scores += [_score(guard, rows) for rows in (one.as_is, *one.changed)]
    return scores


def _stack(blocks: Sequence[_Block]) -> torch.Tensor:
    rows = [some for one in blocks for some in (one.as_is, *one.changed)]
    return torch.from_numpy(np.concatenate(rows))


@torch.inference_mode()
def _score(guard: DomainGuard, rows: Rows) -> float:
    return float(guard(torch.from_numpy(rows)).mean())
