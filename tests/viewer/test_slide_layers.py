"""Layers on a slide: clicks, regions and paint in their place, however it lies."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_segmoe.session.slide_scene import RegionChoice, SpacingSource
from napari_segmoe.types import PromptKind
from napari_segmoe.viewer.camera import camera_of, field_of_view
from napari_segmoe.viewer.layers import LayerSync
from napari_segmoe.viewer.our_layers import (
    FRAMES,
    OBJECTS,
    PREDICTION,
    PROMPTS,
    is_ours,
)
from napari_segmoe.viewer.readers import read_layers
from tests.session.fakes import FakeCard, ManualRunner, make_pixels, make_session
from tests.session.slide_fakes import SlidePredictor, write_slide

PLACINGS = {
    "file": {},
    "turned": {"rotate": 33, "translate": (70, -20)},
    "sheared": {"shear": [0.3], "scale": (0.5, 0.5)},
    "mirrored": {"affine": [[0, -1.5, 40], [1.2, 0, 7], [0, 0, 1]]},
}


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return write_slide(tmp_path_factory.mktemp("slide") / "discs.ome.tif")


@pytest.fixture
def open_viewer(slide, tmp_path):
    """Open the slide in a viewer without a window."""

    def open_one(*, card=None, runner=None, path=slide, **placing):
        viewer = ViewerModel()
        predictor = SlidePredictor(card=card or FakeCard(spacing_um=1.0))
        session = make_session(
            predictor=predictor,
            runner=runner,
            image=False,
            region_folder=tmp_path / "regions",
        )
        sync = LayerSync(viewer, session)
        ((levels, options, _),) = read_layers(str(path))
        layer = viewer.add_image(levels, **{**options, **placing})
        if runner is not None:
            runner.finish("load")
        sync.activate_prompts()
        return SimpleNamespace(viewer=viewer, session=session, sync=sync, slide=layer)

    return open_one


def press(opened, points, *, button=1):
    """Press at level-0 points of the slide, drag along them, and release."""
    layer = opened.viewer.layers[PROMPTS]

    def event(kind, index):
        return SimpleNamespace(
            type=kind,
            position=opened.slide.data_to_world(points[index]),
            pos=np.asarray(points[index], float),
            button=button,
            modifiers=(),
            dims_displayed=(0, 1),
        )

    current = event("mouse_press", 0)
    (callback,) = layer.mouse_drag_callbacks
    steps = callback(layer, current)
    next(steps, None)
    for index in range(1, len(points)):
        current.__dict__.update(event("mouse_move", index).__dict__)
        next(steps, None)
    current.__dict__.update(event("mouse_release", -1).__dict__)
    next(steps, None)


def world_extent(opened, layer, mask):
    """Return the mask's corners in level-0 pixels of the slide, by way of the world."""
    points = [
        opened.slide.world_to_data(layer.data_to_world(point))
        for point in np.argwhere(mask)[::37]
    ]
    return np.min(points, axis=0), np.max(points, axis=0)


def names(opened):
    return [layer.name for layer in opened.viewer.layers]


def test_a_slide_opens_a_scene_without_a_region(open_viewer):
    opened = open_viewer()
    slide = opened.session.regions.slide
    assert slide.name == opened.slide.name
    assert slide.shape == (1536, 1536)
    assert slide.spacing_um == (0.5, 0.5)
    assert slide.spacing_source is SpacingSource.FILE
    assert opened.session.regions.all == ()
    assert names(opened) == [slide.name, FRAMES, PROMPTS]
    assert opened.viewer.layers.selection.active.name == PROMPTS


@pytest.mark.parametrize("placing", PLACINGS.values(), ids=PLACINGS)
def test_a_click_gives_the_mask_where_the_object_is(open_viewer, placing):
    opened = open_viewer(**placing)
    opened.session.regions.set_spacing(0.5)  # whatever the layer's scale says
    press(opened, [(700, 420)])
    click = opened.session.prompts.clicks[0]
    record = opened.session.regions.current
    assert record.region.to_slide(click.y, click.x) == pytest.approx((700, 420))
    layer = opened.viewer.layers[PREDICTION]
    low, high = world_extent(opened, layer, np.asarray(layer.data) > 0)
    assert low == pytest.approx((580, 300), abs=12)
    assert high == pytest.approx((820, 540), abs=12)
    area = (opened.session.prediction.mask.sum()) * math.prod(record.spacing_um)
    assert area == pytest.approx(math.pi * 60**2, rel=0.02)


def test_turned_or_moved_layers_give_the_same_objects(open_viewer):
    found = []
    for name in ("file", "turned"):
        opened = open_viewer(**PLACINGS[name])
        press(opened, [(300, 900)])
        opened.session.annotation.commit()
        found.append(opened.session.annotation.records[0].measured)
    assert found[0].area_um2 == found[1].area_um2
    assert found[0].polygon == found[1].polygon


def test_a_click_outside_the_region_makes_another_and_inside_goes_back(open_viewer):
    opened = open_viewer(card=FakeCard())
    regions = opened.session.regions
    press(opened, [(200, 200)])
    assert regions.current.number == 1
    press(opened, [(1200, 1250)])
    assert regions.current.number == 2
    assert len(opened.session.prompts.clicks) == 1
    press(opened, [(100, 100)])
    assert regions.current.number == 1
    assert len(opened.session.prompts.clicks) == 2


def test_a_click_off_the_slide_is_said_and_makes_nothing(open_viewer):
    opened = open_viewer()
    press(opened, [(-30, 20)])
    assert opened.session.regions.all == ()
    assert "outside the slide" in opened.session.notes[-1]


def test_each_region_has_its_own_objects_layer_in_its_place(open_viewer):
    opened = open_viewer(card=FakeCard(), **PLACINGS["turned"])
    for point in ((200, 200), (1200, 1250)):
        press(opened, [point])
        opened.session.annotation.commit()
    assert [n for n in names(opened) if n.startswith(OBJECTS)] == [
        OBJECTS,
        f"{OBJECTS} 2",
    ]
    for name, (y, x, radius) in (
        (OBJECTS, (200, 200, 60)),
        (f"{OBJECTS} 2", (1200, 1250, 100)),
    ):
        layer = opened.viewer.layers[name]
        low, high = world_extent(opened, layer, np.asarray(layer.data) > 0)
        assert low == pytest.approx((y - radius, x - radius), abs=6)
        assert high == pytest.approx((y + radius, x + radius), abs=6)
        assert layer.editable
        assert layer.data.is_on_disk


def test_paint_reaches_the_disk_and_the_session_also_in_another_region(open_viewer):
    opened = open_viewer(card=FakeCard())
    for point in ((200, 200), (1200, 1250)):
        press(opened, [point])
        opened.session.annotation.commit()
    first = opened.viewer.layers[OBJECTS]
    before = opened.session.records_of(opened.session.regions.all[0].key)[0]
    first.selected_label = 1
    first.brush_size = 21
    first.paint((200, 270), 1)
    assert opened.session.regions.current.number == 1
    after = opened.session.annotation.find(1)
    assert after.measured.area_px > before.measured.area_px
    assert read_disk(first)[200, 270] == 1
    opened.session.undo()
    assert read_disk(first)[200, 270] == 0
    assert first.data[200, 270] == 0


def read_disk(layer):
    import zarr

    return np.asarray(zarr.open_array(str(layer.data.path), mode="r")[...])


def test_frames_show_all_regions_the_current_one_brighter(open_viewer):
    opened = open_viewer(card=FakeCard())
    opened.session.regions.show_box((0, 0, 400, 400))
    opened.session.regions.show_box((800, 900, 1500, 1400))
    frames = opened.viewer.layers[FRAMES]
    corners = [(shape.min(axis=0), shape.max(axis=0)) for shape in frames.data]
    assert len(corners) == 3  # two regions, and the current one once more on top
    np.testing.assert_allclose(corners[-1], [(799.5, 899.5), (1499.5, 1399.5)])
    assert not np.array_equal(frames.edge_color[-1], frames.edge_color[0])


def test_lines_follow_the_zoom(open_viewer):
    opened = open_viewer(card=FakeCard())
    press(opened, [(700, 420)])
    frames, prediction = opened.viewer.layers[FRAMES], opened.viewer.layers[PREDICTION]
    widths, outlines = [], []
    for zoom in (0.3, 2.0, 20.0):
        camera_of(opened.viewer).zoom = zoom
        widths.append(frames.edge_width[0] * 0.5 * zoom)  # on the screen
        outlines.append(int((np.asarray(prediction.data) == 2).sum()))
    assert widths == pytest.approx([widths[0]] * 3)
    assert outlines[0] > 2 * outlines[1] > 2 * outlines[2] > 0


def test_the_field_of_view_is_what_the_canvas_shows(open_viewer):
    opened = open_viewer(**PLACINGS["turned"])
    viewer, image = opened.viewer, opened.slide
    camera = camera_of(viewer)
    camera.center = (0, *image.data_to_world((800, 600)))
    camera.zoom = 4.0
    y0, x0, y1, x1 = field_of_view(viewer, image)
    assert ((y0 + y1) / 2, (x0 + x1) / 2) == pytest.approx((800.5, 600.5))
    height, width = np.array(viewer.canvas.size) / 4.0 / 0.5
    turn = math.radians(33)
    assert y1 - y0 == pytest.approx(height * math.cos(turn) + width * math.sin(turn))
    assert opened.session.regions.target == pytest.approx((y0, x0, y1, x1))


def test_segmenting_the_field_of_view_makes_a_region_of_it(open_viewer):
    opened = open_viewer()
    camera = camera_of(opened.viewer)
    camera.center = (0, *opened.slide.data_to_world((250, 600)))
    camera.zoom = 1.5
    opened.session.prompting.segment_image()
    record = opened.session.regions.current
    assert record.box == pytest.approx(opened.session.regions.target, abs=2)
    assert len(opened.session.prediction.objects) >= 1


def test_a_rectangle_is_dragged_where_it_is_chosen(open_viewer):
    opened = open_viewer(**PLACINGS["turned"])
    regions = opened.session.regions
    regions.choose(RegionChoice.RECTANGLE)
    assert opened.session.prompting.kind is PromptKind.BOX
    assert not opened.viewer.layers[PROMPTS].mouse_pan
    press(opened, [(100, 700), (150, 900), (450, 1200)])
    assert regions.rectangle == pytest.approx((100.5, 700.5, 450.5, 1200.5))
    assert opened.session.prompting.kind is PromptKind.POINT  # a drag pans again
    assert regions.all == ()
    assert len(opened.viewer.layers[FRAMES].data) == 1
    regions.segment()
    assert regions.current.box == pytest.approx((100.5, 700.5, 450.5, 1200.5), abs=1)
    assert len(opened.session.prediction.objects) == 1


def test_boxes_and_strokes_prompt_in_the_region_they_begin_in(open_viewer):
    opened = open_viewer()
    opened.session.prompting.choose_kind(PromptKind.BOX)
    press(opened, [(580, 300), (600, 400), (820, 540)])
    box = opened.session.prompts.box
    region = opened.session.regions.current.region
    assert region.to_slide(box.y0, box.x0) == pytest.approx((580, 300))
    assert region.to_slide(box.y1, box.x1) == pytest.approx((820, 540))
    assert opened.session.prediction.mask.any()
    opened.session.prompting.choose_kind(PromptKind.STROKE)
    press(opened, [(700, 400), (705, 410), (720, 440)])
    assert len(opened.session.prompts.strokes[0].points) == 3


def test_finished_parts_are_shown_while_a_region_runs(open_viewer, monkeypatch):
    monkeypatch.setattr("napari_segmoe.viewer.slide_layers._REST", 0.0)
    now = iter(range(100))
    monkeypatch.setattr(
        "napari_segmoe.viewer.slide_layers.time.monotonic", lambda: next(now)
    )
    opened = open_viewer(runner=ManualRunner())
    opened.session.regions.segment((0, 0, 1536, 1536))
    opened.session.runner.step("segment region", 2)
    shown = np.asarray(opened.viewer.layers[PREDICTION].data)
    assert shown[:384].any()
    assert not shown[384:].any()
    opened.session.regions.cancel()
    assert not np.asarray(opened.viewer.layers[PREDICTION].data).any()
    opened.session.regions.segment((0, 0, 1536, 1536))
    opened.session.runner.finish("segment region")
    shown = np.asarray(opened.viewer.layers[PREDICTION].data)
    assert shown[384:].any()
    assert shown.max() == 10  # five objects, inside and outline


def test_the_users_scale_of_the_layer_is_the_slides_spacing(open_viewer):
    opened = open_viewer()
    press(opened, [(700, 420)])
    opened.session.annotation.commit()
    area = opened.session.annotation.records[0].measured.area_um2
    opened.slide.translate = (5, 5)  # says nothing about the scale
    assert opened.session.regions.slide.spacing_source is SpacingSource.FILE
    opened.slide.scale = (0.25, 0.25)
    slide = opened.session.regions.slide
    assert slide.spacing_um == pytest.approx((0.25, 0.25))
    assert slide.spacing_source is SpacingSource.LAYER
    after = opened.session.annotation.records[0].measured.area_um2
    assert after == pytest.approx(area / 4)


def test_removing_the_slide_closes_the_scene_and_takes_our_layers(open_viewer):
    opened = open_viewer(card=FakeCard())
    for point in ((200, 200), (1200, 1250)):
        press(opened, [point])
        opened.session.annotation.commit()
    opened.viewer.layers.remove(opened.slide)
    assert list(opened.viewer.layers) == []
    assert opened.session.regions.slide is None
    assert opened.session.image is None


def test_going_to_an_image_and_back_finds_the_regions(open_viewer):
    opened = open_viewer()
    press(opened, [(700, 420)])
    opened.session.annotation.commit()
    plain = opened.viewer.add_image(make_pixels(), name="scan")
    assert opened.session.image.name == "scan"
    assert opened.session.regions.slide is None
    ours = [layer for layer in opened.viewer.layers if is_ours(layer)]
    assert all(layer.affine.affine_matrix[0, 0] == 1 for layer in ours)
    opened.sync.choose(opened.slide)
    assert opened.session.regions.current.number == 1
    assert OBJECTS in names(opened)
    opened.viewer.layers.remove(plain)
    assert opened.session.regions.slide is not None


def test_a_pyramid_of_another_reader_works_if_its_file_is_a_slide(open_viewer, slide):
    opened = open_viewer()
    opened.viewer.layers.clear()
    from napari.layers import Image
    from napari.layers._source import layer_source

    levels = [np.asarray(level) for level in read_layers(str(slide))[0][0]]
    with layer_source(path=str(slide)):
        layer = Image(levels, multiscale=True, rgb=True, name="other")
    opened.viewer.add_layer(layer)
    assert opened.session.regions.slide.name == "other"
    assert opened.session.regions.slide.spacing_um == (0.5, 0.5)
    with layer_source(path=str(slide)):
        layer = Image(levels[1:], multiscale=True, rgb=True, name="smaller")
    opened.viewer.add_layer(layer)
    assert "another part of the slide" in str(opened.session.failures[-1])


def test_a_pyramid_without_a_file_is_refused_in_one_sentence(open_viewer):
    opened = open_viewer()
    opened.viewer.layers.clear()
    levels = [np.zeros((side, side, 3), np.uint8) for side in (64, 32)]
    opened.viewer.add_image(levels, multiscale=True, rgb=True, name="memory")
    assert "no slide's file" in str(opened.session.failures[-1])
    assert opened.session.regions.slide is None
    assert names(opened) == ["memory"]


def test_the_users_spacing_is_the_layers_scale_and_the_view_stays(open_viewer, slide):
    bare = write_slide(slide.parent / "bare.ome.tif", spacing_um=None)
    opened = open_viewer(path=bare)
    assert opened.session.regions.slide.spacing_um is None
    camera = camera_of(opened.viewer)
    camera.center, camera.zoom = (0, 300, 500), 2.0
    before = field_of_view(opened.viewer, opened.slide)
    press(opened, [(300, 500)])
    opened.session.regions.set_spacing(0.25)
    assert opened.slide.scale == pytest.approx([0.25, 0.25])
    assert [str(unit) for unit in opened.slide.units] == ["micrometer", "micrometer"]
    after = field_of_view(opened.viewer, opened.slide)
    assert after == pytest.approx(before, abs=0.5)
    assert opened.session.regions.slide.spacing_source is SpacingSource.USER
    click = opened.session.prompts.clicks[0]
    layer = opened.viewer.layers[PROMPTS]
    at = opened.slide.world_to_data(layer.data_to_world((click.y, click.x)))
    assert at == pytest.approx((300, 500))
