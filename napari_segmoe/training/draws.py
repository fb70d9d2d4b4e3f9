"""The samples of one step: order, augmentation and further clicks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from napari_segmoe.training.augmentation import WarpStrength
from napari_segmoe.training.batches import make_batch
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.samples import Sample, SampleOptions, draw_sample
from napari_segmoe.training.sources import Source
from napari_segmoe.training.spaced_samples import (
    SpacedOptions,
    draw_spaced_sample,
    spaced_options,
)

_ROUND_SHARES = (0.55, 0.3, 0.15)


@dataclass(slots=True, eq=False)
class StepDraws:
    """Samples of one step of one process; functions of (seed, epoch, index).

    Attributes
    ----------
    config : TrainingConfig
    sources : sequence of Source
        Training images.
    model : nn.Module
        Answers before the user clicks again.
    fabric : Fabric
    epoch, number : int
        Which step.
    """

    config: TrainingConfig
    sources: Sequence[Source]
    model: nn.Module
    fabric: Fabric
    epoch: int
    number: int
    rng: np.random.Generator

    def labelled(self) -> list[Sample]:
        """Return samples, some with clicks on what the network answered."""
        return self._with_rounds(self._samples())

    def _samples(self) -> list[Sample]:
        config = self.config
        order = np.random.default_rng([config.seed, self.epoch]).permutation(
            len(self.sources) * config.samples_per_image
        )
        world, size = self.fabric.world_size, config.batch_size
        first = self.number * world * size + self.fabric.global_rank * size
        draw: Callable[..., Sample] = draw_sample
        options: SampleOptions | SpacedOptions = sample_options(config)
        if config.spacing_um is not None:
            draw, options = draw_spaced_sample, spaced_options(config)
        chosen = [int(order[i % len(order)]) for i in range(first, first + size)]
        return [
            draw(
                self.sources[index % len(self.sources)],
                np.random.default_rng([config.seed, self.epoch, index]),
                options=options,
            )
            for index in chosen
        ]

    @torch.no_grad()
    def _with_rounds(self, samples: list[Sample]) -> list[Sample]:
        """Let the network answer some prompted samples and the user click again."""
        rng = self.rng
        rounds = [
            int(rng.choice(len(_ROUND_SHARES), p=_ROUND_SHARES))
            if sample.prompts
            else 0
            for sample in samples
        ]
        for number in range(1, max(rounds) + 1):
            chosen = [i for i, count in enumerate(rounds) if count >= number]
            batch = make_batch([samples[i] for i in chosen], rng)
            batch = batch.to(self.fabric.device)
            self.model.eval()
            with self.fabric.autocast():
                output = self.model(batch.image, batch.prompts)
            probability = output.foreground.sigmoid()[:, 0].cpu().numpy()
            for row, i in enumerate(chosen):
                samples[i] = samples[i].answered(probability[row], rng)
        return samples


def sample_options(config: TrainingConfig) -> SampleOptions:
    """Return the options of samples that show a whole image."""
    return SampleOptions(
        output_px=config.input_px,
        prompt_share=config.prompt_share,
        background_share=config.background_share,
        strength=WarpStrength().times(config.warp_reach),
    )
