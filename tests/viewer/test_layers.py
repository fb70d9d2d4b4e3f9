"""Our layers follow the session, and gestures on them reach it; no window."""

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from napari_segmoe.types import Box, Modality, PromptKind
from napari_segmoe.viewer.drawing import draw_outlined
from napari_segmoe.viewer.layers import LayerSync
from napari_segmoe.viewer.our_layers import (
    BOXES,
    OBJECTS,
    PREDICTION,
    PROMPTS,
    STROKES,
)
from napari_segmoe.viewer.placement import make_session_image, read_spacing_um
from tests.session.fakes import make_pixels, make_session

OURS = [OBJECTS, PREDICTION, BOXES, STROKES, PROMPTS]


def make_viewer(**placing):
    viewer = ViewerModel()
    viewer.add_image(make_pixels(), name="scan", **placing)
    session = make_session(image=False)
    sync = LayerSync(viewer, session)
    sync.activate_prompts()
    return viewer, session, sync


def use_all_layers(session):
    session.prompting.add_click(12, 12)
    session.annotation.commit()
    session.prompting.add_box(Box(30, 28, 56, 58))
    session.prompting.add_stroke([(40, 40), (42, 44)])


def press(layer, at_data, *, to=None, button=1, modifiers=()):
    """Send a press, moves and a release to the layer's own callbacks."""

    def event(kind, data):
        return SimpleNamespace(
            type=kind,
            position=layer.data_to_world(data),
            pos=np.asarray(data, float) * 10,
            button=button,
            modifiers=modifiers,
            dims_displayed=(0, 1),
        )

    path = [at_data] if to is None else list(np.linspace(at_data, to, 6))
    current = event("mouse_press", path[0])
    for callback in tuple(layer.mouse_drag_callbacks):
        steps = callback(layer, current)
        if steps is None:
            continue
        next(steps, None)
        for point in path[1:]:
            current.__dict__.update(event("mouse_move", point).__dict__)
            next(steps, None)
        current.__dict__.update(event("mouse_release", path[-1]).__dict__)
        next(steps, None)


def test_choosing_an_image_makes_our_layers_and_selects_the_prompts():
    viewer, session, _ = make_viewer()
    assert [layer.name for layer in viewer.layers] == ["scan", PROMPTS]
    assert viewer.layers.selection.active.name == PROMPTS
    assert session.image.name == "scan"


def test_our_other_layers_come_when_needed_in_their_order():
    viewer, session, _ = make_viewer()
    use_all_layers(session)
    assert [layer.name for layer in viewer.layers] == ["scan", *OURS]
    assert viewer.layers.selection.active.name == PROMPTS


def test_our_layers_rise_above_an_image_that_is_added():
    viewer, session, sync = make_viewer()
    use_all_layers(session)
    viewer.add_image(make_pixels(), name="next")
    sync.activate_prompts()
    assert [layer.name for layer in viewer.layers] == ["scan", "next", *OURS]
    assert session.image.name == "next"
    assert viewer.layers[OBJECTS].data.max() == 0
    sync.choose(viewer.layers["scan"])
    assert viewer.layers[OBJECTS].data.max() == 1


def test_an_image_added_later_is_chosen_too():
    viewer = ViewerModel()
    session = make_session(image=False)
    sync = LayerSync(viewer, session)
    assert session.image is None
    viewer.add_image(make_pixels(), name="late")
    assert session.image.name == "late"
    assert sync.image_layer is viewer.layers["late"]


def test_a_click_on_the_prompts_layer_gives_a_mask_on_the_prediction_layer():
    viewer, session, _ = make_viewer()
    press(viewer.layers[PROMPTS], (12, 12))
    assert session.prediction.mask.sum() == 256
    assert (viewer.layers[PREDICTION].data > 0).sum() == 256
    np.testing.assert_allclose(viewer.layers[PROMPTS].data, [(12, 12)])


@pytest.mark.parametrize(
    "gesture", [{"button": 2}, {"modifiers": ("Control",)}], ids=["right", "ctrl"]
)
def test_right_or_ctrl_click_turns_the_sign_around(gesture):
    viewer, session, _ = make_viewer()
    press(viewer.layers[PROMPTS], (12, 12), **gesture)
    assert [c.positive for c in session.prompts.clicks] == [False]
    assert list(viewer.layers[PROMPTS].features["positive"]) == [False]


def test_a_drag_pans_and_adds_no_click():
    viewer, session, _ = make_viewer()
    press(viewer.layers[PROMPTS], (12, 12), to=(30, 30))
    assert not session.prompts
    assert viewer.layers[PROMPTS].mouse_pan


def test_drags_draw_boxes_and_strokes_while_these_are_chosen():
    viewer, session, _ = make_viewer()
    session.prompting.choose_kind(PromptKind.BOX)
    assert not viewer.layers[PROMPTS].mouse_pan
    press(viewer.layers[PROMPTS], (6, 6), to=(26, 28))
    assert session.prompts.box == Box(6, 6, 26, 28)
    assert len(viewer.layers[BOXES].data) == 1
    session.prompting.choose_kind(PromptKind.STROKE)
    press(viewer.layers[PROMPTS], (10, 10), to=(20, 20))
    assert len(session.prompts.strokes[0].points) == 6
    assert len(viewer.layers[STROKES].data) == 1


@pytest.mark.parametrize(
    "placing",
    [
        {"scale": (0.2, 0.7)},
        {"translate": (100, -40)},
        {"rotate": 30},
        {"scale": (3, 2), "rotate": -75, "translate": (5, 7), "shear": [0.2]},
    ],
    ids=["scaled", "translated", "rotated", "all"],
)
def test_the_transform_of_the_image_is_honoured(placing):
    viewer, session, _ = make_viewer(**placing)
    use_all_layers(session)
    session.prompting.reject()
    session.annotation.delete([1])
    image, prompts = viewer.layers["scan"], viewer.layers[PROMPTS]
    for name in OURS:
        np.testing.assert_allclose(
            viewer.layers[name].data_to_world((13, 17)),
            image.data_to_world((13, 17)),
            atol=1e-6,
        )
    press(prompts, prompts.world_to_data(image.data_to_world((12, 20))))
    click = session.prompts.clicks[0]
    assert (click.y, click.x) == pytest.approx((12, 20))
    assert session.prediction.mask.sum() == 256


def test_our_layers_follow_when_the_image_is_moved():
    viewer, _, _ = make_viewer()
    viewer.layers["scan"].translate = (50, 60)
    viewer.layers["scan"].scale = (2, 2)
    np.testing.assert_allclose(viewer.layers[PROMPTS].data_to_world((1, 1)), (52, 62))


@pytest.mark.parametrize("name", OURS)
def test_a_removed_layer_of_ours_comes_back(name):
    viewer, session, _ = make_viewer()
    use_all_layers(session)
    viewer.layers.remove(name)
    session.annotation.delete([1])
    session.prompting.reject()
    use_all_layers(session)
    assert name in viewer.layers
    assert (viewer.layers[OBJECTS].data == 1).sum() == 256


def test_removing_the_image_closes_it_and_clears_our_layers():
    viewer, session, _ = make_viewer()
    viewer.layers.remove("scan")
    assert session.image is None
    assert list(viewer.layers) == []


def test_committed_objects_carry_features_and_their_class_colour():
    viewer, session, _ = make_viewer()
    session.prompting.segment_image()
    session.annotation.commit()
    layer = viewer.layers[OBJECTS]
    assert list(layer.features["class"]) == ["malignant", "benign"]
    assert list(layer.features["index"]) == [1, 2]
    entry = session.classes.table.find_name("benign")
    session.classes.recolour(entry.id, "#102030")
    shown = viewer.layers[OBJECTS].colormap.map(2)
    np.testing.assert_allclose(shown[:3], [16 / 255, 32 / 255, 48 / 255], atol=0.01)


def test_painting_on_the_objects_layer_reaches_the_session():
    viewer, session, _ = make_viewer()
    session.prompting.add_click(12, 12)
    session.annotation.commit()
    layer = viewer.layers[OBJECTS]
    layer.selected_label = 1
    layer.brush_size = 4
    layer.mode = "paint"
    layer.paint((30, 30), 1)
    layer.events.paint(value=[])
    assert session.annotation.labels[30, 30] == 1
    session.undo()
    assert viewer.layers[OBJECTS].data[30, 30] == 0


def test_a_point_added_with_naparis_own_tool_is_a_click():
    viewer, session, _ = make_viewer()
    viewer.layers[PROMPTS].add((40, 40))
    assert [(c.y, c.x) for c in session.prompts.clicks] == [(40, 40)]
    assert len(viewer.layers[PROMPTS].data) == 1


def test_a_click_on_an_object_selects_it():
    viewer, session, _ = make_viewer()
    session.prompting.segment_image()
    session.annotation.commit()
    press(viewer.layers[OBJECTS], (12, 12))
    assert session.annotation.selected_id == 1
    press(viewer.layers[OBJECTS], (1, 1))
    assert session.annotation.selected_id is None


def test_keys_work_on_our_layers_only():
    viewer, session, _ = make_viewer()
    keymap = {str(key): act for key, act in viewer.layers[PROMPTS].keymap.items()}
    keymap["B"](viewer.layers[PROMPTS])
    assert session.prompting.kind is PromptKind.BOX
    keymap["A"](viewer.layers[PROMPTS])
    keymap["C"](viewer.layers[PROMPTS])
    assert len(session.annotation.records) == 2
    keymap["Ctrl+Z"](viewer.layers[PROMPTS])
    assert session.annotation.records == ()
    assert viewer.layers["scan"].keymap == {}


def test_a_key_that_cannot_act_tells_why():
    viewer, session, _ = make_viewer()
    keymap = {str(key): act for key, act in viewer.layers[PROMPTS].keymap.items()}
    keymap["C"](viewer.layers[PROMPTS])
    assert "Click an object first" in str(session.failures[0])


def test_a_volume_is_worked_on_slice_by_slice():
    viewer = ViewerModel()
    volume = np.stack([make_pixels(), make_pixels().T])
    viewer.add_image(volume, name="volume")
    session = make_session(image=False)
    sync = LayerSync(viewer, session)
    viewer.dims.set_current_step(0, 0)
    assert sync.image_layer.name == "volume"
    session.prompting.add_click(12, 12)
    session.annotation.commit()
    viewer.dims.set_current_step(0, 1)
    assert session.image.name == "volume [1]"
    assert session.annotation.records == ()
    np.testing.assert_array_equal(session.image.pixels, make_pixels().T)
    viewer.dims.set_current_step(0, 0)
    assert len(session.annotation.records) == 1
    assert (viewer.layers[OBJECTS].data == 1).sum() == 256


def test_a_pyramid_is_refused_in_one_sentence():
    viewer = ViewerModel()
    session = make_session(image=False)
    sync = LayerSync(viewer, session)
    viewer.add_image([make_pixels(), make_pixels()[::2, ::2]], multiscale=True)
    assert sync.image_layer is None
    assert session.image is None
    assert ["pyramid" in str(f) for f in session.failures] == [True]


def test_rgb_layers_are_taken():
    viewer = ViewerModel()
    viewer.add_image(np.stack([make_pixels()] * 3, axis=-1), rgb=True)
    session = make_session(image=False)
    sync = LayerSync(viewer, session)
    session.prompting.add_click(12, 12)
    assert sync.image_layer.rgb
    assert session.image.pixels.shape == (64, 64, 3)
    assert session.prediction.mask.sum() == 256


def test_spacing_comes_from_units_then_from_the_file():
    viewer = ViewerModel()
    with_units = viewer.add_image(
        make_pixels(), scale=(0.1, 0.2), units=("mm", "mm"), metadata={}
    )
    assert read_spacing_um(with_units) == pytest.approx((100, 200))
    plain = viewer.add_image(make_pixels(), metadata={"spacing_um": (60, 70)})
    assert read_spacing_um(plain) == (60, 70)
    nothing = viewer.add_image(make_pixels(), scale=(3, 3))
    assert read_spacing_um(nothing) is None
    image = viewer.add_image(make_pixels(), metadata={"modality": "ultrasound"})
    assert make_session_image(image, (0, 0)).modality is Modality.ULTRASOUND


def test_outlines_mark_the_rim_of_each_object():
    labels = np.zeros((20, 20), np.uint32)
    labels[2:10, 2:10] = 1
    labels[2:10, 10:18] = 2
    drawn = draw_outlined(labels)
    assert drawn[2, 2] == 2
    assert drawn[5, 5] == 1
    assert drawn[5, 9] == 2
    assert drawn[5, 10] == 4
    assert drawn[5, 14] == 3
    assert drawn[0, 0] == 0
    np.testing.assert_array_equal(drawn > 0, labels > 0)


def test_layers_of_the_user_are_left_alone():
    viewer, session, _ = make_viewer()
    own = Labels(np.ones((64, 64), int), name="mine")
    viewer.add_layer(own)
    session.prompting.add_click(12, 12)
    session.annotation.commit()
    assert own.data.sum() == 64 * 64
