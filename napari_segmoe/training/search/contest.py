"""What a genotype is worth: trainings of several networks at the same cost.

Searches often find nothing better than chance does (Yu et al. 2020, "Evaluating the
search phase of neural architecture search"), so a search is judged beside genotypes
drawn at random: the same steps on the same batches, the same width, the same held-out
images.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_segmoe.models.genotypes import Genotype, parse_genotype
from napari_segmoe.models.outputs import SegmentationOutput
from napari_segmoe.models.registry import create_model
from napari_segmoe.models.search_decoding import random_genotype
from napari_segmoe.models.unet import UNet, initialise
from napari_segmoe.training.metrics import measure_overlap
from napari_segmoe.training.search.config import SearchConfig
from napari_segmoe.training.search.images import SearchData, SearchSet
from napari_segmoe.training.search.mixing import draw_mixture, normalise
from napari_segmoe.training.search.stage import (
    check_finite,
    cosine_rate,
    mean_over_heads,
)

SEARCHED, UNET, RANDOM = "searched", "unet", "random"
_STREAM = 9
_UNET_LEVELS = 4
_SCORED_AT_ONCE = 16


class PlainUNet(nn.Module):
    """A U-Net with one mask head, for scale: no searched part.

    Parameters
    ----------
    width : int
        Channels at full resolution; doubled at each of four levels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = tuple(width * 2**level for level in range(_UNET_LEVELS))
        self.body = UNet(in_channels=3, widths=widths)
        self.head = nn.Conv2d(width, 1, 1)
        self.apply(initialise)

    def forward(self, image: Tensor) -> SegmentationOutput:
        """Return mask scores, (B, 1, H, W), for images of sides divisible by 8."""
        maps, _ = self.body(image)
        return SegmentationOutput(logits=self.head(maps[0]))


class Contestant:
    """The training of one network.

    Parameters
    ----------
    name : str
        "searched", "unet" or "random_N".
    network : nn.Module
    config : SearchConfig
    data : SearchData
    epochs : int
        How many are planned.
    device : torch.device
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        *,
        config: SearchConfig,
        data: SearchData,
        epochs: int,
        device: torch.device,
    ) -> None:
        self.name, self.config, self.epochs = name, config, epochs
        self.sets = data.training
        self.device = device
        self.network = network.to(device)
        # every sample is one image: whom a genotype serves sees no mixtures
        self.plain = config.model_copy(update={"k": 1})
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=config.train_rate,
            weight_decay=config.train_decay,
        )

    def run_epoch(self, epoch: int) -> dict[str, Any]:
        """Train one epoch and return its figures.

        Raises
        ------
        TrainingError
            If a loss is not finite.
        """
        steps = self.config.steps_per_epoch
        mean = 0.0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed * 1000 + _STREAM * 100 + epoch)
            self.network.train()
            for step in range(steps):
                mean += self.step(epoch, step) / steps
        return {"loss": mean}

    def step(self, epoch: int, step: int) -> float:
        """Take one step of the weights; return the loss."""
        config = self.config
        rng = np.random.default_rng([config.seed, _STREAM, epoch, step])
        batch = draw_mixture(self.sets, rng, self.plain).to(self.device)
        share = (epoch * config.steps_per_epoch + step) / (
            self.epochs * config.steps_per_epoch
        )
        for group in self.optimizer.param_groups:
            group["lr"] = cosine_rate(config.train_rate, 0.0, share)
        loss = mean_over_heads(self.network(batch.image), batch, config)
        value = float(loss.detach())
        check_finite(value, self.name, (epoch, step))
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.network.parameters(), config.clip_norm)
        self.optimizer.step()
        return value

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed training needs."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take what `state_dict` gave."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])

    def score(self, sets: Sequence[SearchSet]) -> dict[str, list[float]]:
        """Return the Dice of each image of each set, at threshold 0.5."""
        return {one.name: self._score_set(one) for one in sets}

    @torch.no_grad()
    def _score_set(self, one: SearchSet) -> list[float]:
        self.network.eval()
        found: list[float] = []
        for first in range(0, len(one), _SCORED_AT_ONCE):
            part = slice(first, first + _SCORED_AT_ONCE)
            image = normalise(one.images[part].float()).to(self.device)
            marked = (self.network(image).logits > 0)[:, 0].cpu().numpy()
            truth = one.masks[part, 0].numpy()
            found += [
                measure_overlap(guess, real).dice
                for guess, real in zip(marked, truth, strict=True)
            ]
        return found


def contestant_names(config: SearchConfig) -> tuple[str, ...]:
    """Return the networks that are compared, in order."""
    drawn = [f"{RANDOM}_{number}" for number in range(1, config.random_genotypes + 1)]
    return (SEARCHED, *drawn, *((UNET,) if config.unet else ()))


def genotype_of(name: str, config: SearchConfig, searched: Genotype) -> Genotype | None:
    """Return a contestant's genotype; None of a network without one."""
    if name == SEARCHED:
        return searched.without_trace()
    if name == UNET:
        return None
    number = int(name.removeprefix(f"{RANDOM}_"))
    return random_genotype(np.random.default_rng([config.seed, number]), name=name)


def build_contestant(
    genotype: Genotype | None, config: SearchConfig, *, parameters: int = 0
) -> nn.Module:
    """Build the network of a genotype, or a U-Net of about ``parameters`` parameters.

    First weights are a function of the seed alone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        if genotype is None:
            return PlainUNet(unet_width(parameters))
        return create_model(config.model, **model_options(genotype, config))


def model_options(genotype: Genotype, config: SearchConfig) -> dict[str, Any]:
    """Return the options of `create_model` for a network that is compared."""
    return {
        "genotype": parse_genotype(genotype.model_dump(mode="json")),
        "layers": config.layers,
        "channels": config.width,
        "image_classes": 0,
        "object_classes": 0,
        "prompts": False,
    }


def unet_width(parameters: int) -> int:
    """Return the width whose U-Net is nearest in number of parameters."""
    with torch.device("meta"):
        sizes = {width: count_parameters(PlainUNet(width)) for width in range(2, 65)}
    return min(sizes, key=lambda width: abs(sizes[width] - parameters))


def count_parameters(network: nn.Module) -> int:
    """Return the number of trained numbers."""
    return sum(value.numel() for value in network.parameters())


def flatten_scores(
    scores: Mapping[str, Sequence[float]], held_out: Sequence[SearchSet]
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return Dice, number of the data set and group of every held-out image."""
    dice = np.concatenate([scores[one.name] for one in held_out])
    sets = np.concatenate(
        [np.full(len(one), number) for number, one in enumerate(held_out)]
    )
    groups = [f"{one.name}/{group}" for one in held_out for group in one.groups]
    return dice, sets, groups
