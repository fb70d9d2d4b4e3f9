"""Correction tools in the dock: buttons, keys, and drags of the real mouse."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_segmoe.project.records import ReviewState
from napari_segmoe.session.correction_tools import ToolGesture
from napari_segmoe.viewer.our_layers import OBJECTS, PROMPTS
from napari_segmoe.widgets.correction_view import DRAG_TILE, NOTHING, CorrectionView
from napari_segmoe.widgets.objects_filter import make_state_combo
from napari_segmoe.widgets.objects_model import STATE_COLUMN
from tests.session.fakes import FakePredictor, make_image, make_pixels, make_session

LEFT = Qt.MouseButton.LeftButton
NONE, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def window(open_window):
    """A window with two objects kept: 1 at (16, 16), 2 at (44, 43)."""
    window = open_window(load_predictor=lambda weights, *, device: FakePredictor())
    window.viewer.window._qt_window.resize(1300, 900)  # room for all docks
    window.viewer.add_image(make_pixels(), name="scan")
    window.wait_for_prompts_layer()
    window.session.prompting.segment_image()
    window.wait_for_mask()
    window.session.annotation.commit()
    window.viewer.layers.selection.active = window.viewer.layers[OBJECTS]
    window.viewer.fit_to_view()
    window.qtbot.wait(200)
    return window


@pytest.fixture
def kept(qtbot):
    session = make_session()
    session.prompting.segment_image()
    session.annotation.commit()
    session.tools.choose([])
    view = CorrectionView(session)
    qtbot.addWidget(view)
    view.show()
    return session, view


def click(window, y, x, modifier=NONE):
    native = window.viewer.window._qt_viewer.canvas.native
    point = window.canvas_point(window.dock.layers.image_layer, y, x)
    QTest.mouseMove(native, point)
    QTest.mouseClick(native, LEFT, modifier, point)


def drag(window, places):
    native = window.viewer.window._qt_viewer.canvas.native
    layer = window.dock.layers.image_layer
    points = [window.canvas_point(layer, y, x) for y, x in places]
    QTest.mouseMove(native, points[0])
    QTest.mousePress(native, LEFT, NONE, points[0])
    for point in points[1:]:
        QTest.mouseMove(native, point)
        window.qtbot.wait(10)
    QTest.mouseRelease(native, LEFT, NONE, points[-1])


def states(session):
    return {one.id: one.state for one in session.annotation.records}


def test_tools_wait_for_the_objects_that_they_need(kept):
    session, view = kept
    assert view.chosen_text == NOTHING
    assert not view.button("Accept").isEnabled()
    session.tools.choose([1])
    assert view.chosen_text == "Object 1, proposed"
    assert view.button("Split").isEnabled()
    assert not view.button("Merge").isEnabled()
    session.tools.choose([1, 2])
    assert view.chosen_text == "2 objects chosen: 1, 2"
    assert view.button("Merge").isEnabled()
    assert not view.cut.isEnabled()


def test_buttons_correct_the_chosen_objects(kept, qtbot):
    session, view = kept
    session.tools.choose([1, 2])
    qtbot.mouseClick(view.button("Accept"), LEFT)
    assert set(states(session).values()) == {ReviewState.ACCEPTED}
    qtbot.mouseClick(view.button("Lock"), LEFT)
    assert set(states(session).values()) == {ReviewState.LOCKED}
    assert view.button("Lock").text() == "Unlock  K"
    qtbot.mouseClick(view.button("Lock"), LEFT)
    qtbot.mouseClick(view.button("Merge"), LEFT)
    assert [one.id for one in session.annotation.records] == [2]


def test_the_step_is_in_um_where_a_pixel_has_a_size(kept):
    session, view = kept
    session.choose_image(make_image("fine", spacing_um=(0.5, 0.5)))
    assert view.step.suffix() == " µm"
    assert view.step.value() == pytest.approx(1.0)
    view.step.setValue(2.5)
    assert session.tools.step_px == 5
    session.choose_image(make_image("bare", spacing_um=None))
    assert view.step.suffix() == " px"
    assert view.step.value() == 5


def test_what_cannot_be_done_is_a_sentence_not_a_crash(kept):
    session, view = kept
    session.tools.choose([1, 2])
    view._on_gesture_clicked(ToolGesture.CUT)
    assert "one object to cut" in str(session.failures[-1])
    assert not view.cut.isChecked()


def test_a_tool_waits_for_a_drag_until_its_button_is_clicked_again(kept, qtbot):
    session, view = kept
    qtbot.mouseClick(view.tile, LEFT)
    assert session.tools.gesture is ToolGesture.TILE
    assert view.tile.isChecked()
    assert view.chosen_text == DRAG_TILE
    qtbot.mouseClick(view.tile, LEFT)
    assert session.tools.gesture is ToolGesture.NONE
    assert not view.tile.isChecked()


def test_finished_parts_are_told_and_taken_back(kept, qtbot):
    session, view = kept
    session.correction.finish_tile((0, 0, 32, 64))
    assert view._finished.text() == "1 part is finished, about 50 % of this image."
    qtbot.mouseClick(view._image, LEFT)
    assert view._finished.text() == "All of this image is finished."
    qtbot.mouseClick(view._reopen, LEFT)
    assert session.correction.tiles == ()
    assert not view._finished.isVisible()


def test_shift_adds_a_clicked_object_and_the_table_shows_both(window):
    session = window.session
    click(window, 16, 16)
    assert session.tools.ids == (1,)
    click(window, 44, 43, SHIFT)
    assert session.tools.ids == (1, 2)
    window.dock.tabs.setCurrentWidget(window.dock._objects)
    assert sorted(window.dock.objects.selected_ids()) == [1, 2]
    click(window, 2, 60)
    assert session.tools.ids == ()


def test_a_rectangle_is_dragged_on_the_canvas_and_finished(window):
    session = window.session
    session.tools.wait_for(ToolGesture.TILE)
    assert window.viewer.layers.selection.active.name == PROMPTS
    before = window.viewer.layers[PROMPTS].mouse_pan
    drag(window, [(4, 6), (20, 30), (30, 40)])
    assert not before
    assert window.viewer.layers[PROMPTS].mouse_pan
    ((y0, x0, y1, x1),) = session.correction.tiles
    assert (y0, x0, y1, x1) == pytest.approx((4, 6, 30, 40), abs=1)
    assert session.prompts.box is None
    assert not session.prompts.clicks
    assert states(session)[1] is ReviewState.ACCEPTED


def test_a_line_dragged_across_an_object_parts_it(window):
    session = window.session
    click(window, 44, 43)
    session.tools.wait_for(ToolGesture.CUT)
    drag(window, [(30, 43), (44, 43), (58, 43)])
    assert len(session.annotation.records) == 3
    assert session.prompts.strokes == ()
    window.press_key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert len(session.annotation.records) == 2


def test_a_click_lets_a_tool_wait_no_longer(window):
    session = window.session
    session.tools.wait_for(ToolGesture.TILE)
    click(window, 30, 10)
    assert session.tools.gesture is ToolGesture.NONE
    assert session.correction.tiles == ()
    assert not session.prompts.clicks


def test_keys_correct_on_the_layer_of_objects(window):
    session = window.session
    click(window, 16, 16)
    window.press_key(Qt.Key.Key_Y)
    assert states(session)[1] is ReviewState.ACCEPTED
    window.press_key(Qt.Key.Key_K)
    assert states(session)[1] is ReviewState.LOCKED
    click(window, 44, 43, SHIFT)
    area = (session.annotation.labels == 2).sum()
    session.tools.choose([2])
    window.press_key(Qt.Key.Key_G)
    assert (session.annotation.labels == 2).sum() > area
    window.press_key(Qt.Key.Key_G, SHIFT)
    window.press_key(Qt.Key.Key_W)
    assert len(session.correction.tiles) == 1
    window.press_key(Qt.Key.Key_D, SHIFT)
    assert window.viewer.layers[OBJECTS].mode == "paint"
    assert session.tools.ids == ()


def test_the_table_shows_and_filters_states(window):
    session, view = window.session, window.dock.objects
    session.correction.accept([1])
    model = view.table.model()
    shown = {
        model.index(row, 0).data(): model.index(row, STATE_COLUMN).data()
        for row in range(model.rowCount())
    }
    assert shown == {"1": "accepted", "2": "proposed"}
    combo = make_state_combo()
    for text, ids in (
        ("Accepted", ["1"]),
        ("Not reviewed", ["1", "2"]),
        ("Locked", []),
    ):
        at = combo.findText(text)
        view._on_states_activated(at)
        rows = range(model.rowCount())
        assert [model.index(row, 0).data() for row in rows] == ids
