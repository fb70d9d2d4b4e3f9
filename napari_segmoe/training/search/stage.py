"""One stage of a search: weights and architecture by turns.

First-order bilevel optimisation, section III.B.3 and Algorithm 1 of Liu et al. 2021,
"MixSearch": the weights learn on one half of the data, alphas and betas on the other,
after some epochs of weights only.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_segmoe.errors import TrainingError
from napari_segmoe.models.genotypes import CELL_KINDS, Genotype
from napari_segmoe.models.outputs import SegmentationOutput
from napari_segmoe.models.search_decoding import decode_genotype, mean_entropies
from napari_segmoe.models.search_network import SearchNetwork, SearchShape
from napari_segmoe.models.search_space import SearchSpace
from napari_segmoe.models.weaved_lattice import branches, lattice_nodes
from napari_segmoe.training.search.config import SearchConfig
from napari_segmoe.training.search.images import SearchData
from napari_segmoe.training.search.mixing import Mixture, draw_mixture, mixed_loss

# Convolutions of the two presets' stems: channels and stride of the first one.
_STEMS = {"mixsearch_lite": (16, 2), "mixsearch": (32, 1)}
_WEIGHTS, _ARCHITECTURE = 0, 1


class SearchStage:
    """The super-network of one stage and its two optimisers.

    Parameters
    ----------
    config : SearchConfig
    data : SearchData
    number : int
        1 or 2: the first searches all operations, the second the better half.
    space : SearchSpace
    epochs : int
        How many are planned.
    device : torch.device

    Attributes
    ----------
    network : SearchNetwork
    entropies : list of dict
        Of each epoch so far; see `mean_entropies`.
    """

    def __init__(
        self,
        config: SearchConfig,
        data: SearchData,
        *,
        number: int,
        space: SearchSpace,
        epochs: int,
        device: torch.device,
    ) -> None:
        self.config, self.data, self.number = config, data, number
        self.epochs, self.device = epochs, device
        self.network = SearchNetwork(
            space, search_shape(config, number), seed=config.seed * 10 + number
        ).to(device)
        self.weight_optimizer = torch.optim.SGD(
            self.network.weight_parameters(),
            lr=config.weight_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )
        self.architecture_optimizer = torch.optim.Adam(
            self.network.architecture_parameters(),
            lr=config.architecture_rate,
            betas=(0.5, 0.999),
            weight_decay=config.architecture_decay,
        )
        self.entropies: list[dict[str, float]] = []

    @property
    def warmup_epochs(self) -> int:
        """Epochs that leave the architecture alone; at least one epoch searches."""
        return min(round(self.epochs * self.config.warmup_share), self.epochs - 1)

    def run_epoch(self, epoch: int) -> dict[str, Any]:
        """Train one epoch and return its figures.

        Raises
        ------
        TrainingError
            If a loss is not finite.
        """
        steps = self.config.steps_per_epoch
        searches = epoch >= self.warmup_epochs
        sums = {"loss": 0.0, "architecture_loss": 0.0}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed * 1000 + self.number * 100 + epoch)
            self.network.train()
            for step in range(steps):
                sums["loss"] += self.weight_step(epoch, step) / steps
                if searches:
                    loss = self.architecture_step(epoch, step)
                    sums["architecture_loss"] += loss / steps
        entropies = mean_entropies(self.alphas())
        self.entropies.append(entropies)
        figures: dict[str, Any] = {"loss": sums["loss"]}
        if searches:
            figures["architecture_loss"] = sums["architecture_loss"]
        return figures | {"entropies": entropies}

    def weight_step(self, epoch: int, step: int) -> float:
        """Take a step of the weights on the weight half; return the loss."""
        self._set_rate(epoch * self.config.steps_per_epoch + step)
        batch = self._draw(epoch, step, _WEIGHTS)
        parameters = self.network.weight_parameters()
        return self._step(batch, self.weight_optimizer, parameters, (epoch, step))

    def architecture_step(self, epoch: int, step: int) -> float:
        """Take a step of alphas and betas on the architecture half; return the loss."""
        batch = self._draw(epoch, step, _ARCHITECTURE)
        parameters = self.network.architecture_parameters()
        return self._step(batch, self.architecture_optimizer, parameters, (epoch, step))

    def alphas(self) -> dict[str, np.ndarray]:
        """Return the scores of operations, (14, n) a table."""
        found = self.network.architecture.alphas
        return {name: value.detach().cpu().numpy() for name, value in found.items()}

    def next_space(self) -> SearchSpace:
        """Return the space of the next stage: the better half of the operations."""
        return self.network.space.halved(self.alphas())

    def genotype(self, **trace: Any) -> Genotype:
        """Return the genotype that the scores stand for, with its trace."""
        architecture = self.network.architecture
        edges = {kind: architecture.edge_weights(kind) for kind in CELL_KINDS}
        known = {
            kind: value.detach().cpu().numpy()
            for kind, value in edges.items()
            if value is not None
        }
        return decode_genotype(
            self.network.space,
            self.alphas(),
            name="searched",
            title="Found by segmoe search",
            edge_weights=known or None,
            betas=self._betas(),
            **trace,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed stage needs."""
        return {
            "network": self.network.state_dict(),
            "weight_optimizer": self.weight_optimizer.state_dict(),
            "architecture_optimizer": self.architecture_optimizer.state_dict(),
            "entropies": self.entropies,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take what `state_dict` gave."""
        self.network.load_state_dict(state["network"])
        self.weight_optimizer.load_state_dict(state["weight_optimizer"])
        self.architecture_optimizer.load_state_dict(state["architecture_optimizer"])
        self.entropies = list(state["entropies"])

    def _draw(self, epoch: int, step: int, half: int) -> Mixture:
        sets = self.data.weights if half == _WEIGHTS else self.data.architecture
        rng = np.random.default_rng([self.config.seed, self.number, epoch, step, half])
        return draw_mixture(sets, rng, self.config).to(self.device)

    def _step(
        self,
        batch: Mixture,
        optimizer: torch.optim.Optimizer,
        parameters: list[nn.Parameter],
        place: tuple[int, int],
    ) -> float:
        """Take one step; only ``parameters`` get gradients."""
        loss = mean_over_heads(self.network(batch.image), batch, self.config)
        value = float(loss.detach())
        check_finite(value, f"stage {self.number}", place)
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        nn.utils.clip_grad_norm_(parameters, self.config.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return value

    def _set_rate(self, step: int) -> None:
        config = self.config
        share = step / (self.epochs * config.steps_per_epoch)
        rate = cosine_rate(config.weight_rate, config.final_weight_rate, share)
        for group in self.weight_optimizer.param_groups:
            group["lr"] = rate

    def _betas(self) -> dict[str, dict[str, float]]:
        return {
            f"{node[0]}_{node[1]}": dict(shares)
            for node, shares in self._branch_shares()
        }

    def _branch_shares(self) -> Iterator[tuple[tuple[int, int], dict[str, float]]]:
        layers = self.network.shape.layers
        for node in lattice_nodes(layers):
            kinds = tuple(branches(node, layers))
            weights = self.network.architecture.branch_weights(node, kinds)
            yield node, dict(zip(kinds, weights.detach().cpu().tolist(), strict=True))


def search_shape(config: SearchConfig, number: int) -> SearchShape:
    """Return the super-network's shape in stage 1 or 2.

    Raises
    ------
    ModelOptionError
        If the sizes do not fit each other.
    """
    channels, stride = _STEMS.get(config.model, _STEMS["mixsearch_lite"])
    return SearchShape(
        layers=config.first_layers if number == 1 else config.layers,
        channels=config.width,
        stem_channels=channels,
        stem_stride=stride,
        partial_channels=config.partial_channels,
        edge_normalisation=config.edge_normalisation,
    )


def known_presets() -> tuple[str, ...]:
    """Return the presets that can be searched for."""
    return tuple(sorted(_STEMS))


def mean_over_heads(
    output: SegmentationOutput, batch: Mixture, config: SearchConfig
) -> Tensor:
    """Return the mixed loss, the mean over a network's mask heads."""
    heads = (output.logits, *output.auxiliary)
    losses = [
        mixed_loss(
            head,
            batch.masks,
            batch.weights,
            cross_entropy_weight=config.cross_entropy_weight,
            dice_weight=config.dice_weight,
        )
        for head in heads
    ]
    return torch.stack(losses).mean()


def cosine_rate(first: float, last: float, share: float) -> float:
    """Return the learning rate after a share, 0..1, of all steps."""
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * share))


def check_finite(loss: float, place: str, at: tuple[int, int]) -> None:
    """Stop at a loss that is not a number.

    Raises
    ------
    TrainingError
        If the loss is not finite.
    """
    if not math.isfinite(loss):
        raise TrainingError(
            f"The loss is not finite in {place}, epoch {at[0]}, batch {at[1]}. Lower"
            " the learning rates; the last finished epoch is kept and can be resumed."
        )
