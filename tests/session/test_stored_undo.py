"""Undo after a project was opened again: out of its events, as new events."""

import pytest

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.importing import set_objects
from napari_segmoe.project.records import ReviewState
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.project.verification import verify_project
from tests.session.project_fakes import (
    choose,
    commit_at,
    open_project,
    state_of,
    write_images,
)


@pytest.fixture
def place(tmp_path):
    (scan,) = write_images(tmp_path / "scans", "one")
    path = tmp_path / "study.segmoe"
    yield path, scan
    assert verify_project(path).faults == ()


def begin(place, **options):
    session = open_project(place[0], **options)
    choose(session, place[1])
    return session


def work(session):
    """Do one step of each kind; yields before each."""
    yield
    commit_at(session, 12, 12)
    yield
    commit_at(session, 40, 40)
    yield
    session.correction.grow([1], 2)
    yield
    number = session.classes.make("own")
    yield
    session.annotation.assign_class([2], number)
    yield
    session.correction.lock([1])
    yield
    session.correction.finish_tile((0, 0, 20, 20))
    yield
    session.annotation.delete([2])
    yield


def content(session):
    labels, records, tiles, classes = state_of(session)
    return labels, records, tiles, classes.entries


def test_steps_of_before_are_undone_one_by_one_and_done_again(place):
    session = begin(place)
    states = [content(session) for _ in work(session)]
    session.close()
    session = begin(place)
    assert content(session) == states[-1]
    assert session.project.undoing.can_undo(session.workspace)
    for expected in states[-2::-1]:
        session.undo()
        assert content(session) == expected
    assert not session.project.undoing.can_undo(session.workspace)
    session.undo()
    assert session.notes[-1] == "There is nothing to undo."
    for expected in states[1:]:
        session.redo()
        assert content(session) == expected
    assert session.failures == []
    session.close()
    again = begin(place)
    assert content(again) == states[-1]
    again.close()


def test_an_undo_may_go_on_in_the_next_window(place):
    session = begin(place)
    states = [content(session) for _ in work(session)]
    session.close()
    for expected in states[-2::-1]:
        session = begin(place)
        session.undo()
        assert content(session) == expected
        session.close()
        assert content(begin(place)) == expected


def test_what_was_undone_before_is_passed_over(place):
    session = begin(place)
    commit_at(session, 12, 12)
    session.correction.grow([1], 2)
    session.undo()
    session.correction.shrink([1], 1)
    session.undo()
    session.redo()
    session.close()
    session = begin(place)
    session.undo()  # shrink
    assert session.annotation.records[0].measured.area_px == 256
    session.undo()  # commit
    assert session.annotation.records == ()
    session.close()


def test_fifty_steps_and_more_can_be_taken_back(place):
    session = begin(place)
    commit_at(session, 12, 12)
    before = content(session)
    for _ in range(30):
        session.correction.grow([1], 1)
        session.correction.shrink([1], 1)
    session.close()
    session = begin(place)
    for _ in range(60):
        session.undo()
    assert content(session) == before
    session.close()


def test_the_prompts_of_a_committed_object_come_back(place):
    session = begin(place)
    session.prompting.add_click(12, 12)
    session.prompting.add_click(3, 3, positive=False)
    given = session.prompts
    session.annotation.commit()
    session.close()
    session = begin(place)
    session.undo()
    assert session.prompts == given
    session.close()


def test_nobody_takes_back_what_somebody_else_did(place):
    session = begin(place)
    session.project.annotator = "reader-1"
    commit_at(session, 12, 12)
    session.close()
    session = begin(place)
    session.project.annotator = "reader-2"
    session.undo()
    assert session.notes[-1] == "There is nothing to undo."
    session.project.annotator = "reader-1"
    session.undo()
    assert session.annotation.records == ()
    session.close()


def test_an_import_can_be_taken_back(place):
    session = begin(place)
    commit_at(session, 12, 12)
    before = content(session)
    session.close()
    with ProjectStore.open(place[0]) as store:
        labels = store.labels("image-0001")
        labels[:] = 0
        labels[50:60, 50:60] = 1
        record = store.image("image-0001")
        set_objects(store, record, labels, {1: None}, is_finished=True)
    session = begin(place)
    assert session.annotation.labels[55, 55] == 1
    session.undo()
    assert content(session) == before
    session.close()


def test_a_class_that_another_image_made_is_not_taken_back(place, tmp_path):
    _, other = write_images(tmp_path / "more", "a", "b")
    session = begin(place)
    session.classes.make("mine")
    choose(session, other)
    session.classes.make("later")
    session.close()
    session = begin(place)
    session.undo()
    assert session.notes[-1] == "There is nothing to undo."
    assert session.classes.table.find_name("mine") is not None
    choose(session, other)
    session.undo()
    assert session.classes.table.find_name("later") is None
    assert session.classes.table.find_name("mine") is not None
    session.close()


def test_a_class_deleted_since_leaves_its_objects_without_one(place, tmp_path):
    _, other = write_images(tmp_path / "more", "a", "b")
    session = begin(place)
    commit_at(session, 12, 12)
    number = session.classes.make("short-lived")
    session.annotation.assign_class([1], number)
    session.annotation.delete([1])
    choose(session, other)
    session.classes.delete(number)
    session.close()
    session = begin(place)
    session.undo()
    assert session.annotation.records[0].class_id is None
    session.close()


def test_steps_that_wait_keep_undo_from_reaching_behind_them(place):
    session = begin(place)
    commit_at(session, 12, 12)
    session.close()
    session = begin(place)
    connection = session.project.store._connection
    connection.execute("PRAGMA query_only = 1")
    session.undo()
    assert session.annotation.records == ()
    assert session.project.unsaved == 1
    session.undo()
    assert session.notes[-1] == "There is nothing to undo."
    connection.execute("PRAGMA query_only = 0")
    assert session.project.retry()
    session.close()
    assert begin(place).annotation.records == ()


def test_damaged_events_are_said_and_nothing_changes(place, monkeypatch):
    session = begin(place)
    commit_at(session, 12, 12)
    session.close()
    session = begin(place)
    before = content(session)

    def refuse(*_, **__):
        raise ProjectError("damaged")

    monkeypatch.setattr(ProjectStore, "find_undoable", refuse)
    session.undo()
    assert content(session) == before
    assert str(session.failures[-1]) == "damaged"
    assert session.annotation.records[0].state is ReviewState.ACCEPTED
    session.close()
