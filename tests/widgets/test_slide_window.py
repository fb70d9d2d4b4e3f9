"""A slide in the window: real clicks and brush strokes, in place and in scale."""

import csv
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import zarr
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_segmoe.data.slides.opening import open_slide
from napari_segmoe.models.card import list_weights
from napari_segmoe.session.slide_scene import RegionChoice
from napari_segmoe.viewer.camera import camera_of, look_at
from napari_segmoe.viewer.our_layers import FRAMES, OBJECTS, PREDICTION
from tests.session.slide_fakes import DISCS, SlidePredictor, write_slide

LEFT, NO_KEY = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
PLUGIN = "napari-segmoe"


@dataclass
class SlideWindow:
    """A window with a slide; points are level-0 pixels of the slide."""

    window: object

    @property
    def session(self):
        return self.window.session

    @property
    def viewer(self):
        return self.window.viewer

    @property
    def slide(self):
        return self.window.dock.layers.image_layer

    @property
    def native(self):
        return self.viewer.window._qt_viewer.canvas.native

    def look_at(self, y, x, side):
        """Bring a square around a point into view; it fills half of the canvas."""
        world = np.asarray(self.slide.data_to_world((y, x)))[-2:]
        half = side / 2 * self.slide.scale[-1]
        look_at(self.viewer, world - half, world + half, room=2)
        self.window.qtbot.wait(50)

    def canvas_point(self, y, x) -> QPoint:
        camera = camera_of(self.viewer)
        world = np.asarray(self.slide.data_to_world((y, x)))[-2:]
        middle = np.asarray(camera.center)[-2:]
        at = (world - middle) * camera.zoom + np.asarray(self.viewer.canvas.size) / 2
        return QPoint(round(at[1]), round(at[0]))

    def click(self, y, x):
        point = self.canvas_point(y, x)
        QTest.mouseMove(self.native, point)
        QTest.mouseClick(self.native, LEFT, NO_KEY, point)

    def drag(self, *points):
        """Press at the first point, move over the others, release at the last."""
        places = [self.canvas_point(*point) for point in points]
        QTest.mouseMove(self.native, places[0])
        QTest.mousePress(self.native, LEFT, NO_KEY, places[0])
        for place in places[1:]:
            event = QMouseEvent(
                QEvent.Type.MouseMove,
                QPointF(place),
                QPointF(self.native.mapToGlobal(place)),
                Qt.MouseButton.NoButton,
                LEFT,
                NO_KEY,
            )
            QApplication.sendEvent(self.native, event)
            self.window.qtbot.wait(10)
        QTest.mouseRelease(self.native, LEFT, NO_KEY, places[-1])

    def truth_in(self, layer, inside):
        """Return truth about level-0 points at a region layer's pixels, by the world.

        ``inside`` takes points (N, 2) and says which of them lie in the object.
        """
        height, width = layer.data.shape
        rows, columns = np.mgrid[:height, :width]
        affine = layer.affine.affine_matrix[-3:, -3:]
        points = np.stack([rows.ravel(), columns.ravel(), np.ones(rows.size)])
        world = (affine @ points)[:2].T
        return inside(world / np.asarray(self.slide.scale[-2:])).reshape(height, width)


@pytest.fixture
def open_slide_window(open_window, npe2pm, tmp_path):
    """Open a slide's file as a user does, and wait until clicks reach it."""
    from npe2 import PluginManifest

    npe2pm.register(PluginManifest.from_distribution(PLUGIN))

    def open_one(path: Path, **options) -> SlideWindow:
        window = open_window(**options)
        window.viewer.open(str(path), plugin=PLUGIN)
        window.wait_for_prompts_layer()
        window.qtbot.waitUntil(lambda: window.session.model.is_loaded, timeout=60_000)
        return SlideWindow(window)

    return open_one


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    return write_slide(tmp_path_factory.mktemp("slide") / "discs.ome.tif")


@pytest.fixture
def window(open_slide_window, discs):
    """The slide of discs, and a predictor that needs no network."""
    return open_slide_window(
        discs, load_predictor=lambda weights, *, device: SlidePredictor()
    )


def iou(one, other):
    return np.logical_and(one, other).sum() / np.logical_or(one, other).sum()


def disc(number):
    y, x, radius = DISCS[number]

    def inside(points):
        return np.hypot(points[:, 0] - y, points[:, 1] - x) <= radius

    return inside


@pytest.mark.parametrize("side", [200, 1200], ids=["near", "far"])
def test_a_click_gives_the_mask_at_its_place_and_scale(window, side):
    y, x, radius = DISCS[2]
    window.look_at(y, x, side)
    window.click(y, x)
    window.window.wait_for_mask()
    record = window.session.regions.current
    assert record.spacing_um == (1.0, 1.0)
    click = window.session.prompts.clicks[0]
    per_point = 1 / (camera_of(window.viewer).zoom * 0.5)
    at = record.region.to_slide(click.y, click.x)
    assert at == pytest.approx((y, x), abs=1.5 * per_point + 0.5)
    layer = window.viewer.layers[PREDICTION]
    found = np.asarray(layer.data) > 0
    assert iou(found, window.truth_in(layer, disc(2))) > 0.97
    window.window.press_key(Qt.Key.Key_C)
    (one,) = window.session.annotation.records
    assert one.measured.area_um2 == pytest.approx(np.pi * (radius / 2) ** 2, rel=0.02)


def test_the_brush_corrects_a_region_and_reaches_the_disk(window):
    y, x, radius = DISCS[2]
    window.look_at(y, x, 500)
    window.click(y, x)
    window.window.wait_for_mask()
    window.window.press_key(Qt.Key.Key_C)
    layer = window.viewer.layers[OBJECTS]
    before = window.session.annotation.records[0].measured
    window.viewer.layers.selection.active = layer
    layer.selected_label, layer.brush_size, layer.mode = 1, 15, "paint"
    right = x + radius
    window.drag((y, right), (y, right + 20), (y, right + 60))
    after = window.session.annotation.records[0].measured
    assert after.area_px > before.area_px + 200
    stored = np.asarray(zarr.open_array(str(layer.data.path), mode="r")[...])
    np.testing.assert_array_equal(stored, np.asarray(layer.data))
    np.testing.assert_array_equal(stored, window.session.annotation.labels)
    region = window.session.regions.current.region
    end = tuple(round(v) for v in region.from_slide(y, right + 58))
    assert stored[end] == 1
    layer.mode = "erase"
    window.drag((y, x), (y, x + 10))
    centre = tuple(round(v) for v in region.from_slide(y, x + 4))
    assert window.session.annotation.labels[centre] == 0
    layer.mode = "pan_zoom"
    window.window.press_key(
        Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier
    )  # bound on our layers
    assert window.session.annotation.labels[centre] == 1


def test_regions_follow_the_clicks_and_stay_in_view(window):
    for number in (0, 3):
        y, x, _ = DISCS[number]
        window.look_at(y, x, 300)
        window.click(y, x)
        window.window.wait_for_mask()
        window.window.press_key(Qt.Key.Key_C)
    records = window.session.regions.objects
    assert len(records) == 2
    window.viewer.fit_to_view()
    picture = window.viewer.screenshot(canvas_only=True, flash=False)
    assert picture.std() > 20
    assert FRAMES in window.viewer.layers


def test_a_rectangle_is_dragged_segmented_and_committed(window):
    window.viewer.fit_to_view()
    window.session.regions.choose(RegionChoice.RECTANGLE)
    window.drag((100, 60), (300, 500), (900, 1050))
    rectangle = window.session.regions.rectangle
    assert rectangle == pytest.approx((100, 60, 900, 1050), abs=8)
    window.window.press_key(Qt.Key.Key_A)
    window.window.qtbot.waitUntil(lambda: window.session.prediction is not None)
    assert len(window.session.prediction.objects) == 3
    window.window.press_key(Qt.Key.Key_C)
    assert len(window.session.annotation.records) == 3


def test_a_region_runs_while_the_window_pans_and_can_be_cancelled(
    open_slide_window, discs
):
    predictor = SlidePredictor(strips=400)
    steps = predictor.predict_steps

    def slowly(*, locked=None):
        import time

        for step in (running := steps(locked=locked)):
            time.sleep(0.01)
            try:
                yield step
            except GeneratorExit:
                running.close()
                raise

    predictor.predict_steps = slowly
    window = open_slide_window(
        discs, load_predictor=lambda weights, *, device: predictor
    )
    regions, qtbot, ticks = window.session.regions, window.window.qtbot, []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(regions.progress))
    window.viewer.fit_to_view()
    regions.segment((0, 0, 1536, 1536))
    timer.start(10)
    camera = camera_of(window.viewer)
    for turn in range(12):
        camera.center = (0, 350 + 10 * (turn % 3), 380)
        qtbot.wait(20)
    qtbot.waitUntil(lambda: regions.progress is not None)
    qtbot.waitUntil(
        lambda: np.asarray(window.viewer.layers[PREDICTION].data).any(), timeout=20_000
    )
    assert regions.is_segmenting
    assert len(ticks) >= 12  # the window lived on
    regions.cancel()
    timer.stop()
    qtbot.waitUntil(lambda: predictor.runs[-1] == "closed")
    assert not np.asarray(window.viewer.layers[PREDICTION].data).any()
    assert window.session.prediction is None
    window.click(*DISCS[2][:2])
    assert window.window.wait_for_mask().mask.any()


@pytest.fixture
def gland_weights():
    """The weights that come for glands, or those that SEGMOE_GLANDS names."""
    found = os.environ.get("SEGMOE_GLANDS") or dict(list_weights()).get("glands")
    if found is None:
        pytest.skip("There are no gland weights; SEGMOE_GLANDS can name some.")
    return str(found)


def test_a_gland_is_clicked_at_its_place_with_the_real_network(
    open_slide_window, synthetic_slide, gland_weights
):
    with synthetic_slide.table_path.open(encoding="utf-8") as file:
        glands = [row for row in csv.DictReader(file) if row["class"] == "benign"]
    boxes = np.array(
        [[float(row[k]) for k in ("y0", "x0", "y1", "x1")] for row in glands]
    )
    middle = np.abs((boxes[:, :2] + boxes[:, 2:]) / 2 - np.array([1500, 2000]))
    gland = glands[int(middle.sum(axis=1).argmin())]
    y, x = float(gland["centre_y"]), float(gland["centre_x"])
    window = open_slide_window(synthetic_slide.path, weights=gland_weights)
    window.look_at(y, x, 500)
    window.click(y, x)
    prediction = window.window.wait_for_mask()
    assert prediction.mask.any()
    truth = zarr.open_group(str(synthetic_slide.truth_path), mode="r")["0"]
    step = synthetic_slide.shape[0] / truth.shape[0]
    ids = np.asarray(truth[...]) == int(gland["id"])

    def inside(points):
        places = np.floor((points + 0.5) / step).astype(int)
        places = np.clip(places, 0, np.array(ids.shape) - 1)
        return ids[places[:, 0], places[:, 1]]

    layer = window.viewer.layers[PREDICTION]
    found = np.asarray(layer.data) > 0
    assert iou(found, window.truth_in(layer, inside)) > 0.75
    window.session.annotation.commit()
    area = window.session.annotation.records[0].measured.area_um2
    assert area == pytest.approx(float(gland["area_um2"]), rel=0.25)
    regions, qtbot = window.session.regions, window.window.qtbot
    regions.segment()  # what is in view
    qtbot.waitUntil(lambda: regions.progress is not None, timeout=60_000)
    regions.cancel()
    assert len(window.session.regions.objects) == 1
    regions.segment()
    qtbot.waitUntil(lambda: not regions.is_segmenting, timeout=120_000)
    assert window.session.prediction.objects


def test_a_slide_deleted_while_open_is_one_sentence(open_slide_window, discs, tmp_path):
    path = tmp_path / "gone.ome.tif"
    shutil.copy(discs, path)
    window = open_slide_window(
        path, load_predictor=lambda weights, *, device: SlidePredictor()
    )
    failures = []
    window.session.failed.connect(failures.append)
    y, x, _ = DISCS[2]
    window.click(y, x)
    window.window.wait_for_mask()
    window.window.press_key(Qt.Key.Key_C)
    path.unlink()
    window.click(*DISCS[3][:2])
    window.session.regions.segment((900, 900, 1500, 1500))
    qtbot = window.window.qtbot
    qtbot.waitUntil(lambda: not window.session.regions.is_segmenting)
    qtbot.waitUntil(lambda: bool(failures))
    assert all("\n" not in str(one) for one in failures)
    assert "gone.ome.tif" in str(failures[0])
    assert len(window.session.regions.objects) == 1
    assert open_slide(discs).levels[0].shape == (1536, 1536)
