"""Before a project with unsaved steps is closed, the user is asked, and obeyed."""

import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QMainWindow, QMessageBox

from napari_segmoe.project.store import ProjectStore
from napari_segmoe.widgets.project_view import ProjectView
from napari_segmoe.widgets.unsaved_dialog import Answer, CloseGuard
from tests.session.fakes import FakePredictor, make_session


@pytest.fixture
def session(tmp_path):
    session = make_session()
    session.project.create(tmp_path / "study.segmoe")
    session.project.store._connection.execute("PRAGMA query_only = 1")
    session.prompting.segment_image()
    session.annotation.commit()
    assert session.project.unsaved == 1
    yield session
    if session.project.is_open and session.project.unsaved:
        session.project.discard()
    session.close()


@pytest.fixture
def answers(qtbot):
    """Click these buttons of the dialogs that come, one after the other."""
    wanted, told = [], []

    def answer():
        box = QApplication.activeModalWidget()
        if isinstance(box, QMessageBox) and wanted:
            told.append((box.text(), box.informativeText()))
            one = wanted.pop(0)
            (button,) = [b for b in box.buttons() if b.text() == one.value]
            QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    timer = QTimer()
    timer.timeout.connect(answer)
    timer.start(20)
    yield wanted, told
    timer.stop()


@pytest.fixture
def window(qtbot, session):
    window = QMainWindow()  # pytest-qt would close it before the guard is gone
    window.guard = CloseGuard(session, window, window)
    window.show()
    yield window
    window.removeEventFilter(window.guard)
    window.close()
    window.deleteLater()


def test_a_window_stays_open_where_the_user_cancels(window, session, answers):
    wanted, told = answers
    wanted += [Answer.RETRY, Answer.CANCEL]
    assert not window.close()
    assert window.isVisible()
    assert session.project.unsaved == 1
    assert told[0][0].startswith("1 step is not stored in the project")
    assert "The folder is read-only: allow writing" in told[0][1]
    assert len(told) == 2


def test_a_window_closes_once_the_steps_can_be_stored(window, session, answers):
    session.project.store._connection.execute("PRAGMA query_only = 0")
    assert window.close()
    assert answers[1] == []
    assert session.project.unsaved == 0


def test_a_window_closes_after_the_steps_were_given_up(window, session, answers):
    answers[0].append(Answer.DISCARD)
    assert window.close()
    assert session.project.unsaved == 0


def test_the_tab_saves_a_copy_before_it_closes(
    qtbot, session, answers, monkeypatch, tmp_path
):
    view = ProjectView(session)
    qtbot.addWidget(view)
    view.show()
    target = tmp_path / "elsewhere"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(target), ""))
    answers[0].append(Answer.COPY)
    view._close.click()
    assert not session.project.is_open
    with ProjectStore.open(tmp_path / "elsewhere.segmoe") as copy:
        assert len(copy.objects("image-0001")) == 2
    with ProjectStore.open(tmp_path / "study.segmoe") as old:
        assert old.objects("image-0001") == {}


def test_another_project_is_not_opened_over_unsaved_steps(
    qtbot, session, answers, tmp_path
):
    ProjectStore.create(tmp_path / "other.segmoe").close()
    view = ProjectView(session)
    qtbot.addWidget(view)
    answers[0].append(Answer.CANCEL)
    view.open(tmp_path / "other.segmoe")
    assert session.project.path == tmp_path / "study.segmoe"
    answers[0].append(Answer.DISCARD)
    view.open(tmp_path / "other.segmoe")
    assert session.project.path == tmp_path / "other.segmoe"


def test_napari_itself_stays_open_until_it_is_settled(open_window, answers, tmp_path):
    opened = open_window(load_predictor=lambda *_, **__: FakePredictor())
    session, window = opened.session, opened.viewer.window._qt_window
    session.project.create(tmp_path / "study.segmoe")
    session.project.store._connection.execute("PRAGMA query_only = 1")
    session.classes.make("cyst")
    assert session.project.unsaved == 1
    answers[0].append(Answer.CANCEL)
    assert not window.close()
    assert window.isVisible()
    assert len(answers[1]) == 1
    session.project.store._connection.execute("PRAGMA query_only = 0")
    assert session.project.retry()
    assert [one.name for one in session.project.store.classes()][-1] == "cyst"
