"""Answers of the base network that a round keeps, without its training images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from napari_segmoe.models.outputs import SegmentationOutput
from napari_segmoe.training.finetune.losses import Heads, expert_heads, main_heads
from napari_segmoe.training.finetune.network import (
    Machine,
    answer,
    stack_images,
    stack_prompts,
)
from napari_segmoe.training.finetune.views import PartialSample
from napari_segmoe.types import Click, Prompts

_LEAST_OBJECT_PX = 60


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What the base network says of a batch.

    Attributes
    ----------
    heads : Heads
    experts : Heads or None
    logits : Tensor, (B, K, n, n), or None
        Where the mask tells classes apart.
    image_scores : Tensor, (B, C), or None
    object_scores : Tensor, (B, C), or None
        Of ``pooled``.
    pooled : Tensor, (B, 1, n, n)
        Its own mask.
    """

    heads: Heads
    experts: Heads | None
    logits: Tensor | None
    image_scores: Tensor | None
    object_scores: Tensor | None
    pooled: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class KeptView:
    """A view whose answer is kept: the question, where it counts, and the answer.

    ``sample.ids`` is -1 where the answer counts and 0 where corrections say otherwise.
    """

    sample: PartialSample
    kept: Kept


@torch.no_grad()
def keep_answers(
    model: nn.Module, samples: Sequence[PartialSample], machine: Machine
) -> list[KeptView]:
    """Ask the base network about samples, a batch at a time."""
    views: list[KeptView] = []
    for first in range(0, len(samples), machine.batch):
        chosen = samples[first : first + machine.batch]
        images = stack_images([one.image for one in chosen]).to(machine.device)
        prompts = stack_prompts(chosen).to(machine.device)
        with machine.autocast():
            output = answer(model, images, prompts)
        kept = _kept(model, output)
        views += [
            KeptView(one, _row(kept, number)) for number, one in enumerate(chosen)
        ]
    return views


def _kept(model: nn.Module, output: SegmentationOutput) -> Kept:
    heads = main_heads(output)
    pooled = (heads.mask > 0).float()
    scores = None
    if getattr(model, "region_head", None) is not None:
        scores = model.classify_region(output, pooled).float()  # type: ignore[operator]
    return Kept(
        heads,
        expert_heads(output),
        output.logits.float() if output.logits.shape[1] > 2 else None,
        None if output.class_logits is None else output.class_logits.float(),
        scores,
        pooled,
    )


def _row(kept: Kept, number: int) -> Kept:
    rows = slice(number, number + 1)
    return Kept(
        _half(kept.heads.rows(rows)),
        None if kept.experts is None else _half(kept.experts.rows(rows)),
        _cut(kept.logits, rows),
        _cut(kept.image_scores, rows),
        _cut(kept.object_scores, rows),
        kept.pooled[rows].bool().cpu(),
    )


def _half(heads: Heads) -> Heads:
    return Heads(
        heads.mask.half().cpu(),
        None if heads.distance is None else heads.distance.half().cpu(),
        None if heads.ring is None else heads.ring.half().cpu(),
    )


def _cut(values: Tensor | None, rows: slice) -> Tensor | None:
    return None if values is None else values[rows].half().cpu()


def with_clicks(
    views: Sequence[KeptView], rng: np.random.Generator, *, share: float
) -> list[PartialSample]:
    """Return samples of views, some with a click on what the base network marked."""
    samples = []
    for view in views:
        sample = view.sample
        if rng.random() < share:
            click = _click_on(view.kept.pooled[0, 0].numpy(), rng)
            if click is not None:
                sample = replace(sample, prompts=Prompts((click,)))
        samples.append(sample)
    return samples


def _click_on(mask: NDArray[np.bool_], rng: np.random.Generator) -> Click | None:
    pieces, count = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel())
    able = [n for n in range(1, count + 1) if sizes[n] >= _LEAST_OBJECT_PX]
    if not able:
        return None
    own = pieces == able[rng.integers(len(able))]
    depth = ndimage.distance_transform_edt(own)
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return Click(float(y), float(x))


def stack_kept(
    views: Sequence[KeptView], turns: Sequence[tuple[int, bool]]
) -> tuple[Tensor, Tensor, Tensor, Kept]:
    """Return images, prompts, what counts, and the answers of views, turned alike.

    Parameters
    ----------
    views : sequence of KeptView
    turns : sequence of (int, bool)
        Quarter turns of each, and whether it is mirrored.

    Returns
    -------
    tuple
        (B, 3, n, n), (B, 5, n, n), (B, 1, n, n) and `Kept`.
    """
    samples = [view.sample for view in views]
    counted = torch.from_numpy(np.stack([one.ids < 0 for one in samples])[:, None])
    kept = [view.kept for view in views]
    return (
        _turned(stack_images([one.image for one in samples]), turns),
        _turned(stack_prompts(samples), turns),
        _turned(counted.float(), turns),
        Kept(
            _stack_heads([one.heads for one in kept], turns),
            None
            if kept[0].experts is None
            else _stack_heads([_known(one.experts) for one in kept], turns),
            _stack_maps([one.logits for one in kept], turns),
            _stack_rows([one.image_scores for one in kept]),
            _stack_rows([one.object_scores for one in kept]),
            _turned(torch.cat([one.pooled for one in kept]).float(), turns),
        ),
    )


def _known(heads: Heads | None) -> Heads:
    assert heads is not None, "all views are of one network"
    return heads


def _stack_heads(heads: Sequence[Heads], turns: Sequence[tuple[int, bool]]) -> Heads:
    return Heads(
        _turned(torch.cat([one.mask for one in heads]).float(), turns),
        _stack_maps([one.distance for one in heads], turns),
        _stack_maps([one.ring for one in heads], turns),
    )


def _stack_maps(
    maps: Sequence[Tensor | None], turns: Sequence[tuple[int, bool]]
) -> Tensor | None:
    stacked = _stack_rows(maps)
    return None if stacked is None else _turned(stacked, turns)


def _stack_rows(rows: Sequence[Tensor | None]) -> Tensor | None:
    known = [row for row in rows if row is not None]
    return torch.cat(known).float() if known else None


def _turned(maps: Tensor, turns: Sequence[tuple[int, bool]]) -> Tensor:
    rows = []
    for one, (quarters, is_mirrored) in zip(maps, turns, strict=True):
        turned = torch.rot90(one, quarters, (1, 2))
        rows.append(turned.flip(2) if is_mirrored else turned)
    return torch.stack(rows).contiguous()
