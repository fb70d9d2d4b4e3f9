"""Heatmaps of real networks in a window: each on and off, against `explain`."""

import numpy as np
import pytest
import torch
from qtpy.QtWidgets import QCheckBox

from napari_segmoe.inference.predictor import load_predictor
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.registry import create_model
from napari_segmoe.models.weights import save_weights
from napari_segmoe.session.explaining import Wish
from napari_segmoe.types import Click
from napari_segmoe.viewer.heatmaps import LAYER_KINDS
from napari_segmoe.viewer.our_layers import PREDICTION, PROMPTS
from napari_segmoe.widgets.main_widget import HEATMAPS_TAB
from tests.session.fakes import make_pixels

CLICK = (40, 40)


@pytest.fixture(scope="module", params=["decoder_interaction_lite", "utanet_lite"])
def weights(request, tmp_path_factory):
    """Random weights of a network, which explain as trained ones do."""
    torch.manual_seed(0)
    card = WeightsCard(
        name=request.param,
        model=request.param,
        classes=("benign", "malignant", "normal"),
        object_classes=("benign", "malignant"),
        modality="ultrasound",
        input_px=64,
        prompt_channels=5,
    )
    path = tmp_path_factory.mktemp("weights") / f"{request.param}.safetensors"
    model = create_model(request.param).eval()
    for parameter in model.prompt_stem.parameters():  # clicks must change the answer
        torch.nn.init.normal_(parameter, std=0.1)
    save_weights(path, model, card)
    return path


@pytest.fixture
def window(open_window, weights):
    def load(_, *, device):
        return load_predictor(weights, device="cpu", threads=1)

    window = open_window(load_predictor=load)
    window.viewer.add_image(make_pixels(), name="scan", scale=(2, 3), rotate=20)
    window.wait_for_prompts_layer()
    window.viewer.fit_to_view()
    return window


def explain(weights, steering=None):
    predictor = load_predictor(weights, device="cpu", threads=1)
    predictor.set_image(make_pixels())
    answer = predictor.predict([Click(*CLICK)], explain=True, steering=steering)
    return {one.key: one for one in answer.explanations}


def wait_for_explanations(window):
    session = window.session

    def explained():
        return bool(session.explaining.explanations) and not session.is_busy

    window.qtbot.waitUntil(explained, timeout=60_000)


def test_every_heatmap_is_turned_on_and_off_and_shows_what_explain_says(
    window, weights
):
    session, view = window.session, window.dock.heatmaps
    window.dock.tabs.setCurrentIndex(HEATMAPS_TAB)
    session.prompting.add_click(*CLICK)
    wait_for_explanations(window)
    expected = explain(weights)
    assert set(view.rows) == set(expected)
    before = [layer.name for layer in window.viewer.layers]
    for key, one in expected.items():
        if one.kind == "table":
            table = view.rows[key].matrix.table
            np.testing.assert_allclose(table.values, one.values, atol=1e-3)
            continue
        assert one.kind in LAYER_KINDS
        view.rows[key].box.click()
        layer = window.dock.heatmap_layers.group[0]
        shown = np.asarray(layer.data, np.float32) - (one.kind == "categories")
        np.testing.assert_allclose(shown, one.values, atol=1e-3 * span(one))
        assert layer.name == f"SegMoE: {one.name}"
        assert window.viewer.layers.selection.active.name == PROMPTS
        np.testing.assert_allclose(
            layer.data_to_world((9, 7)),
            window.viewer.layers["scan"].data_to_world((9, 7)),
        )
        view.rows[key].box.click()
        assert window.dock.heatmap_layers.group == ()
    assert [layer.name for layer in window.viewer.layers] == before
    assert before[-2:] == [PREDICTION, PROMPTS]


def span(one):
    return max(one.value_range[1] - one.value_range[0], 1.0)


def test_groups_that_a_network_lacks_are_disabled_with_the_predictors_reason(
    window, weights
):
    window.qtbot.waitUntil(lambda: window.session.model.is_loaded, timeout=60_000)
    expected = load_predictor(weights, device="cpu").unavailable_explanations()
    assert expected
    assert window.session.explaining.unavailable == expected
    boxes = {box.text(): box for box in window.dock.heatmaps.findChildren(QCheckBox)}
    for group, reason in expected.items():
        assert not boxes[group].isEnabled()
        assert boxes[group].toolTip() == reason


def test_maps_follow_clicks_on_the_canvas_and_the_canvas_shows_them(window):
    session = window.session
    session.explaining.show("uncertainty")
    window.click(*CLICK)
    wait_for_explanations(window)
    layer = window.viewer.layers["SegMoE: Uncertainty"]
    first = layer.data.copy()
    shown = window.viewer.screenshot(canvas_only=True, flash=False).astype(int)
    layer.visible = False
    hidden = window.viewer.screenshot(canvas_only=True, flash=False).astype(int)
    assert np.abs(shown - hidden).max() > 20
    window.click(12, 12)
    window.qtbot.waitUntil(lambda: len(session.prompts.clicks) == 2)
    window.qtbot.waitUntil(lambda: not session.is_busy, timeout=60_000)
    assert window.viewer.layers["SegMoE: Uncertainty"] is layer
    assert (layer.data != first).any()


def test_a_veto_is_heeded_by_the_network_itself(window, weights):
    session = window.session
    session.explaining.show_explanations(True)
    session.prompting.add_click(*CLICK)
    wait_for_explanations(window)
    if "Experts" in session.explaining.unavailable:
        assert window.dock.heatmaps.experts.isHidden()
        return
    stage, experts = next(iter(session.explaining.experts.items()))
    button = window.dock.heatmaps.experts.buttons[experts[0], Wish.VETOED]
    button.click()
    assert button.isChecked()
    window.qtbot.waitUntil(lambda: not session.is_busy, timeout=60_000)
    expected = explain(weights, session.explaining.steering)
    table = session.explaining.find("routing")
    np.testing.assert_allclose(table.values, expected["routing"].values, atol=1e-3)
    row = table.row_labels.index(stage)
    assert table.values[row, table.labels.index(experts[0])] == 0


def test_the_status_bar_reads_the_selected_heatmap(window):
    session = window.session
    session.explaining.show("uncertainty")
    session.prompting.add_click(*CLICK)
    wait_for_explanations(window)
    layer = window.viewer.layers["SegMoE: Uncertainty"]
    window.viewer.layers.selection.active = layer
    status = layer.get_status(layer.data_to_world(CLICK), world=True)
    assert status["layer_name"] == "SegMoE: Uncertainty"
    assert float(status["value"]) == pytest.approx(layer.data[CLICK], abs=0.01)
