"""The samples of one step: order, augmentation and further clicks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from napari_segmoe.training.augmentation_presets import augmentation_for
from napari_segmoe.training.batches import make_batch
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.samples import Sample, SampleOptions, draw_sample
from napari_segmoe.training.sources import Source
from napari_segmoe.training.spaced_samples import (
    SpacedOptions,
    draw_spaced_sample,
    spaced_options,
)

Item = TypeVar("Item")
Numbered = tuple[int, Sample]

_ROUND_SHARES = (0.55, 0.3, 0.15)
_POOLED_SHARE = 0.5
_POOLING, _ANSWERS, _REST = 1, 2, 3  # streams of random numbers


@dataclass(frozen=True, slots=True)
class Part:
    """What goes through the network at once: a part of a step's samples.

    A step's samples are shared out to processes, and each process's to its pieces,
    so that two processes and one process with two pieces see the same parts.

    Attributes
    ----------
    rank, ranks : int
        Which process of how many.
    piece, pieces : int
        Which of the pieces that a process takes one after another.
    """

    rank: int = 0
    ranks: int = 1
    piece: int = 0
    pieces: int = 1

    @property
    def number(self) -> int:
        """Number of the part among all of a step."""
        return self.rank * self.pieces + self.piece

    def share(self, items: Sequence[Item]) -> list[Item]:
        """Return what belongs to this part of a list for the whole step."""
        return self.piece_of(share_of(items, self.rank, self.ranks))

    def piece_of(self, items: Sequence[Item]) -> list[Item]:
        """Return what belongs to this part of a list for its process."""
        return share_of(items, self.piece, self.pieces)


def share_of(items: Sequence[Item], number: int, count: int) -> list[Item]:
    """Return one of ``count`` consecutive shares; the first are larger by one."""
    size, rest = divmod(len(items), count)
    first = number * size + min(number, rest)
    return list(items[first : first + size + (number < rest)])


@dataclass(frozen=True, slots=True, eq=False)
class SampleDrawer:
    """Draws samples by number: each is a function of (seed, epoch, index) alone.

    Attributes
    ----------
    config : TrainingConfig
    sources : sequence of Source
        Training images.
    """

    config: TrainingConfig
    sources: Sequence[Source]

    def order(self, epoch: int) -> list[int]:
        """Return the indices of an epoch in the order of its steps."""
        rng = np.random.default_rng([self.config.seed, epoch])
        count = len(self.sources) * self.config.samples_per_image
        return [int(index) for index in rng.permutation(count)]

    def steps_per_epoch(self) -> int:
        """Return how many steps an epoch has."""
        count = len(self.sources) * self.config.samples_per_image
        return max(count // self.config.batch_size, 1)

    def indices(self, order: Sequence[int], number: int) -> list[int]:
        """Return the indices of a step, over all processes."""
        first = number * self.config.batch_size
        places = range(first, first + self.config.batch_size)
        return [order[place % len(order)] for place in places]

    def source(self, index: int) -> Source:
        """Return the image that an index stands for."""
        return self.sources[index % len(self.sources)]

    def draw(self, epoch: int, index: int) -> Sample:
        """Return a sample, before the user sees an answer."""
        config = self.config
        draw: Callable[..., Sample] = draw_sample
        options: SampleOptions | SpacedOptions = sample_options(config)
        if config.spacing_um is not None:
            draw, options = draw_spaced_sample, spaced_options(config)
        key = [config.seed, epoch, index]
        sample = draw(self.source(index), np.random.default_rng(key), options=options)
        chance = np.random.default_rng([*key, _POOLING]).random()
        return replace(sample, pools_truth=chance < _POOLED_SHARE)


@dataclass(slots=True, eq=False)
class StepDraws:
    """Samples of one part of a step.

    Attributes
    ----------
    config : TrainingConfig
    drawn : sequence of (int, Sample)
        This process's samples of the step with their indices.
    model : nn.Module
        Answers before the user clicks again.
    fabric : Fabric
    epoch, number : int
        Which step.
    part : Part
        Which part of it.
    """

    config: TrainingConfig
    drawn: Sequence[Numbered]
    model: nn.Module
    fabric: Fabric
    epoch: int
    number: int
    part: Part

    @property
    def rng(self) -> np.random.Generator:
        """Random numbers of this part; the same at each call."""
        key = [self.config.seed, self.epoch, self.number, self.part.number, _REST]
        return np.random.default_rng(key)

    def share(self, items: Sequence[Item]) -> list[Item]:
        """Return what belongs to this part of a list for the whole step."""
        return self.part.share(items)

    def labelled(self) -> list[Sample]:
        """Return samples, some with clicks on what the network answered."""
        return self._with_rounds(self.part.piece_of(self.drawn))

    @torch.no_grad()
    def _with_rounds(self, drawn: Sequence[Numbered]) -> list[Sample]:
        """Let the network answer some prompted samples and the user click again."""
        samples = [sample for _, sample in drawn]
        key = (self.config.seed, self.epoch)
        randoms = [np.random.default_rng([*key, i, _ANSWERS]) for i, _ in drawn]
        rounds = [
            int(rng.choice(len(_ROUND_SHARES), p=_ROUND_SHARES))
            if sample.prompts
            else 0
            for sample, rng in zip(samples, randoms, strict=True)
        ]
        for number in range(1, max(rounds) + 1):
            chosen = [i for i, count in enumerate(rounds) if count >= number]
            batch = make_batch([samples[i] for i in chosen]).to(self.fabric.device)
            self.model.eval()
            with self.fabric.autocast():
                output = self.model(batch.image, batch.prompts)
            probability = output.foreground.sigmoid()[:, 0].float().cpu().numpy()
            for row, i in enumerate(chosen):
                samples[i] = samples[i].answered(probability[row], randoms[i])
        return samples


def sample_options(config: TrainingConfig) -> SampleOptions:
    """Return the options of samples that show a whole image."""
    chosen = augmentation_for(config.modality, reach=config.warp_reach)
    return SampleOptions(
        output_px=config.input_px,
        prompt_share=config.prompt_share,
        background_share=config.background_share,
        strength=chosen.strength,
        augment=chosen.intensity,
    )
