"""The dock's views follow the session, and act on it."""

import threading

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QComboBox, QLabel

from napari_segmoe.errors import WeightsError
from napari_segmoe.session.options import SegmentOptions
from napari_segmoe.types import PromptKind
from napari_segmoe.viewer.layers import LayerSync
from napari_segmoe.widgets.forms import make_form
from napari_segmoe.widgets.keys_popover import KeysPopover
from napari_segmoe.widgets.none_guard import protect_none
from napari_segmoe.widgets.objects_model import CLASS_COLUMN, COLUMNS
from napari_segmoe.widgets.objects_view import ObjectsView
from napari_segmoe.widgets.qt_runner import QtJobRunner
from napari_segmoe.widgets.result_card import HINT, ResultCard
from napari_segmoe.widgets.segment_view import SegmentView
from tests.session.fakes import (
    FakeCard,
    FakePredictor,
    ManualRunner,
    make_pixels,
    make_session,
)


@pytest.fixture
def runner():
    runner = QtJobRunner()
    yield runner
    runner.close()


def objects_view(qtbot):
    viewer = ViewerModel()
    viewer.add_image(make_pixels(), scale=(0.05, 0.1), units=("mm", "mm"))
    session = make_session(image=False)
    view = ObjectsView(session, LayerSync(viewer, session))
    qtbot.addWidget(view)
    session.prompting.segment_image()
    session.annotation.commit()
    return view, session, viewer


def shown(view):
    model = view.table.model()
    rows = range(model.rowCount())
    return [
        [model.index(r, c).data() for c in range(model.columnCount())] for r in rows
    ]


def test_jobs_run_beside_the_window_and_answer_on_its_thread(qtbot, runner):
    threads = []

    def job():
        yield
        threads.append(threading.current_thread())
        return 7

    def on_done(result):
        threads.append(threading.current_thread())
        threads.append(result)

    runner.submit(job, topic="a", on_done=on_done, on_error=threads.append)
    qtbot.waitUntil(lambda: len(threads) == 3)
    assert threads[0] is not threading.main_thread()
    assert threads[1:] == [threading.main_thread(), 7]


def test_of_one_topic_only_the_newest_waiting_job_runs(qtbot, runner):
    gate, ran = threading.Event(), []

    def wait():
        gate.wait(5)
        return
        yield

    def make(n):
        def job():
            yield
            return n

        return job

    runner.submit(wait, topic="load", on_done=lambda _: None, on_error=ran.append)
    for n in range(5):
        runner.submit(make(n), topic="p", on_done=ran.append, on_error=ran.append)
    gate.set()
    qtbot.waitUntil(lambda: bool(ran))
    qtbot.wait(30)
    assert ran == [4]


def test_an_out_of_memory_error_of_a_job_reaches_the_session(qtbot, runner):
    predictor = FakePredictor(error=RuntimeError("out of memory"))
    session = make_session(predictor=predictor, runner=runner)
    session.prompting.add_click(12, 12)
    qtbot.waitUntil(lambda: bool(session.failures))
    assert "Memory ran out" in str(session.failures[0])


def test_the_event_loop_keeps_ticking_while_a_slow_predictor_runs(qtbot, runner):
    gate = threading.Event()
    predictor = FakePredictor(before_answer=lambda: gate.wait(30))
    session = make_session(predictor=predictor, runner=runner)
    ticks = []

    def tick():
        ticks.append(session.is_busy)
        if len(ticks) == 20:
            gate.set()

    timer = QTimer()
    timer.timeout.connect(tick)
    timer.start(10)
    session.prompting.add_click(12, 12)
    qtbot.waitUntil(lambda: session.prediction is not None)
    timer.stop()
    assert sum(ticks) >= 20


def test_the_card_says_class_and_probability(qtbot):
    session = make_session()
    card = ResultCard(session)
    qtbot.addWidget(card)
    assert card.headline == HINT
    session.prompting.add_click(12, 12)
    assert card.headline == "malignant 0.83"
    session.prompting.reject()
    session.prompting.add_click(60, 60)
    assert card.headline == "No object here"
    session.prompting.reject()
    session.prompting.segment_image()
    assert card.headline == "2 objects found"


def test_the_card_says_uncertain_withheld_loading_and_failed(qtbot):
    from dataclasses import replace

    class Withholding(FakePredictor):
        def predict(self, *args, **kwargs):
            answer = super().predict(*args, **kwargs)
            return replace(answer, classes=None, notes=("Made for ultrasound.",))

    class Unsure(FakePredictor):
        def predict(self, *args, **kwargs):
            return replace(super().predict(*args, **kwargs), is_uncertain=True)

    for predictor, expected in (
        (Withholding(), "Mask without a class"),
        (Unsure(FakeCard()), "uncertain (malignant 0.83)"),
        (FakePredictor(error=WeightsError("No weights.")), "No answer"),
    ):
        session = make_session(predictor=predictor)
        card = ResultCard(session)
        qtbot.addWidget(card)
        session.prompting.add_click(12, 12)
        assert card.headline == expected
    session = make_session(runner=ManualRunner())
    card = ResultCard(session)
    qtbot.addWidget(card)
    session.prompting.add_click(12, 12)
    assert "loading" in card.headline


def test_buttons_of_the_segment_tab_act_on_the_session(qtbot):
    session = make_session()
    view = SegmentView(session, print)
    qtbot.addWidget(view)
    qtbot.mouseClick(view._kinds[PromptKind.BOX], Qt.MouseButton.LeftButton)
    assert session.prompting.kind is PromptKind.BOX
    qtbot.mouseClick(view._negative, Qt.MouseButton.LeftButton)
    assert not session.prompting.is_positive
    session.prompting.toggle_positive()
    assert view._positive.isChecked()
    assert not view._commit.isEnabled()
    qtbot.mouseClick(view._whole, Qt.MouseButton.LeftButton)
    assert view._commit.isEnabled()
    qtbot.mouseClick(view._commit, Qt.MouseButton.LeftButton)
    assert len(session.annotation.records) == 2
    qtbot.mouseClick(view._undo, Qt.MouseButton.LeftButton)
    assert session.annotation.records == ()
    qtbot.mouseClick(view._redo, Qt.MouseButton.LeftButton)
    assert len(session.annotation.records) == 2


def test_without_predict_on_prompt_the_primary_button_segments(qtbot):
    session = make_session()
    view = SegmentView(session, print)
    qtbot.addWidget(view)
    session.change_options(SegmentOptions(predict_on_prompt=False))
    session.prompting.add_click(12, 12)
    assert view._commit.text().startswith("Segment")
    qtbot.mouseClick(view._commit, Qt.MouseButton.LeftButton)
    assert session.prediction.mask.any()
    assert view._commit.text().startswith("Commit")


def test_the_table_shows_objects_in_millimetres(qtbot):
    view, _, _ = objects_view(qtbot)
    first = shown(view)[0]
    assert first[:5] == ["1", "malignant", "proposed", "0.83", "model"]
    assert first[7] == "2.00"
    assert first[8] == f"{256 * 0.05 * 0.1:.2f}"
    header = view.table.model()
    titles = [
        header.headerData(c, Qt.Orientation.Horizontal) for c in range(len(COLUMNS))
    ]
    assert titles[-1] == "area mm²"


def test_the_class_changes_in_the_table_through_the_combo(qtbot):
    view, session, _ = objects_view(qtbot)
    view.show()
    index = view.table.model().index(0, CLASS_COLUMN)
    view.table.edit(index)
    combo = view.table.findChild(QComboBox)
    benign = session.classes.table.find_name("benign")
    combo.setCurrentIndex(combo.findData(benign.id))
    combo.activated.emit(combo.currentIndex())
    assert session.annotation.records[0].class_id == benign.id
    assert shown(view)[0][1:5] == ["benign", "proposed", "0.83", "user"]
    session.undo()
    assert shown(view)[0][1] == "malignant"


def test_filter_selection_and_zoom(qtbot):
    view, session, viewer = objects_view(qtbot)
    view._filter.setText("benign")
    assert [row[0] for row in shown(view)] == ["2"]
    view._filter.clear()
    session.annotation.select(2)
    assert view.selected_ids() == [2]
    view.table.selectRow(0)
    assert session.annotation.selected_id == 1
    view._on_row_clicked(view.table.model().index(1, 0))
    centre = np.asarray(viewer.scene.camera.center)[-2:]
    np.testing.assert_allclose(centre, (44 * 0.05, 43 * 0.1), atol=0.1)


def test_classes_are_made_renamed_mapped_and_deleted_in_their_editor(qtbot):
    view, session, _ = objects_view(qtbot)
    editor = view._classes.content().layout().itemAt(0).widget()
    editor._name.setText("cyst")
    qtbot.mouseClick(editor._add, Qt.MouseButton.LeftButton)
    cyst = session.classes.table.find_name("cyst")
    assert cyst is not None
    combo = editor._mapping.itemAt(1, editor._mapping.ItemRole.FieldRole).widget()
    combo.activated.emit(combo.findData(cyst.id))
    assert session.classes.table.resolve("malignant") == cyst
    editor._on_delete_clicked(cyst)
    assert session.classes.table.find_name("cyst") is None
    editor._name.setText("benign")
    editor._on_add_clicked()
    assert "already" in str(session.failures[-1])


def test_a_form_shows_and_edits_a_pydantic_model(qtbot):
    changed = []
    form = make_form(SegmentOptions(fill_opacity=0.5), changed.append)
    qtbot.addWidget(form.native)
    assert form.asdict() == SegmentOptions(fill_opacity=0.5).model_dump()
    form["smallest_object_px"].value = 55
    assert changed == [SegmentOptions(fill_opacity=0.5, smallest_object_px=55)]
    assert form["fill_opacity"].max == 1


def test_the_keyboard_map_names_every_key(qtbot):
    popover = KeysPopover()
    qtbot.addWidget(popover)
    text = " ".join(label.text() for label in popover.findChildren(QLabel))
    for word in ("Commit", "Undo", "Point prompts", "Hold to hide"):
        assert word in text


def test_nothing_returned_by_qt_never_uses_none_up(qtbot):
    import sys

    protect_none()
    label = QLabel()
    qtbot.addWidget(label)
    before = sys.getrefcount(None)
    for _ in range(1000):
        label.setText("a")
    assert sys.getrefcount(None) > before // 2 + 1000
