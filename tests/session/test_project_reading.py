"""A damaged page, a folder that is gone, a database held for long: said, not raised."""

import sqlite3
from contextlib import closing

import pytest

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.journal_mode import JournalMode
from napari_segmoe.project.store import DATABASE, ProjectStore
from tests.session.project_fakes import (
    choose,
    commit_at,
    open_project,
    state_of,
    write_images,
)


@pytest.fixture
def made(tmp_path):
    """A closed project with one object on one image."""
    (scan,) = write_images(tmp_path / "scans", "one")
    session = open_project(tmp_path / "study.segmoe")
    choose(session, scan)
    commit_at(session, 12, 12)
    session.correction.finish_tile()
    session.close()
    return tmp_path / "study.segmoe", scan


def spoil(path, table):
    """Write nonsense over the page that a table begins on; returns what was there."""
    database = path / DATABASE
    with closing(sqlite3.connect(database)) as raw:
        (page,) = raw.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)
        ).fetchone()
        (size,) = raw.execute("PRAGMA page_size").fetchone()
    whole = database.read_bytes()
    start = (page - 1) * size
    database.write_bytes(whole[:start] + b"\xa5" * size + whole[start + size :])
    return whole


def test_a_damaged_page_is_a_sentence_and_the_rest_is_shown(made):
    path, scan = made
    whole = spoil(path, "tiles")
    session = open_project(path)
    choose(session, scan)
    reading = session.project.reading
    assert [row.title for row in session.worklist.rows] == ["one"]
    assert reading.failure == (
        "study.segmoe cannot be used. The database is damaged: verify it, then restore"
        " a backup. Missing here: objects of an image, state of the images."
    )
    assert session.annotation.records == ()
    assert session.failures == []  # it stands in the dock already
    session.project.store._connection.close()
    (path / DATABASE).write_bytes(whole)
    session.project.store._connection = ProjectStore.open(path)._connection
    session.project.arrivals.read_again()
    assert reading.failure == ""
    assert len(session.annotation.records) == 1
    session.close()


@pytest.mark.parametrize("table", ["objects", "classes"])
def test_what_is_damaged_too_much_is_refused_when_opened(made, table):
    path, _ = made
    spoil(path, table)
    with pytest.raises(ProjectError, match="restore a backup"):
        open_project(path)


@pytest.mark.parametrize(
    ("order", "read"),
    [
        ("UPDATE objects SET state = 'x'", lambda s: s.objects("image-0001")),
        ("UPDATE images SET record = '{'", lambda s: s.images()),
        ("UPDATE images SET record = '{}'", lambda s: s.image("image-0001")),
        ("UPDATE label_blocks SET runs = x'00'", lambda s: s.labels("image-0001")),
    ],
)
def test_contents_that_make_no_sense_are_a_project_error(made, order, read):
    path, _ = made
    with closing(sqlite3.connect(path / DATABASE)) as raw:
        raw.execute(order)
        raw.commit()
    with (
        ProjectStore.open(path) as store,
        pytest.raises(ProjectError, match="restore a backup"),
    ):
        read(store)


def test_a_folder_that_is_gone_takes_no_steps_until_it_is_back(made):
    path, scan = made
    session = open_project(path)
    choose(session, scan)
    path.rename(path.with_name("moved"))
    session.correction.grow([1], 1)
    assert session.project.unsaved == 1
    assert "no longer where it was opened" in session.project.failure
    assert session.worklist.rows == ()
    assert "Bring it back to its place" in session.project.reading.failure
    path.with_name("moved").rename(path)
    assert session.project.retry()
    assert len(session.worklist.rows) == 1
    assert session.project.reading.failure == ""
    before = state_of(session)
    session.close()
    other = open_project(path)
    choose(other, scan)
    assert state_of(other)[:3] == before[:3]
    other.close()


def test_no_task_and_no_round_begins_in_a_folder_that_is_gone(made):
    path, _ = made
    session = open_project(path)
    path.rename(path.with_name("moved"))
    tasks, runs = session.project_tasks, session.training_runs
    for begin in (tasks.verify, tasks.back_up, runs.start_round):
        with pytest.raises(ProjectError, match="no longer where it was opened"):
            begin()
    runs.look_around()
    runs.poll()
    session.close()
    assert not path.exists()


def test_another_project_in_its_place_is_not_written_to(made):
    path, scan = made
    session = open_project(path)
    choose(session, scan)
    path.rename(path.with_name("moved"))
    ProjectStore.create(path).close()
    session.correction.grow([1], 1)
    assert session.project.failure.startswith("Another project lies where")
    with ProjectStore.open(path) as other:
        assert other.last_number() == 1
    session.project.close(discard=True)


def test_a_database_that_is_held_is_waited_for_once(made, monkeypatch):
    monkeypatch.setattr(
        "napari_segmoe.project.database.probe_journal_mode",
        lambda folder: JournalMode.ROLLBACK,
    )
    path, scan = made
    session = open_project(path)
    choose(session, scan)
    reading, waits = session.project.reading, []
    monkeypatch.setattr("napari_segmoe.session.project_reading.PATIENCE_S", 0.05)
    patient = ProjectStore.set_patience

    def note(store, seconds):
        waits.append(seconds)
        patient(store, seconds)

    monkeypatch.setattr(ProjectStore, "set_patience", note)
    with closing(sqlite3.connect(path / DATABASE, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert session.worklist.rows == ()
        assert "Another program holds the project" in reading.failure
        waits.clear()
        assert session.worklist.rows == ()
        assert 0.05 not in waits
        other.execute("ROLLBACK")
    assert len(session.worklist.rows) == 1
    assert reading.failure == ""
    session.close()


def test_a_project_that_became_read_only_is_read_and_keeps_steps(made):
    path, scan = made
    session = open_project(path)
    choose(session, scan)
    session.project.store._connection.execute("PRAGMA query_only = 1")
    session.correction.grow([1], 1)
    assert "The folder is read-only: allow writing" in str(session.failures[0])
    assert session.project.unsaved == 1
    assert len(session.worklist.rows) == 1
    assert session.project.reading.failure == ""
    session.project.store._connection.execute("PRAGMA query_only = 0")
    assert session.project.retry()
    session.close()


def test_the_class_list_of_a_damaged_project_does_not_stop_a_step(made):
    path, scan = made
    session = open_project(path)
    choose(session, scan)
    session.project.store._connection.execute("PRAGMA query_only = 0")
    session.project.store._connection.execute("DROP TABLE classes")
    session.classes.make("new")
    assert "classes" in session.project.reading.failure
    assert session.classes.table.find_name("new") is not None
    assert session.project.unsaved == 1
    session.project.close(discard=True)
