"""Bilevel steps: who learns from which half, and when."""

import math

import numpy as np
import pytest
import torch

from napari_segmoe.errors import TrainingError
from napari_segmoe.models.search_space import SearchSpace
from napari_segmoe.training.search import stage as stage_module
from napari_segmoe.training.search.config import SearchConfig
from napari_segmoe.training.search.images import SearchData, SearchSet
from napari_segmoe.training.search.stage import SearchStage

CPU = torch.device("cpu")


def _set(name, seed):
    rng = np.random.default_rng(seed)
    masks = np.zeros((4, 1, 16, 16), bool)
    for mask in masks:
        y, x = rng.integers(0, 8, 2)
        mask[0, y : y + 8, x : x + 8] = True
    images = np.where(masks, 200, 60) + rng.integers(-20, 20, (4, 3, 16, 16))
    return SearchSet(
        name,
        torch.from_numpy(images.astype(np.uint8)),
        torch.from_numpy(masks),
        tuple(f"{name}{i}" for i in range(4)),
    )


DATA = SearchData(
    weights=(_set("a", 1), _set("b", 2)),
    architecture=(_set("a", 3), _set("b", 4)),
    held_out=(_set("a", 5), _set("b", 6)),
    notes=(),
)


def _stage(*, epochs=4, number=1, space=None, **values):
    settings = {
        "input_px": 16,
        "width": 4,
        "layers": 5,
        "batch_size": 4,
        "steps_per_epoch": 2,
        "weight_rate": 0.1,
        **values,
    }
    config = SearchConfig(data=("a", "b"), out="o", **settings)
    return SearchStage(
        config,
        DATA,
        number=number,
        space=space or SearchSpace(),
        epochs=epochs,
        device=CPU,
    )


def _copy(parameters):
    return [value.detach().clone() for value in parameters]


def _same(parameters, before):
    return all(torch.equal(a, b) for a, b in zip(parameters, before, strict=True))


def _halves_read(monkeypatch):
    """Which half's images every batch came from."""
    read = []
    draw = stage_module.draw_mixture

    def spy(sets, rng, config):
        read.append("weights" if sets is DATA.weights else "architecture")
        return draw(sets, rng, config)

    monkeypatch.setattr(stage_module, "draw_mixture", spy)
    return read


def test_each_step_moves_its_own_parameters_by_its_own_half(monkeypatch):
    read = _halves_read(monkeypatch)
    stage = _stage()
    weights = stage.network.weight_parameters()
    searched = stage.network.architecture_parameters()
    first_weights, first_searched = _copy(weights), _copy(searched)
    stage.weight_step(0, 0)
    assert read == ["weights"]
    assert _same(searched, first_searched)
    assert not _same(weights, first_weights)
    assert all(value.grad is None for value in searched)
    second_weights = _copy(weights)
    stage.architecture_step(0, 0)
    assert read == ["weights", "architecture"]
    assert _same(weights, second_weights)
    assert not _same(searched, first_searched)
    assert all(value.grad is None for value in weights)


def test_the_halves_share_no_group():
    for weights, architecture in zip(DATA.weights, DATA.architecture, strict=True):
        together = weights.joined(architecture)
        assert len(together) == len(weights) + len(architecture)


def test_warm_up_leaves_the_architecture_alone(monkeypatch):
    read = _halves_read(monkeypatch)
    stage = _stage(epochs=4, warmup_share=0.5)
    before = _copy(stage.network.architecture_parameters())
    for epoch in range(2):
        assert "architecture_loss" not in stage.run_epoch(epoch)
    assert set(read) == {"weights"}
    assert _same(stage.network.architecture_parameters(), before)
    assert "architecture_loss" in stage.run_epoch(2)
    assert not _same(stage.network.architecture_parameters(), before)


@pytest.mark.parametrize(("epochs", "warm"), [(80, 10), (20, 2), (1, 0)])
def test_warm_up_is_the_released_code_s_share(epochs, warm):
    assert _stage(epochs=epochs, warmup_share=0.125).warmup_epochs == warm


def test_one_batch_is_learnt():
    stage = _stage(weight_rate=0.1)
    losses = [stage.weight_step(0, 0) for _ in range(25)]
    assert losses[-1] < 0.7 * losses[0]


def test_the_rate_falls_as_a_cosine():
    stage = _stage(epochs=4, final_weight_rate=0.01)
    rates = []
    for step in range(8):
        stage.weight_step(*divmod(step, 2))
        rates.append(stage.weight_optimizer.param_groups[0]["lr"])
    assert rates[0] == pytest.approx(0.1)
    assert rates[4] == pytest.approx(0.055)
    assert rates == sorted(rates, reverse=True)


def test_the_second_stage_has_half_the_operations_and_more_layers():
    first = _stage(layers=7, first_layers=5, input_px=32)
    first.architecture_optimizer.param_groups[0]["lr"] = 0.1
    second = _stage(number=2, space=first.next_space(), layers=7, input_px=32)
    assert [second.network.space.size(t) for t in ("normal", "down", "up")] == [4, 4, 2]
    assert second.network.shape.layers == 7
    genotype = second.genotype(entropies=tuple(second.entropies))
    assert set(genotype.trace.betas) == {
        f"{layer}_{depth}" for layer, depth in second.network.nodes
    }
    for shares in genotype.trace.betas.values():
        assert sum(shares.values()) == pytest.approx(1)
    assert len(genotype.trace.normal[0].operations) == 4


def test_edge_normalisation_reaches_the_genotype():
    stage = _stage(edge_normalisation=True)
    searched = stage.network.architecture
    with torch.no_grad():
        searched.edges["normal"][13] = 5.0  # from node 4 to node 5
    assert stage.genotype().normal[3][0][1] == 4


def test_a_stage_goes_on_where_another_stopped():
    whole = _stage()
    figures = [whole.run_epoch(epoch) for epoch in range(4)]
    first = _stage()
    for epoch in range(2):
        first.run_epoch(epoch)
    second = _stage()
    second.load_state_dict(first.state_dict())
    assert [second.run_epoch(epoch) for epoch in (2, 3)] == figures[2:]
    for name, value in whole.network.state_dict().items():
        torch.testing.assert_close(
            second.network.state_dict()[name], value, rtol=0, atol=0
        )


def test_a_loss_that_is_no_number_stops_the_stage():
    stage = _stage()
    with torch.no_grad():
        stage.network.heads["4"][1].weight.fill_(math.nan)
    with pytest.raises(TrainingError, match="stage 1, epoch 0, batch 0"):
        stage.run_epoch(0)
