"""Old images with their masks, where somebody has them: learnt from and judged by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from napari_segmoe.data.folder import look_at_masks, read_data_folder, stated_spacing_um
from napari_segmoe.data.images import read_image
from napari_segmoe.data.mask_objects import true_objects
from napari_segmoe.data.masks import MaskKind, read_mask
from napari_segmoe.data.splits import DataItem
from napari_segmoe.errors import DataFolderError
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.training.finetune.network import Machine, answer, stack_images
from napari_segmoe.training.finetune.settings import RoundSettings
from napari_segmoe.training.finetune.views import (
    PartialSample,
    Sight,
    make_source,
    plain_view,
    with_ids,
)

_LEARNT, _JUDGING = 16, 12


@dataclass(frozen=True, slots=True, eq=False)
class OldData:
    """Views of old images.

    Attributes
    ----------
    lessons : sequence of PartialSample
        Whose answers are kept.
    judging : sequence of PartialSample
        With true ids, of other groups.
    """

    lessons: Sequence[PartialSample]
    judging: Sequence[PartialSample]


def read_old_data(
    settings: RoundSettings, card: WeightsCard, sight: Sight
) -> OldData | None:
    """Read a few images of the replay folder; None where there is none.

    Raises
    ------
    DataFolderError
        If it has no masks, or images of one group alone.
    """
    if settings.replay_data is None:
        return None
    folder = read_data_folder(settings.replay_data)
    items = [one for one in folder.items if one.mask_path is not None]
    trained = [one for one in items if one.split == "train"] or items
    groups = sorted({one.group for one in trained})
    if len(groups) < 2:
        raise DataFolderError(
            "The replay data need images of two groups at least, to learn from one and"
            f" be judged by another; there are {len(groups)}."
        )
    rng = np.random.default_rng([settings.seed, 44])
    held = {groups[i] for i in rng.permutation(len(groups))[: max(len(groups) // 4, 1)]}
    folder = look_at_masks(folder, trained)
    views = []
    for is_held, count in ((False, _LEARNT), (True, _JUDGING)):
        able = [one for one in trained if (one.group in held) == is_held]
        chosen = [able[i] for i in rng.permutation(len(able))[:count]]
        views.append(
            [
                _view(one, sight, settings.replay_spacing_um, folder.mask_kind, rng)
                for one in chosen
            ]
        )
    hidden = np.full((card.input_px, card.input_px), -1, np.int32)
    lessons = [PartialSample(one.image, hidden) for one in views[0]]
    return OldData(lessons, views[1])


def _view(
    item: DataItem,
    sight: Sight,
    stated_um: float | None,
    kind: MaskKind | None,
    rng: np.random.Generator,
) -> PartialSample:
    loaded = read_image(item.image_path)
    shape = (loaded.pixels.shape[0], loaded.pixels.shape[1])
    assert item.mask_path is not None, "only items with masks are chosen"
    ids = true_objects(read_mask(item.mask_path, shape, kind=kind)).astype(np.int32)
    stated = stated_spacing_um(item) or stated_um
    spacing = loaded.spacing_um if stated is None else (stated, stated)
    source = make_source(item.name, loaded.pixels, sight, sight.pixel_um(spacing))
    source = with_ids(source, ids, {})
    y, x = (float(rng.uniform(0.35, 0.65)) * size for size in shape)
    return PartialSample(*plain_view(source, (y, x), sight))


@torch.no_grad()
def old_dice(
    model: nn.Module, views: Sequence[PartialSample], machine: Machine
) -> float:
    """Return the mean Dice over views whose truth is known."""
    found = []
    for first in range(0, len(views), machine.batch):
        chosen = views[first : first + machine.batch]
        images = stack_images([one.image for one in chosen]).to(machine.device)
        with machine.autocast():
            output = answer(model, images, None)
        for one, scores in zip(chosen, output.foreground[:, 0].cpu(), strict=True):
            known, wanted = one.ids >= 0, one.ids > 0
            marked = (scores.numpy() > 0) & known
            sizes = marked.sum() + wanted.sum()
            found.append(2 * (marked & wanted).sum() / sizes if sizes else 1.0)
    return float(np.mean(found))
