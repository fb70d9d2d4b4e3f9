"""Views of images without masks, as functions of (seed, epoch, place)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.draws import sample_options
from napari_segmoe.training.samples import Sample, draw_sample
from napari_segmoe.training.sources import Source
from napari_segmoe.training.spaced_samples import draw_spaced_sample, spaced_options

_ORDER, _VIEW, _STRONG = 11, 12, 13  # streams of random numbers
_MIXED_SHARE = 0.5
_PASTED_SHARES = (0.1, 0.4)


@dataclass(frozen=True, slots=True, eq=False)
class UnlabelledView:
    """One view of an image without mask.

    Attributes
    ----------
    image : Tensor, (3, n, n) float32
        In 0..1; pseudo-labels are made of it.
    strong : Tensor, (3, n, n) float32, or None
        The same view with changed intensities, which pseudo-labels teach; None: they
        teach ``image`` itself.
    pasted : (n, n) bool, or None
        Where the strong view shows the next one of the batch.
    """

    image: Tensor
    strong: Tensor | None = None
    pasted: NDArray[np.bool_] | None = None


@dataclass(slots=True, eq=False)  # not frozen: Fabric copies into it
class UnlabelledBatch:
    """Views as tensors, normalised; see `UnlabelledView`.

    Attributes
    ----------
    image : Tensor, (B, 3, n, n)
    strong : Tensor, (B, 3, n, n), or None
    pasted : Tensor, (B, 1, n, n) bool, or None
    """

    image: Tensor
    strong: Tensor | None = None
    pasted: Tensor | None = None

    def to(self, device: torch.device) -> "UnlabelledBatch":
        """Return the batch on a device."""
        moved: dict[str, Any] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            moved[name] = None if value is None else value.to(device)
        return UnlabelledBatch(**moved)


@dataclass(frozen=True, slots=True, eq=False)
class UnlabelledDrawer:
    """Draws views of images without masks, all images before any comes again.

    Attributes
    ----------
    config : TrainingConfig
    sources : sequence of Source
        At least one; their labels are not looked at.
    """

    config: TrainingConfig
    sources: Sequence[Source]

    def places(self, number: int) -> list[int]:
        """Return the places of a step in its epoch's order, over all processes."""
        size = self.config.unlabelled_batch_size or self.config.batch_size
        return list(range(number * size, (number + 1) * size))

    def draw(self, epoch: int, place: int) -> UnlabelledView:
        """Return one view."""
        config = self.config
        lap, rank = divmod(place, len(self.sources))
        key = [config.seed, epoch, lap, _ORDER]
        order = np.random.default_rng(key).permutation(len(self.sources))
        rng = np.random.default_rng([config.seed, epoch, place, _VIEW])
        drawn = self._draw_plainly(self.sources[order[rank]], rng)
        if not config.weak_to_strong:
            return UnlabelledView(drawn.image)
        rng = np.random.default_rng([config.seed, epoch, place, _STRONG])
        augment = self._augment()
        strong = augment(augment(drawn.image, rng), rng)
        return UnlabelledView(drawn.image, strong, _box(strong.shape[-2:], rng))

    def _draw_plainly(self, source: Source, rng: np.random.Generator) -> Sample:
        """Return a view without prompt; of plain intensities before a strong one."""
        plainly = self.config.weak_to_strong
        if self.config.spacing_um is None:
            options = replace(sample_options(self.config), prompt_share=0.0)
            options = replace(options, augment=_leave) if plainly else options
            return draw_sample(source, rng, options=options)
        spaced = replace(spaced_options(self.config), prompt_share=0.0)
        spaced = replace(spaced, augment=_leave) if plainly else spaced
        return draw_spaced_sample(source, rng, options=spaced)

    def _augment(self) -> Callable[[Tensor, np.random.Generator], Tensor]:
        if self.config.spacing_um is None:
            return sample_options(self.config).augment
        return spaced_options(self.config).augment


def stack_views(views: Sequence[UnlabelledView]) -> UnlabelledBatch:
    """Return views as tensors; images get mean 0.5, deviation 0.5 taken out."""
    if any(view.strong is None or view.pasted is None for view in views):
        return UnlabelledBatch(_normalised([view.image for view in views]))
    boxes = np.stack([view.pasted for view in views if view.pasted is not None])
    return UnlabelledBatch(
        image=_normalised([view.image for view in views]),
        strong=_normalised([view.strong for view in views if view.strong is not None]),
        pasted=torch.from_numpy(boxes[:, None]),
    )


def _normalised(images: Sequence[Tensor]) -> Tensor:
    stacked = (torch.stack(list(images)) - 0.5) / 0.5
    return stacked.contiguous(memory_format=torch.channels_last)


def _leave(image: Tensor, rng: np.random.Generator) -> Tensor:
    return image


def _box(shape: Sequence[int], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return a random box in half of the cases, (n, n); CutMix, Yun et al. 2019."""
    height, width = shape
    box = np.zeros((height, width), bool)
    if rng.random() >= _MIXED_SHARE:
        return box
    area = rng.uniform(*_PASTED_SHARES)
    stretch = float(np.exp(rng.uniform(-0.7, 0.7)))
    high = min(round(height * float(np.sqrt(area * stretch))), height)
    wide = min(round(width * float(np.sqrt(area / stretch))), width)
    y, x = rng.integers(height - high + 1), rng.integers(width - wide + 1)
    box[y : y + high, x : x + wide] = True
    return box
