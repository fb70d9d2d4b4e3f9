"""Figures of routing: shares, weights, entropy, variation, dead experts."""

import pytest
import torch

from napari_segmoe.models.outputs import Routing
from napari_segmoe.training.routing_usage import RoutingUsage

EXPERTS = ("a", "b", "c")


def _routing(weights, top_k, stage="S1"):
    weights = torch.tensor(weights)
    chosen = weights.topk(top_k, dim=1).indices
    return Routing(stage, EXPERTS, weights, chosen)


def test_shares_and_mean_weights_join_all_steps():
    usage = RoutingUsage()
    usage.add([_routing([[0.75, 0.25, 0.0], [0.0, 0.5, 0.5]], 2)])
    usage.add([_routing([[0.5, 0.0, 0.5]], 2)])
    experts = usage.figures()["routers"]["S1"]["experts"]
    assert [experts[name]["chosen"] for name in EXPERTS] == pytest.approx(
        [0.6667, 0.6667, 0.6667]
    )
    assert experts["a"]["weight"] == pytest.approx(1.25 / 3, abs=1e-4)


def test_images_that_are_routed_alike_do_not_vary():
    usage = RoutingUsage()
    usage.add([_routing([[0.6, 0.4, 0.0]] * 4, 2)])
    assert usage.figures()["routers"]["S1"]["variation"] == pytest.approx(0, abs=1e-3)


def test_images_that_are_routed_apart_vary():
    usage = RoutingUsage()
    usage.add([_routing([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], 1)])
    found = usage.figures()["routers"]["S1"]
    assert found["variation"] == pytest.approx(1.0)  # 0.5 of deviation, 0.5 of mean
    assert found["entropy"] == pytest.approx(0.0)


def test_equal_weights_have_all_the_entropy():
    usage = RoutingUsage()
    usage.add([_routing([[1 / 3, 1 / 3, 1 / 3]], 3)])
    assert usage.figures()["routers"]["S1"]["entropy"] == pytest.approx(1.0)


def test_an_expert_dies_where_few_choose_it_or_weigh_it():
    usage = RoutingUsage()
    soft = _routing([[0.6, 0.395, 0.005]] * 3, 3, stage="gate")
    hard = _routing([[0.5, 0.0, 0.5]] * 3, 2, stage="S1")
    usage.add([soft, hard])
    found = usage.figures()
    assert found["routers"]["gate"]["dead"] == ["c"]
    assert found["routers"]["S1"]["dead"] == ["b"]
    assert found["dead"] == []


def test_what_is_dead_in_every_router_is_dead():
    usage = RoutingUsage()
    usage.add([_routing([[0.5, 0.5, 0.0]] * 2, 2, stage) for stage in ("S1", "S2")])
    assert usage.figures()["dead"] == ["c"]


def test_figures_start_anew_each_epoch():
    usage = RoutingUsage()
    usage.add([_routing([[1.0, 0.0, 0.0]], 1)])
    usage.figures()
    assert usage.event() == {}
    usage.add([_routing([[0.0, 1.0, 0.0]], 1)])
    experts = usage.event()["routing"]["routers"]["S1"]["experts"]
    assert experts["a"]["chosen"] == 0
    assert experts["b"]["chosen"] == 1
