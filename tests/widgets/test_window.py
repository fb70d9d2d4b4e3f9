"""The whole window: real clicks on the canvas, masks, objects, undo, saving."""

import threading

import numpy as np
import pytest
from qtpy.QtCore import Qt, QTimer

from napari_segmoe.viewer.our_layers import OBJECTS, PREDICTION
from napari_segmoe.viewer.sessions import find_session
from napari_segmoe.viewer.writer import read_rows, save_objects
from napari_segmoe.widgets.objects_model import CLASS_COLUMN
from tests.session.fakes import FakePredictor, make_pixels


def load_fake(weights, *, device):
    return FakePredictor()


def test_two_viewers_do_not_share_state(open_window):
    one, two = (
        open_window(load_predictor=load_fake),
        open_window(load_predictor=load_fake),
    )
    for window in (one, two):
        window.viewer.add_image(make_pixels(), name="scan")
        window.wait_for_prompts_layer()
    one.click(12, 12)
    one.wait_for_mask()
    one.session.annotation.commit()
    assert find_session(one.viewer) is one.session
    assert find_session(two.viewer) is two.session
    assert two.session.annotation.records == ()
    assert not two.session.log.events[1:]
    assert OBJECTS in one.viewer.layers
    assert OBJECTS not in two.viewer.layers


def test_the_tabs_fill_the_dock_in_a_second_window_too(open_window):
    for _ in range(3):
        window = open_window(load_predictor=load_fake)
        window.viewer.add_image(make_pixels(), name="scan")
        window.wait_for_prompts_layer()
        dock = window.dock
        left = dock.height() - dock.tabs.height() - dock._status.height()
        assert left < 60


@pytest.mark.parametrize(
    "placing",
    [
        {},
        {"scale": (0.3, 0.3), "translate": (70, -20), "rotate": 35},
        {"scale": (0.05, 0.1), "units": ("mm", "mm")},
    ],
    ids=["plain", "rotated", "millimetres"],
)
def test_a_real_click_lands_on_its_pixel_whatever_the_transform(open_window, placing):
    window = open_window(load_predictor=load_fake)
    window.viewer.add_image(make_pixels(), name="scan", **placing)
    window.wait_for_prompts_layer()
    window.viewer.fit_to_view()
    window.click(12, 12)
    prediction = window.wait_for_mask()
    click = window.session.prompts.clicks[0]
    assert (click.y, click.x) == pytest.approx((12, 12), abs=0.3)
    assert prediction.mask.sum() == 256


def test_the_keys_drive_a_session_from_click_to_undo(open_window):
    window = open_window(load_predictor=load_fake)
    window.viewer.add_image(make_pixels(), name="scan")
    window.wait_for_prompts_layer()
    window.click(12, 12)
    window.wait_for_mask()
    window.press_key(Qt.Key.Key_C)
    assert len(window.session.annotation.records) == 1
    window.press_key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert window.session.annotation.records == ()
    assert window.session.prediction.mask.any()
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    window.press_key(Qt.Key.Key_Z, both)
    assert len(window.session.annotation.records) == 1
    window.press_key(Qt.Key.Key_2, Qt.KeyboardModifier.ControlModifier)
    assert window.session.annotation.records[0].class_id == 2


def test_the_right_button_excludes_and_a_drag_pans(open_window):
    window = open_window(load_predictor=load_fake)
    window.viewer.add_image(make_pixels(), name="scan")
    window.wait_for_prompts_layer()
    window.click(12, 12)
    window.wait_for_mask()
    window.click(20, 20, button=Qt.MouseButton.RightButton)
    window.wait_for_mask()
    assert [c.positive for c in window.session.prompts.clicks] == [True, False]
    assert not window.session.prediction.mask[20, 20]


def test_the_window_keeps_ticking_while_a_slow_model_loads_and_answers(open_window):
    loading, answering = threading.Event(), threading.Event()

    def load_slowly(weights, *, device):
        assert loading.wait(30)
        return FakePredictor(before_answer=lambda: answering.wait(30))

    window = open_window(load_predictor=load_slowly)
    ticks = []

    def tick():  # the model goes on only because the window does
        ticks.append(1)
        if len(ticks) == 10:
            loading.set()
        if len(ticks) == 20:
            answering.set()

    timer = QTimer()
    timer.timeout.connect(tick)
    window.viewer.add_image(make_pixels(), name="scan")
    window.wait_for_prompts_layer()
    timer.start(10)
    window.click(12, 12)
    assert window.session.prompts.clicks
    window.wait_for_mask()
    timer.stop()
    assert window.session.prediction.mask.any()
    assert len(ticks) >= 20


def test_the_dock_shows_what_is_wrong_and_recovers(open_window):
    predictor = FakePredictor(error=RuntimeError("out of memory"))
    window = open_window(load_predictor=lambda weights, *, device: predictor)
    window.viewer.add_image(make_pixels(), name="scan")
    window.wait_for_prompts_layer()
    window.click(12, 12)
    window.qtbot.waitUntil(lambda: bool(window.session.prompting.failure))
    assert "Memory ran out" in window.session.prompting.failure
    predictor.error = None
    window.click(14, 14)
    assert window.wait_for_mask().mask.sum() == 256


def test_objects_are_saved_and_reopened_with_their_classes(open_window, tmp_path):
    window = open_window(load_predictor=load_fake)
    window.viewer.add_image(make_pixels(), name="scan")
    window.wait_for_prompts_layer()
    window.session.prompting.segment_image()
    window.wait_for_mask()
    window.session.annotation.commit()
    table = window.dock.objects.table
    window.dock.tabs.setCurrentIndex(1)
    index = table.model().index(1, CLASS_COLUMN)
    malignant = window.session.classes.table.find_name("malignant")
    table.model().setData(index, malignant.id)
    path = tmp_path / "objects.tif"
    save_objects(path, window.session)
    before = window.session.annotation.labels.copy()
    window.session.annotation.delete([1, 2])
    window.session.annotation.load(read_image_ids(path), read_rows(path))
    np.testing.assert_array_equal(window.session.annotation.labels, before)
    names = list(window.viewer.layers[OBJECTS].features["class"])
    assert names == ["malignant", "malignant"]


def test_the_canvas_shows_the_mask(open_window):
    window = open_window(load_predictor=load_fake)
    window.viewer.add_image(make_pixels(), name="scan")
    window.wait_for_prompts_layer()
    before = window.viewer.screenshot(canvas_only=True, flash=False)
    window.click(40, 40)
    window.wait_for_mask()
    after = window.viewer.screenshot(canvas_only=True, flash=False)
    assert before.std() > 10
    assert np.abs(after.astype(int) - before).max() > 60
    assert (window.viewer.layers[PREDICTION].data > 0).sum() == 16 * 26


def read_image_ids(path):
    import tifffile

    return tifffile.imread(path)
