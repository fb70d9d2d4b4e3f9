"""The Project tab, the worklist and the banner follow the session, and act on it."""

from datetime import datetime
from types import SimpleNamespace

import pytest
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_segmoe.project.headlines import Headline
from napari_segmoe.project.recent_projects import note_project
from napari_segmoe.project.records import Change, EventKind
from napari_segmoe.session.worklist import WorklistOrder, WorklistStatus
from napari_segmoe.widgets.history_model import PAGE, HistoryModel, say_when
from napari_segmoe.widgets.project_banner import ProjectBanner
from napari_segmoe.widgets.project_view import ProjectView
from napari_segmoe.widgets.worklist_bar import WorklistBar
from tests.session.fakes import FakePredictor, make_pixels, make_session

LEFT = Qt.MouseButton.LeftButton


class SteppingPredictor(FakePredictor):
    """Answers images step by step too."""

    def predict_steps(self, *, locked=None):
        yield
        return self.predict()


@pytest.fixture(autouse=True)
def own_list(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGMOE_STATE", str(tmp_path / "state"))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "scans").mkdir()
    for number in range(3):
        pixels = make_pixels()
        pixels[0, 0] = 10 + number
        Image.fromarray(pixels).save(tmp_path / "scans" / f"scan-{number}.png")
    return tmp_path / "scans"


@pytest.fixture
def opened(qtbot, tmp_path):
    session = make_session(predictor=SteppingPredictor())
    view = ProjectView(session)
    qtbot.addWidget(view)
    view.resize(340, 900)
    view.show()
    session.project.create(tmp_path / "study.segmoe")
    yield SimpleNamespace(session=session, view=view)
    session.close()


def choose(monkeypatch, kind, path):
    answer = (str(path), "") if kind == "getSaveFileName" else str(path)
    monkeypatch.setattr(QFileDialog, kind, lambda *args: answer)


def test_without_a_project_the_tab_makes_and_opens_one(qtbot, monkeypatch, tmp_path):
    note_project(tmp_path)
    note_project(tmp_path / "gone.segmoe")
    session = make_session()
    view = ProjectView(session)
    qtbot.addWidget(view)
    view.show()
    assert [one.toolTip() for one in view.start.recent_buttons] == [str(tmp_path)]
    choose(monkeypatch, "getSaveFileName", tmp_path / "study")
    qtbot.mouseClick(view.start._new, LEFT)
    assert session.project.path == tmp_path / "study.segmoe"
    assert view._opened.isVisible()
    qtbot.mouseClick(view._close, LEFT)
    assert session.project.store is None
    assert view.start.isVisible()
    choose(monkeypatch, "getExistingDirectory", tmp_path / "study.segmoe")
    qtbot.mouseClick(view.start._open, LEFT)
    assert session.project.is_open
    session.close()


def test_what_is_no_project_is_said_and_nothing_opens(opened, monkeypatch, tmp_path):
    (tmp_path / "empty").mkdir()
    opened.view.open(tmp_path / "empty")
    assert "is no project" in str(opened.session.failures[-1])
    assert opened.session.project.path == tmp_path / "study.segmoe"


def test_an_annotator_is_named_in_the_tab(opened, qtbot):
    line = opened.view.annotator.lineEdit()
    qtbot.keyClicks(line, "reader-2")
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert opened.session.project.annotator == "reader-2"
    assert opened.session.project.store.annotators() == ("reader-2",)
    assert opened.view.annotator.currentText() == "reader-2"


def test_the_summary_counts_objects_as_they_come(opened, qtbot):
    opened.session.prompting.segment_image()
    opened.session.annotation.commit()
    assert opened.view._summary.text() == "1 image · 2 objects · 0 accepted"
    opened.session.correction.accept([1, 2])
    assert opened.view._summary.text() == "1 image · 2 objects · 2 accepted"


def test_the_worklist_shows_how_far_images_are(opened, qtbot, folder):
    session, worklist = opened.session, opened.view.worklist
    asked = []
    session.worklist.open_requested.connect(asked.append)
    session.worklist.add([folder])
    qtbot.waitUntil(lambda: len(worklist.rows) == 4)
    assert worklist._counts.text() == "0 of 4 done"
    session.prompting.segment_image()
    session.annotation.commit()
    session.worklist.mark_done()
    qtbot.waitUntil(lambda: worklist._counts.text() == "1 of 4 done")
    done = next(row for row in worklist.rows if row.is_current)
    assert done.status is WorklistStatus.DONE
    assert worklist._done.text() == "Not finished after all"
    at = worklist.rows.index(done)
    other = 1 if at == 0 else at - 1
    index = worklist.table.model().index(other, 0)
    worklist.table.doubleClicked.emit(index)
    assert [one.name for one in asked] == [f"{worklist.rows[other].title}.png"]


def test_the_order_of_images_is_chosen_in_the_tab(opened, qtbot, folder):
    session, worklist = opened.session, opened.view.worklist
    session.worklist.add([folder])
    worklist._order.setCurrentIndex(worklist._order.findData(WorklistOrder.UNCERTAIN))
    worklist._order.activated.emit(worklist._order.currentIndex())
    assert session.worklist.order is WorklistOrder.UNCERTAIN
    qtbot.waitUntil(
        lambda: sum(row.uncertainty is not None for row in worklist.rows) >= 3
    )
    shown = [row.uncertainty for row in worklist.rows if row.uncertainty is not None]
    assert shown == sorted(shown, reverse=True)


def test_the_bar_tells_the_place_from_every_tab(qtbot, tmp_path, folder):
    session = make_session(image=False)
    bar = WorklistBar(session)
    qtbot.addWidget(bar)
    assert bar.isHidden()
    asked = []
    session.worklist.open_requested.connect(asked.append)
    session.worklist.add([folder])
    qtbot.waitUntil(lambda: not bar.isHidden())
    assert bar.text == "3 images in the worklist"
    qtbot.mouseClick(bar._on, LEFT)
    assert [one.name for one in asked] == ["scan-0.png"]


def test_history_is_read_a_page_at_a_time_and_grows_on_top(opened, qtbot):
    store, history = opened.session.project.store, opened.view.history
    for number in range(2 * PAGE + 20):
        store.append(EventKind.RUN, Change(details={"step": number}))
    history._on_settled()
    assert len(history.model.rows) == PAGE
    assert history.model.canFetchMore()
    history.model.fetchMore()
    assert len(history.model.rows) == 2 * PAGE
    opened.session.prompting.segment_image()
    opened.session.annotation.commit()
    history._on_settled()
    assert history.model.rows[0].kind is EventKind.COMMIT
    numbers = [row.number for row in history.model.rows]
    assert numbers == list(range(numbers[0], numbers[0] - len(numbers), -1))
    assert history.model.index(0, 1).data().startswith("Committed 2 objects")
    while history.model.canFetchMore():
        history.model.fetchMore()
    assert history.model.rows[-1].kind is EventKind.CREATED


def test_times_of_today_are_hours_and_older_ones_days():
    now = datetime.fromisoformat("2026-11-21T18:00:00").astimezone()
    assert say_when(now.isoformat(), now=now) == "18:00"
    assert say_when("2026-11-03T12:00:00+00:00", now=now) == "3 Nov"
    assert say_when("2025-11-03T12:00:00+00:00", now=now) == "3 Nov 25"


def test_a_model_without_events_is_empty(qtbot):
    model = HistoryModel(lambda below, limit: ())
    model.read_anew()
    model.read_newer()
    assert model.rowCount() == 0
    line = Headline(
        1, "2026-11-21T16:00:00+00:00", EventKind.CREATED, None, None, (), False, ""
    )
    grown = HistoryModel(lambda below, limit: (line,) if below is None else ())
    grown.read_newer()
    assert grown.rowCount() == 1


def test_export_verify_and_backup_end_in_readable_words(
    opened, qtbot, monkeypatch, tmp_path
):
    view = opened.view
    for section in (view.exchange, view.safety):
        assert section.task.isHidden()
    choose(monkeypatch, "getSaveFileName", tmp_path / "out")
    view.exchange._export.click()
    assert view.exchange.task.text.startswith("Wrote 4 files")
    view.safety._verify.click()
    assert view.safety.task.text.startswith("Whole: ")
    view.safety._back_up.click()
    assert view.safety.task.text.startswith("Backed up")
    assert len(view.safety.restore_buttons) == 1
    choose(monkeypatch, "getSaveFileName", tmp_path / "again")
    view.safety.restore_buttons[0].click()
    assert view.safety.task.text == "Restored as again.segmoe."
    view.safety._open.click()
    assert opened.session.project.path == tmp_path / "again.segmoe"


def test_the_banner_tells_of_a_crash_until_it_is_understood(qtbot, tmp_path):
    session = make_session()
    banner = ProjectBanner(session)
    qtbot.addWidget(banner)
    session.project.create(tmp_path / "study.segmoe")
    assert banner.isHidden()
    session.project.notes = ("napari was not closed properly. Restored: 3 actions.",)
    session.project_changed.emit()
    assert not banner.isHidden()
    assert "Restored: 3 actions" in banner.text
    qtbot.mouseClick(banner.closing, LEFT)
    assert banner.isHidden()
    session.project_changed.emit()
    assert banner.isHidden()
    session.close()


def test_the_banner_keeps_unsaved_steps_in_sight_and_tries_again(qtbot, tmp_path):
    import sqlite3

    session = make_session()
    banner = ProjectBanner(session)
    qtbot.addWidget(banner)
    session.project.create(tmp_path / "study.segmoe")
    session.project.store.set_patience(0.05)
    other = sqlite3.connect(tmp_path / "study.segmoe" / "project.db")
    other.execute("BEGIN IMMEDIATE")
    session.prompting.segment_image()
    session.annotation.commit()
    assert not banner.isHidden()
    assert banner.text.startswith("1 step is not stored")
    assert not banner._choices.isHidden()
    other.rollback()
    other.close()
    banner._retry.click()
    assert session.project.unsaved == 0
    assert banner.isHidden()
    assert len(session.project.store.objects("image-0001")) == 2
    session.close()


def test_the_banner_says_what_cannot_be_read_until_it_can(qtbot, tmp_path):
    session = make_session()
    banner = ProjectBanner(session)
    qtbot.addWidget(banner)
    view = ProjectView(session)
    qtbot.addWidget(view)
    view.show()
    session.project.create(tmp_path / "study.segmoe")
    connection = session.project.store._connection
    connection.execute("ALTER TABLE tiles RENAME TO gone")
    view.worklist._on_settled()
    assert not banner.isHidden()
    assert "Missing here: state of the images." in banner.text
    assert not banner._again.isHidden()
    assert banner._choices.isHidden()
    banner._again.click()
    view.worklist._on_settled()
    assert not banner.isHidden()
    connection.execute("ALTER TABLE gone RENAME TO tiles")
    banner._again.click()
    view.worklist._on_settled()
    assert banner.isHidden()
    assert session.failures == []
    session.close()
