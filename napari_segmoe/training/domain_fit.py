"""Fit the domain guard of finished weights: what their training images look like."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

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

COMPONENTS = 24
FALSE_ALARMS = 0.05
_FOLDS = 5

Rows = NDArray[np.float32]


def fit_domain(
    network: WindowNetwork,
    items: Sequence[DataItem],
    validation: Sequence[DataItem],
    *,
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
        Training and validation images of the weights; masks are not read.
    seed : int
        Divides the training images into folds, by group.
    on_progress : callable, optional
        Told the number of images done.

    Raises
    ------
    TrainingError
        If fewer than three training images show anything.

    Notes
    -----
    The limit is the score that one in twenty of these images exceeds: validation
    images, and training images under guards fitted without their fold.
    """
    done = 0

    def pooled(some: Sequence[DataItem]) -> Iterator[tuple[str, Rows]]:
        nonlocal done
        for item in some:
            rows = list(_blocks(network, item))
            yield from ((item.group, one) for one in rows)
            done += 1
            if on_progress is not None:
                on_progress(done)

    train, unseen = list(pooled(items)), list(pooled(validation))
    if len(train) < 3:
        raise TrainingError(
            f"{len(train)} training images show anything; a domain guard needs at least"
            " three. Train on more images."
        )
    scores = _left_out_scores(train, seed)
    model = network.model
    assert isinstance(model, SegmentationNetwork), "every registered network is one"
    guard = model.attach_domain_guard(train[0][1].shape[1], COMPONENTS)
    guard.fill(_stack(train))
    scores += [_score(guard, rows) for _, rows in unseen]
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


def show_item(network: WindowNetwork, item: DataItem) -> AskedImage:
    """Give the network an image of a data folder, as scoring does; no mask is read."""
    image, card = read_image(item.image_path), network.card
    stated = stated_spacing_um(item)
    spacing = image.spacing_um if stated is None else (stated, stated)
    asked = ask_about(
        card, image.pixels, spacing if card.spacing_um else None, card.modality
    )
    network.set_image(asked.seen)
    return asked


def _blocks(network: WindowNetwork, item: DataItem) -> Iterator[Rows]:
    asked = show_item(network, item)
    for windows in blocks_of(asked, network.card.input_px).values():
        pooled = pool_block(network, windows)
        if pooled is not None:
            yield pooled


def _left_out_scores(train: Sequence[tuple[str, Rows]], seed: int) -> list[float]:
    """Return the score of each block under a guard that was fitted without its fold."""
    groups = sorted({group for group, _ in train})
    order = np.random.default_rng(seed).permutation(len(groups))
    fold = {groups[place]: rank % _FOLDS for rank, place in enumerate(order)}
    scores: list[float] = []
    for number in range(min(_FOLDS, len(groups))):
        kept = [one for one in train if fold[one[0]] != number]
        if len(kept) < 3:
            continue
        guard = DomainGuard(train[0][1].shape[1], COMPONENTS)
        guard.fill(_stack(kept))
        left_out = [rows for group, rows in train if fold[group] == number]
        scores += [_score(guard, rows) for rows in left_out]
    return scores


def _stack(found: Sequence[tuple[str, Rows]]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([rows for _, rows in found]))


@torch.inference_mode()
def _score(guard: DomainGuard, rows: Rows) -> float:
    return float(guard(torch.from_numpy(rows)).mean())
