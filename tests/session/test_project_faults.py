"""A full disk, a read-only folder, a locked database: one sentence, nothing lost."""

import sqlite3
from contextlib import closing

import pytest

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.store import DATABASE, ProjectStore
from tests.session.project_fakes import (
    choose,
    commit_at,
    open_project,
    state_of,
    write_images,
)


@pytest.fixture
def session(tmp_path):
    (scan,) = write_images(tmp_path / "scans", "one")
    session = open_project(tmp_path / "study.segmoe")
    choose(session, scan)
    yield session
    session.close()


def fill_the_disk(session, pages=0):
    """Let the database grow no more: SQLite then says that the disk is full."""
    connection = session.project.store._connection
    (now,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {now + pages}")


def free_the_disk(session):
    session.project.store._connection.execute("PRAGMA max_page_count = 1000000")


def test_a_full_disk_keeps_steps_in_memory_until_there_is_room(session):
    fill_the_disk(session)
    for _ in range(40):
        session.classes.make(f"class {len(session.classes.table.entries)}")
    commit_at(session, 12, 12)
    first = session.failures[0]
    assert isinstance(first, ProjectError)
    assert "The disk is full: free space" in str(first)
    assert "unsaved, and kept in this window" in str(first)
    assert len(session.failures) == 1  # said once, not at each step
    assert session.project.unsaved > 1
    assert len(session.annotation.records) == 1
    with pytest.raises(ProjectError, match="not stored in the project yet"):
        session.project.close()
    free_the_disk(session)
    session.correction.grow([1], 1)
    assert session.project.unsaved == 0
    assert session.notes[-1] == "All steps are stored in the project again."
    assert len(session.project.store.objects("image-0001")) == 1
    assert len(session.project.store.classes()) == len(session.classes.table.entries)


def test_a_locked_database_is_said_and_tried_again(session):
    path = session.project.path / DATABASE
    session.project.store.set_patience(0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        commit_at(session, 12, 12)
        assert "Another program holds the project" in str(session.failures[0])
        assert session.project.unsaved == 1
        assert not session.project.retry()
        other.execute("ROLLBACK")
    assert session.project.retry()
    assert len(session.project.store.objects("image-0001")) == 1


def test_undo_of_an_unsaved_step_is_stored_in_its_order(session):
    fill_the_disk(session)
    for number in range(40):
        session.classes.make(f"class {number}")
    commit_at(session, 12, 12)
    session.undo()
    session.redo()
    free_the_disk(session)
    assert session.project.retry()
    before = state_of(session)
    session.choose_image(session.image)
    other = open_project(session.project.path)
    choose(other, session.image.path)
    assert state_of(other)[:2] == before[:2]


def test_a_new_image_on_a_full_disk_is_worked_on_and_joins_later(session, tmp_path):
    fill_the_disk(session)
    for number in range(40):
        session.classes.make(f"class {number}")
    *_, other = write_images(tmp_path / "more", "a", "b")
    choose(session, other)
    commit_at(session, 12, 12)
    assert len(session.annotation.records) == 1
    free_the_disk(session)
    assert session.project.retry()
    assert len(session.project.store.objects("image-0002")) == 1


def test_a_project_without_write_access_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "study.segmoe"
    ProjectStore.create(path).close()

    def refuse(database, **options):
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr("napari_segmoe.project.database.sqlite3.connect", refuse)
    with pytest.raises(ProjectError, match="readonly"):
        open_project(path)


def test_unsaved_steps_may_be_given_up_on_purpose(session):
    fill_the_disk(session)
    for number in range(40):
        session.classes.make(f"class {number}")
    assert session.project.unsaved
    session.project.close(discard=True)
    assert not session.project.is_open
