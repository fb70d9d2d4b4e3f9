"""Heatmap layers follow the session; no window."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Shapes

from napari_segmoe.session.explaining import Wish
from napari_segmoe.viewer.heatmap_drawing import (
    contrast_limits,
    gradient,
    zero_lines,
)
from napari_segmoe.viewer.heatmaps import HeatmapLayers
from napari_segmoe.viewer.layers import LayerSync
from napari_segmoe.viewer.our_layers import PREDICTION, PROMPTS
from tests.session.explaining_fakes import EXPERTS, ExplainingPredictor, a_map
from tests.session.fakes import make_pixels, make_session

DISTANCE, LINE = "SegMoE: Distance to the edge", "SegMoE: zero line"
LEADER = "SegMoE: Leading expert at T1"


def make_viewer(**placing):
    viewer = ViewerModel()
    viewer.add_image(make_pixels(), name="scan", **placing)
    session = make_session(predictor=ExplainingPredictor(), image=False)
    sync = LayerSync(viewer, session)
    heatmaps = HeatmapLayers(viewer, session, sync)
    sync.activate_prompts()
    return viewer, session, heatmaps


def click(session):
    session.prompting.add_click(12, 12)


def names(viewer):
    return [layer.name for layer in viewer.layers]


def test_every_map_is_turned_on_with_its_values_and_off_again():
    viewer, session, heatmaps = make_viewer()
    click(session)
    before = names(viewer)
    session.explaining.show_explanations(True)
    for one in session.explaining.explanations:
        session.explaining.show(one.key)
        assert len(heatmaps.group) == (
            0 if one.kind == "table" else 2 if one.key == "distance" else 1
        )
        if one.kind == "map":
            layer = heatmaps.group[0]
            assert isinstance(layer, Image)
            np.testing.assert_array_equal(layer.data, one.values)
            assert tuple(layer.contrast_limits) == one.value_range
            assert layer.colormap.name == one.colormap
            assert layer.name == f"SegMoE: {one.name}"
        session.explaining.hide_all()
        assert heatmaps.group == ()
        assert names(viewer) == before


def test_the_group_lies_above_the_image_and_below_our_layers():
    viewer, session, heatmaps = make_viewer()
    session.explaining.show("distance")
    session.explaining.show("boundary")
    click(session)
    expected = ["scan", DISTANCE, LINE, "SegMoE: Boundary", PREDICTION, PROMPTS]
    assert sorted(names(viewer)) == sorted(expected)
    assert names(viewer)[0] == "scan"
    assert names(viewer)[-2:] == [PREDICTION, PROMPTS]
    assert [layer.name for layer in heatmaps.group] == names(viewer)[1:4]
    assert viewer.layers.selection.active.name == PROMPTS


def test_categories_are_labels_with_names_and_colours_of_their_own():
    viewer, session, _ = make_viewer()
    session.explaining.show("dominant/T1")
    click(session)
    layer = viewer.layers[LEADER]
    found = session.explaining.find("dominant/T1")
    assert isinstance(layer, Labels)
    np.testing.assert_array_equal(layer.data, found.values + 1)
    assert list(layer.features["category"]) == list(EXPERTS)
    colours = {tuple(layer.colormap.map(n)) for n in (1, 2, 3)}
    assert len(colours) == 3
    at = tuple(np.argwhere(found.values == 1)[0])
    status = layer.get_status(at, dims_displayed=[0, 1], world=True)
    assert "expert 2" in str(status)


def test_the_status_bar_reads_a_map_under_the_mouse():
    viewer, session, _ = make_viewer()
    session.explaining.show("distance")
    click(session)
    status = viewer.layers[DISTANCE].get_status((16, 16), dims_displayed=[0, 1])
    value = session.explaining.find("distance").values[16, 16]
    assert status["layer_name"] == DISTANCE
    assert float(status["value"]) == pytest.approx(value, abs=0.01)


def test_the_zero_line_lies_where_the_distance_changes_its_sign():
    viewer, session, _ = make_viewer()
    session.explaining.show("distance")
    click(session)
    line = viewer.layers[LINE]
    assert isinstance(line, Shapes)
    points = np.concatenate(line.data)
    assert points.min() == pytest.approx(7.5, abs=0.5)
    assert points.max() == pytest.approx(23.5, abs=0.5)


def test_maps_are_updated_with_each_click_and_keep_their_layer():
    viewer, session, _ = make_viewer()
    session.explaining.show("distance")
    session.explaining.show("dominant/T1")
    click(session)
    layers = [viewer.layers[DISTANCE], viewer.layers[LEADER]]
    before = [layer.data.copy() for layer in layers]
    layers[0].colormap = "viridis"
    layers[0].contrast_limits = (-0.5, 0.5)
    session.prompting.add_click(40, 40)
    assert [viewer.layers[DISTANCE], viewer.layers[LEADER]] == layers
    for layer, old in zip(layers, before, strict=True):
        assert (layer.data != old).any()
    assert layers[0].colormap.name == "viridis"
    assert tuple(layers[0].contrast_limits) == (-0.5, 0.5)


def test_steering_redraws_the_maps():
    viewer, session, _ = make_viewer()
    session.explaining.show("contribution/T1/expert 2")
    click(session)
    layer = viewer.layers["SegMoE: Expert 2 at T1"]
    assert layer.data.max() > 0
    session.explaining.steer("expert 2", Wish.VETOED)
    assert layer.data.max() == 0
    assert (viewer.layers[PREDICTION].data[:, :16] == 0).all()


@pytest.mark.parametrize("name", [DISTANCE, LINE, LEADER])
def test_a_layer_that_the_user_removes_is_no_longer_chosen(name):
    viewer, session, heatmaps = make_viewer()
    session.explaining.show("distance")
    session.explaining.show("dominant/T1")
    click(session)
    viewer.layers.remove(name)
    chosen = set(session.explaining.shown)
    key = {DISTANCE: "distance", LEADER: "dominant/T1"}.get(name)
    assert chosen == {"distance", "dominant/T1"} - {key}
    session.prompting.add_click(40, 40)
    assert name not in names(viewer)
    session.explaining.hide_all()
    assert heatmaps.group == ()
    session.explaining.show("distance")
    assert [layer.name for layer in heatmaps.group] == [DISTANCE, LINE]
    assert session.failures == []


def test_removing_the_distance_takes_its_zero_line_along():
    viewer, session, _ = make_viewer()
    session.explaining.show("distance")
    click(session)
    viewer.layers.remove(DISTANCE)
    assert names(viewer) == ["scan", PREDICTION, PROMPTS]


@pytest.mark.parametrize("attempt", range(4))  # napari goes through a set
@pytest.mark.parametrize("chosen", [(DISTANCE, LINE), None], ids=["group", "all"])
def test_deleting_a_selection_leaves_nothing_of_it(chosen, attempt):
    viewer, session, heatmaps = make_viewer()
    session.explaining.show("distance")
    session.explaining.show("boundary")
    click(session)
    chosen = chosen or names(viewer)
    left = [name for name in names(viewer) if name not in chosen]
    viewer.layers.selection = {viewer.layers[name] for name in chosen}
    viewer.layers.remove_selected()
    assert names(viewer) == left
    if left:
        assert session.explaining.shown == ("boundary",)
    assert len(heatmaps.group) == (1 if left else 0)


def test_clearing_the_viewer_leaves_nothing_behind():
    viewer, session, _ = make_viewer()
    session.explaining.show("distance")
    click(session)
    viewer.layers.clear()
    assert names(viewer) == []
    viewer.add_image(make_pixels(), name="next")
    assert session.image.name == "next"


def test_a_renamed_hidden_or_reordered_layer_stays_and_is_updated():
    viewer, session, heatmaps = make_viewer()
    session.explaining.show("boundary")
    click(session)
    layer = viewer.layers["SegMoE: Boundary"]
    layer.name, layer.visible = "mine", False
    viewer.layers.move(viewer.layers.index(layer), len(viewer.layers))
    session.prompting.add_click(40, 40)
    assert heatmaps.group == (layer,)
    assert layer.name == "mine"
    assert not layer.visible
    found = session.explaining.find("boundary")
    np.testing.assert_array_equal(layer.data, found.values)
    session.explaining.hide_all()
    assert layer not in viewer.layers


def test_the_group_vanishes_with_the_answer_and_comes_back_with_the_next():
    viewer, session, heatmaps = make_viewer()
    session.explaining.show("boundary")
    click(session)
    session.annotation.commit()
    assert heatmaps.group == ()
    session.prompting.add_click(40, 40)
    assert len(heatmaps.group) == 1
    viewer.add_image(make_pixels(), name="next")
    assert heatmaps.group == ()
    session.prompting.add_click(12, 12)
    heatmaps._sync.activate_prompts()
    assert names(viewer)[:3] == ["scan", "next", "SegMoE: Boundary"]


def test_an_image_chosen_again_shows_its_maps_again():
    viewer, session, heatmaps = make_viewer()
    session.explaining.show("boundary")
    click(session)
    viewer.add_image(make_pixels()[:40, :50], name="next")
    heatmaps._sync.choose(viewer.layers["scan"])
    assert [layer.data.shape for layer in heatmaps.group] == [(64, 64)]


def test_removing_the_image_leaves_nothing_behind():
    viewer, session, _ = make_viewer()
    session.explaining.show("distance")
    click(session)
    viewer.layers.remove("scan")
    assert names(viewer) == []


@pytest.mark.parametrize(
    "placing",
    [
        {"scale": (0.2, 0.7), "translate": (100, -40)},
        {"scale": (3, 2), "rotate": -75, "translate": (5, 7), "shear": [0.2]},
    ],
    ids=["scaled", "all"],
)
def test_maps_lie_exactly_on_the_image_also_after_it_moves(placing):
    viewer, session, heatmaps = make_viewer(**placing)
    session.explaining.show("distance")
    session.explaining.show("dominant/T1")
    click(session)
    image = viewer.layers["scan"]
    for moved in (False, True):
        if moved:
            image.translate, image.scale = (50, 60), (2, 5)
        for layer in heatmaps.group:
            np.testing.assert_allclose(
                layer.data_to_world((13, 17)), image.data_to_world((13, 17)), atol=1e-6
            )


def test_slices_of_a_volume_have_maps_of_their_own():
    viewer = ViewerModel()
    viewer.add_image(np.stack([make_pixels(), make_pixels().T]), name="volume")
    session = make_session(predictor=ExplainingPredictor(), image=False)
    heatmaps = HeatmapLayers(viewer, session, LayerSync(viewer, session))
    viewer.dims.set_current_step(0, 0)
    session.explaining.show("boundary")
    click(session)
    viewer.dims.set_current_step(0, 1)
    assert heatmaps.group == ()
    viewer.dims.set_current_step(0, 0)
    assert len(heatmaps.group) == 1


def test_opacity_reaches_all_maps_and_a_users_own_stays():
    _, session, heatmaps = make_viewer()
    session.explaining.show("boundary")
    click(session)
    session.explaining.change_opacity(0.3)
    (layer,) = heatmaps.group
    assert layer.opacity == pytest.approx(0.3)
    layer.opacity = 0.9
    session.prompting.add_click(40, 40)
    session.explaining.show("uncertainty")
    assert layer.opacity == pytest.approx(0.9)


def test_the_mask_is_only_outlined_while_maps_are_shown():
    viewer, session, _ = make_viewer()
    click(session)
    assert viewer.layers[PREDICTION].colormap.map(1)[3] > 0
    session.explaining.show("distance")
    assert viewer.layers[PREDICTION].colormap.map(1)[3] == 0
    assert viewer.layers[PREDICTION].colormap.map(2)[3] == 1
    session.explaining.hide_all()
    assert viewer.layers[PREDICTION].colormap.map(1)[3] > 0


def test_a_closed_group_hears_nothing_any_more():
    _, session, heatmaps = make_viewer()
    session.explaining.show("boundary")
    heatmaps.close()
    click(session)
    assert heatmaps.group == ()


def test_odd_ranges_and_unknown_colour_maps_still_draw():
    flat = a_map("a", "A", np.zeros((4, 4)), "DEPTH", (0.5, 0.5))
    broken = a_map("a", "A", np.zeros((4, 4)), "DEPTH", (np.nan, np.inf))
    assert contrast_limits(flat) == (0.5, 1.5)
    assert contrast_limits(broken) == (0.0, 1.0)
    np.testing.assert_array_equal(gradient("no such map"), gradient("magma"))


def test_a_map_one_pixel_wide_has_no_zero_line():
    assert zero_lines(np.zeros((1, 9), np.float32)) == []
    assert zero_lines(np.ones((9, 9), np.float32)) == []
