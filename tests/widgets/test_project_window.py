"""A project in a window: real mouse strokes, the worklist, a window that is killed."""

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_segmoe.project.records import EventKind, Provenance, ReviewState
from napari_segmoe.viewer.our_layers import OBJECTS
from napari_segmoe.viewer.painting import paint_objects
from tests.session.fakes import FakePredictor, make_pixels


def load_fake(weights, *, device):
    return FakePredictor()


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(("first", "second")):
        pixels = make_pixels()
        pixels[0, 0] = 10 + number
        (tmp_path / "scans").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "scans" / f"{name}.png")
    return tmp_path / "scans"


@pytest.fixture
def window(open_window, folder, tmp_path):
    window = open_window(load_predictor=load_fake)
    window.session.project.create(tmp_path / "study.segmoe")
    window.viewer.open(str(folder / "first.png"), plugin="napari-segmoe")
    window.wait_for_prompts_layer()
    return window


def drag(window, layer, places):
    """Paint through data places with real mouse events."""
    native = window.viewer.window._qt_viewer.canvas.native
    points = [window.canvas_point(layer, y, x) for y, x in places]
    QTest.mouseMove(native, points[0])
    none = Qt.KeyboardModifier.NoModifier
    QTest.mousePress(native, Qt.MouseButton.LeftButton, none, points[0])
    for point in points[1:]:
        QTest.mouseMove(native, point)
        window.qtbot.wait(10)
    QTest.mouseRelease(native, Qt.MouseButton.LeftButton, none, points[-1])
    return QPoint(points[-1])


def corrections(window):
    store = window.session.project.store
    return [one for one in store.headlines() if one.kind is EventKind.CORRECT]


def test_a_stroke_of_the_brush_is_one_correction_in_the_project(window):
    session = window.session
    layer = paint_objects(
        window.viewer, session, window.dock.layers, mode="paint", is_new=True
    )
    layer.brush_size = 6
    drag(window, layer, [(40, 10), (44, 12), (50, 14), (56, 16)])
    (record,) = session.annotation.records
    assert record.provenance is Provenance.DRAWN
    assert record.state is ReviewState.ACCEPTED
    assert len(corrections(window)) == 1
    stored = session.project.store.labels("image-0001")
    np.testing.assert_array_equal(stored, session.annotation.labels)
    assert stored[48, 13] == record.id
    window.press_key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert session.annotation.records == ()
    assert not session.project.store.labels("image-0001").any()
    assert not window.viewer.layers[OBJECTS].data.any()


def test_eraser_polygon_and_fill_are_one_correction_each(window):
    session = window.session
    session.prompting.segment_image()
    window.wait_for_mask()
    session.annotation.commit()
    session.annotation.select(1)
    layer = paint_objects(window.viewer, session, window.dock.layers, mode="erase")
    layer.brush_size = 4
    drag(window, layer, [(10, 10), (12, 14), (14, 18)])
    assert session.annotation.labels[12, 14] == 0
    assert len(corrections(window)) == 1
    layer.mode = "polygon"
    layer.selected_label = 9
    for y, x in ((40, 4), (40, 20), (56, 20), (56, 4)):
        window.click(y, x, layer=layer)
    native = window.viewer.window._qt_viewer.canvas.native
    QTest.mouseDClick(
        native,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
        window.canvas_point(layer, 50, 4),
    )
    assert session.annotation.labels[48, 10] == 9
    assert len(corrections(window)) == 2
    layer.mode = "fill"
    layer.selected_label = 2
    window.click(48, 10, layer=layer)
    assert session.annotation.labels[48, 10] == 2
    assert len(corrections(window)) == 3
    np.testing.assert_array_equal(
        session.project.store.labels("image-0001"), session.annotation.labels
    )


def test_a_locked_object_cannot_be_painted_over(window):
    session = window.session
    session.prompting.segment_image()
    window.wait_for_mask()
    session.annotation.commit()
    session.correction.lock([1])
    before = session.annotation.labels.copy()
    layer = paint_objects(window.viewer, session, window.dock.layers, mode="erase")
    layer.brush_size = 6
    drag(window, layer, [(10, 10), (14, 14), (18, 18)])
    np.testing.assert_array_equal(session.annotation.labels, before)
    np.testing.assert_array_equal(layer.data, before)
    assert corrections(window) == []


def test_next_shows_the_next_image_and_each_keeps_its_objects(window, folder):
    session = window.session
    window.session.worklist.add([folder])
    window.qtbot.waitUntil(
        lambda: all(row.image for row in session.worklist.rows), timeout=20_000
    )
    session.prompting.add_click(12, 12)
    window.wait_for_mask()
    session.annotation.commit()
    session.worklist.next()
    assert [row.is_current for row in session.worklist.rows] == [False, True]
    assert session.annotation.records == ()
    session.prompting.segment_image()
    window.wait_for_mask()
    session.annotation.commit()
    session.worklist.previous()
    assert len(session.annotation.records) == 1
    session.worklist.next()
    assert len(session.annotation.records) == 2
    shown = [layer for layer in window.viewer.layers if layer.name == "second"]
    assert len(shown) == 1
    assert window.viewer.layers[OBJECTS].data.max() == 2


def test_closing_a_project_empties_the_view_and_opening_brings_all_back(window):
    session = window.session
    session.prompting.add_click(12, 12)
    window.wait_for_mask()
    session.annotation.commit()
    path = session.project.path
    session.project.close()
    assert session.annotation.records == ()
    assert not window.viewer.layers[OBJECTS].data.any()
    session.project.open(path)
    assert len(session.annotation.records) == 1
    assert (window.viewer.layers[OBJECTS].data == 1).sum() == 256
