"""Steps that the project does not take are never lost in silence."""

import shutil

import pytest

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.recent_projects import recent_projects
from napari_segmoe.project.store import DATABASE, ProjectStore
from napari_segmoe.project.verification import verify_project
from tests.session.project_fakes import (
    choose,
    commit_at,
    open_project,
    state_of,
    write_images,
)
from tests.session.test_project_reading import spoil


@pytest.fixture
def work(tmp_path):
    """A session with one object stored, and two steps that a full disk refuses."""
    (scan,) = write_images(tmp_path / "scans", "one")
    session = open_project(tmp_path / "study.segmoe")
    choose(session, scan)
    commit_at(session, 12, 12)
    session.project.store._connection.execute("PRAGMA query_only = 1")
    session.correction.grow([1], 2)
    commit_at(session, 40, 40)
    assert session.project.unsaved == 2
    yield session, scan
    if session.project.is_open:
        session.project.discard()
    session.close()


def reopened(path, scan):
    assert verify_project(path).faults == ()
    session = open_project(path)
    choose(session, scan)
    found = state_of(session)
    session.close()
    return found


def test_a_copy_elsewhere_takes_all_and_goes_on(work, tmp_path):
    session, scan = work
    before = state_of(session)
    session.project.save_copy(tmp_path / "usb" / "copy.segmoe")
    assert session.project.path == tmp_path / "usb" / "copy.segmoe"
    assert session.project.unsaved == 0
    assert state_of(session) == before
    session.correction.shrink([2], 1)
    for _ in range(4):  # shrink, commit, its click, grow
        session.undo()
    assert session.annotation.records[0].measured.area_px == 256
    session.redo()
    after = state_of(session)
    session.close()
    assert reopened(tmp_path / "usb" / "copy.segmoe", scan)[:2] == after[:2]
    with ProjectStore.open(tmp_path / "study.segmoe") as old:
        assert len(old.objects("image-0001")) == 1


def test_a_copy_is_made_of_a_project_whose_folder_is_gone(work, tmp_path):
    session, scan = work
    shutil.rmtree(session.project.path)
    before = state_of(session)
    session.project.save_copy(tmp_path / "copy.segmoe")
    session.close()
    assert reopened(tmp_path / "copy.segmoe", scan)[:3] == before[:3]


def test_of_a_damaged_project_the_copy_has_what_is_shown(work, tmp_path):
    session, scan = work
    session.correction.finish_tile((0, 0, 30, 30))
    path = session.project.path
    session.project.store._connection.execute("PRAGMA query_only = 0")
    session.project.store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    session.project.store._connection.execute("PRAGMA query_only = 1")
    spoil(path, "label_blocks")
    session.project.store._connection.execute("PRAGMA shrink_memory")
    before = state_of(session)
    session.project.save_copy(tmp_path / "copy.segmoe")
    assert "what this window shows" in session.notes[-1]
    session.close()
    found = reopened(tmp_path / "copy.segmoe", scan)
    assert found[:3] == before[:3]
    assert [one.name for one in found[3].entries] == [
        one.name for one in before[3].entries
    ]


def test_no_copy_is_made_over_something(work, tmp_path):
    session, _ = work
    (tmp_path / "there.segmoe").mkdir()
    for name, said in (("there.segmoe", "exists already"), ("copy", "must end in")):
        with pytest.raises(ProjectError, match=said):
            session.project.save_copy(tmp_path / name)
    assert session.project.path == tmp_path / "study.segmoe"
    assert session.project.unsaved == 2


def test_discarded_steps_are_gone_and_the_project_is_shown(work):
    session, _ = work
    session.project.discard()
    assert session.project.unsaved == 0
    assert [one.measured.area_px for one in session.annotation.records] == [256]
    session.project.store._connection.execute("PRAGMA query_only = 0")
    session.correction.grow([1], 1)
    assert session.project.unsaved == 0
    assert session.project.failure == ""


def test_a_session_that_ends_without_a_word_leaves_a_copy(work, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGMOE_STATE", str(tmp_path / "state"))
    session, scan = work
    before = state_of(session)
    session.close()
    place = recent_projects()[0]
    assert place.parent == tmp_path / "state" / "rescued"
    assert reopened(place, scan)[:3] == before[:3]
    assert (tmp_path / "study.segmoe" / DATABASE).is_file()
