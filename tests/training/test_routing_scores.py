"""Routing over images, on real networks and by hand."""

import numpy as np
import pytest
import torch

from napari_segmoe.inference.devices import choose_device
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.inference.predictor import SegmentationPredictor
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.registry import create_model
from napari_segmoe.training.routing_scores import (
    RoutingRow,
    RoutingScores,
    report_routing,
    study_routing,
)
from napari_segmoe.types import Prompts, Steering

DRAWS = {"resamples": 50, "seed": 0}


def _predictor(name, *, spacing_um=None):
    torch.manual_seed(0)
    model = create_model(name, image_classes=0, object_classes=0, prompts=False)
    card = WeightsCard(name="made", model=name, input_px=64, spacing_um=spacing_um)
    return SegmentationPredictor(
        WindowNetwork(model.eval(), card, choose_device("cpu"))
    )


def _row(weights, changes, group="a"):
    return RoutingRow(group, {"S1": dict(zip("AB", weights, strict=True))}, changes)


def test_variation_and_share_of_images_worked_by_hand():
    rows = [
        _row((1.0, 0.0), {"A": 0.2}, "a"),
        _row((0.5, 0.5), {"A": 0.4}, "b"),
    ]
    report = report_routing(rows, DRAWS)
    stage = report["stages"]["S1"]
    assert stage == {
        "experts": ["A", "B"],
        "mean": [0.75, 0.25],
        "sd": [0.25, 0.25],
        "asked": [1.0, 0.5],
    }
    assert report["variation"] == 0.25
    assert report["mask_change_without"]["A"]["mean"] == pytest.approx(0.3)
    assert report["images"] == 2


def test_routing_that_is_the_same_for_all_images_does_not_vary():
    report = report_routing([_row((0.3, 0.7), {})] * 3, DRAWS)
    assert report["variation"] == pytest.approx(0, abs=1e-12)
    assert report["mask_change_without"] == {}


def test_masks_without_each_expert_are_those_of_a_veto(rng):
    predictor = _predictor("semi_moe_lite")
    predictor.set_image(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    row = study_routing(predictor.network, predictor.asked_image())
    assert row is not None
    for weights in row.weights.values():
        assert sum(weights.values()) == pytest.approx(1, abs=1e-5)
    experts = list(next(iter(row.weights.values())))
    assert set(row.changes) == set(experts)
    whole = predictor.predict().probability >= 0.5
    veto = Steering(vetoed={"*": (experts[0],)})
    without = predictor.predict(steering=veto).probability >= 0.5
    both, either = (whole & without).sum(), (whole | without).sum()
    expected = 1 - both / either if either else 0
    assert row.changes[experts[0]] == pytest.approx(expected, abs=0.02)


def test_weights_with_a_pixel_size_are_asked_in_several_windows(rng):
    predictor = _predictor("semi_moe_lite", spacing_um=1.0)
    predictor.set_image(rng.integers(0, 256, (128, 200, 3), dtype=np.uint8), (1.0, 1.0))
    asked = []
    network = predictor.network
    answer = network.answer
    network.answer = lambda window, *args, **more: (
        asked.append(window) or answer(window, *args, **more)
    )
    row = study_routing(network, predictor.asked_image())
    assert row is not None
    assert 1 < len({(window.y0, window.x0) for window in asked}) <= 4
    assert {window.side for window in asked} == {64}


def test_a_network_without_routing_is_asked_once_and_reports_nothing(rng):
    predictor = _predictor("resformer_lite")
    predictor.set_image(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    network = predictor.network
    counted = []
    answer = network.answer
    network.answer = lambda *args, **more: counted.append(1) or answer(*args, **more)
    (scores,) = RoutingScores.of(predictor, 3)
    for _ in range(3):
        scores.add(predictor, _Case(), None)
    assert len(counted) == 1
    assert scores.report(DRAWS) is None
    assert not network.answer(predictor_window(predictor), Prompts()).output.routing


def test_large_sets_are_sampled_and_stand_ins_are_not_asked(brightness_predictor):
    assert RoutingScores.of(brightness_predictor, 10) == []
    (scores,) = RoutingScores.of(_predictor("semi_moe_lite"), 100)
    assert scores._every == 4


class _Case:
    class item:  # noqa: N801
        group = "a"


def predictor_window(predictor):
    from napari_segmoe.data.windows import whole_window

    return whole_window(predictor.asked_image().frame.shape, 64)
