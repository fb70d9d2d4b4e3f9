"""How long each part of a search lasts, so that all of it fits a number of minutes."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import torch

from napari_segmoe.models.search_decoding import random_genotype
from napari_segmoe.models.search_space import TABLES, SearchSpace
from napari_segmoe.training.search.config import SearchConfig
from napari_segmoe.training.search.contest import (
    UNET,
    Contestant,
    build_contestant,
    contestant_names,
    count_parameters,
)
from napari_segmoe.training.search.images import SearchData
from napari_segmoe.training.search.stage import SearchStage

_TIMED_STEPS = 3
_SEARCH_SHARE = 0.5
_RESERVE = 0.12  # scoring, writing, a machine that does other things too
_LEAST_EPOCHS = 2


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """Epochs of both stages and of each network that is compared.

    Once made, a plan is stored: a resumed run follows it, however fast it is then.
    """

    first: int
    second: int
    train: int

    def to_dict(self) -> dict[str, int]:
        """Return the plan as plain numbers."""
        return asdict(self)


def make_plan(
    config: SearchConfig, data: SearchData, device: torch.device, *, spent_s: float
) -> SearchPlan:
    """Return the configured epochs or, where minutes are given, those that fit.

    A few steps of every part are timed. Half of the time is the search's, a quarter
    for each stage; half is for the networks compared, which take equal steps.

    Parameters
    ----------
    spent_s : float
        Seconds used up already.
    """
    if config.minutes is None:
        return SearchPlan(config.epochs, config.epochs, config.train_epochs)
    start = time.perf_counter()
    stages = [_time_stage(config, data, device, number) for number in (1, 2)]
    contest = _time_contest(config, data, device)
    spent_s += time.perf_counter() - start
    left_s = max(60 * config.minutes * (1 - _RESERVE) - spent_s, 0.0)
    share = _SEARCH_SHARE if contest else 1.0
    first, second = (
        _fitting(left_s * share / 2, seconds * config.steps_per_epoch)
        for seconds in stages
    )
    train = _fitting(left_s * (1 - share), contest * config.steps_per_epoch)
    return SearchPlan(first, second, train)


def _fitting(available_s: float, epoch_s: float) -> int:
    return max(int(available_s / max(epoch_s, 1e-9)), _LEAST_EPOCHS)


def _time_stage(
    config: SearchConfig, data: SearchData, device: torch.device, number: int
) -> float:
    """Return seconds of a step of the weights and one of the architecture."""
    space = SearchSpace()
    if number == 2:
        rng = np.random.default_rng(0)
        space = space.halved(
            {name: rng.random((14, space.size(name))) for name in TABLES}
        )
    stage = SearchStage(
        config, data, number=number, space=space, epochs=2, device=device
    )

    def both(step: int) -> None:
        stage.weight_step(0, step)
        stage.architecture_step(0, step)

    return _time(both)


def _time_contest(
    config: SearchConfig, data: SearchData, device: torch.device
) -> float:
    """Return seconds of one step of all networks that are compared."""
    total, parameters = 0.0, 0
    for number, name in enumerate(contestant_names(config)):
        genotype = random_genotype(np.random.default_rng(number), name=name)
        network = build_contestant(
            None if name == UNET else genotype, config, parameters=parameters
        )
        parameters = parameters or count_parameters(network)
        contestant = Contestant(
            name, network, config=config, data=data, epochs=2, device=device
        )
        total += _time(partial(contestant.step, 0))
    return total


def _time(step: Callable[[int], object]) -> float:
    step(0)
    start = time.perf_counter()
    for number in range(1, _TIMED_STEPS):
        step(number)
    return (time.perf_counter() - start) / (_TIMED_STEPS - 1)
