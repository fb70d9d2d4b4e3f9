"""History in pages, backups, and the list of projects opened last."""

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.backups import (
    DAILY_KEPT,
    FOLDER,
    list_backups,
    make_backup,
    make_daily_backup,
    restore_backup,
)
from napari_segmoe.project.local_files import note_paths, read_paths
from napari_segmoe.project.open_marks import leave_mark
from napari_segmoe.project.recent_projects import (
    MOST,
    forget_project,
    note_project,
    recent_projects,
)
from napari_segmoe.project.records import Change, EventKind, ModelVersion
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.project.verification import verify_project
from tests.project import scripts


@pytest.fixture
def store(tmp_path):
    with ProjectStore.create(tmp_path / "study.segmoe") as made:
        scripts.begin(made)
        for seed in range(30):
            scripts.act(made, seed)
        yield made


def test_pages_of_headlines_tell_all_events_newest_first(store):
    pages, below = [], None
    while page := store.headlines(below=below, limit=7):
        pages += page
        below = page[-1].number
    events = list(store.events())
    assert [one.number for one in pages] == [e.number for e in reversed(events)]
    for line, event in zip(pages, reversed(events), strict=True):
        assert line.kind is event.kind
        assert line.object_ids == tuple(sorted(event.change.objects or ()))
        assert line.has_pixels == (event.patch is not None)
    kinds = {line.kind: line.text for line in pages}
    assert kinds[EventKind.CLASSES] == "2 classes"
    assert kinds[EventKind.ANNOTATOR] == "reader-1"


def test_a_headline_tells_of_a_published_version_and_its_figures(store):
    model = ModelVersion(number=3, weights_sha256="0" * 64, base="glands", is_current=1)
    change = Change(model=model, details={"holdout_dice": 0.87654, "ok": True})
    store.append(EventKind.PUBLISH, change)
    assert store.headlines(limit=1)[0].text == "version 3 · holdout dice 0.877"


def test_a_damaged_event_is_named(store):
    store._connection.execute("DROP TRIGGER events_stay")
    store._connection.execute("UPDATE events SET payload = '{' WHERE number = 5")
    with pytest.raises(ProjectError, match="Event 5"):
        store.headlines()


def test_a_backup_becomes_a_project_with_all_that_was_there(store, tmp_path):
    note_paths(store.path, {"ab": tmp_path / "scan.png"})
    (store.path / "weights").mkdir()
    (store.path / "weights" / "v0001.safetensors").write_bytes(b"x")
    backup = make_backup(store.path)
    before = scripts.state_of(store)
    scripts.act(store, 99)
    (store.path / FOLDER / "notes.db").write_bytes(b"")
    assert [one.path for one in list_backups(store.path)] == [backup.path]
    target = tmp_path / "again.segmoe"
    restore_backup(backup.path, target)
    with ProjectStore.open(target) as again:
        assert scripts.state_of(again) == before
    assert verify_project(target).faults == ()
    assert read_paths(target) == read_paths(store.path)
    assert (target / "weights" / "v0001.safetensors").read_bytes() == b"x"


def test_a_damaged_backup_makes_no_project(store, tmp_path):
    backup = make_backup(store.path)
    backup.path.write_bytes(b"no database" * 100)
    with pytest.raises(ProjectError):
        restore_backup(backup.path, tmp_path / "again.segmoe")
    assert not (tmp_path / "again.segmoe").exists()
    assert not list(tmp_path.glob(".*partial*"))
    with pytest.raises(ProjectError, match="exists already"):
        restore_backup(backup.path, store.path)


def test_the_newest_project_heads_a_short_list(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGMOE_STATE", str(tmp_path / "state"))
    assert recent_projects() == ()
    paths = [tmp_path / f"{n}.segmoe" for n in range(MOST + 3)]
    for path in (*paths, paths[5]):
        note_project(path)
    assert recent_projects()[0] == paths[5].resolve()
    assert len(recent_projects()) == len(set(recent_projects())) == MOST
    forget_project(paths[5].resolve())
    assert paths[5].resolve() not in recent_projects()
    (tmp_path / "state" / "recent-projects.json").write_text("{")
    assert recent_projects() == ()


def test_a_backup_is_whole_while_another_writes(store):
    other = sqlite3.connect(store.path / "project.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    backup = make_backup(store.path)
    other.execute("ROLLBACK")
    other.close()
    with sqlite3.connect(backup.path) as copy:
        (count,) = copy.execute("SELECT count(*) FROM events").fetchone()
    copy.close()
    assert count == len(list(store.events()))


def in_days(count, *, hours=0):
    return datetime.now(UTC) + timedelta(days=count, hours=hours)


def work_on(store):
    store.append(EventKind.RUN, Change(details={"step": store.last_number()}))


def test_a_project_is_backed_up_once_a_day_and_only_the_last_few_are_kept(store):
    project = store.path
    leave_mark(project, events=1)
    assert make_daily_backup(project) is None  # it was made today
    kept = make_backup(project, now=in_days(0))
    work_on(store)
    assert make_daily_backup(project) is None  # the user made one today
    for day in range(1, DAILY_KEPT + 4):
        work_on(store)
        made = make_daily_backup(project, now=in_days(day))
        assert made.is_daily
        work_on(store)
        assert make_daily_backup(project, now=in_days(day)) is None
    backups = list_backups(project)
    assert [one.is_daily for one in backups] == [True] * DAILY_KEPT + [False]
    assert backups[0] == made
    assert backups[-1] == kept
    restore_backup(backups[0].path, project.with_name("again.segmoe"))
    assert verify_project(project.with_name("again.segmoe")).faults == ()


def test_nothing_new_needs_no_backup(store):
    assert make_daily_backup(store.path, now=in_days(1)) is not None
    assert make_daily_backup(store.path, now=in_days(2)) is None
    work_on(store)
    assert make_daily_backup(store.path, now=in_days(3)) is not None


def test_no_daily_backup_while_another_window_has_the_project(store):
    leave_mark(store.path, events=1)
    leave_mark(store.path, events=1)
    assert make_daily_backup(store.path, now=in_days(1)) is None


def test_a_damaged_project_leaves_the_older_backups_alone(store):
    project = store.path
    whole = make_daily_backup(project, now=in_days(1))
    work_on(store)
    store.close()
    (project / FOLDER / "left.partial").write_bytes(b"killed")
    database = project / "project.db"
    content = database.read_bytes()
    with sqlite3.connect(database) as raw:
        (page,) = raw.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'label_blocks'"
        ).fetchone()
    start = (page - 1) * 4096
    database.write_bytes(content[:start] + b"\xa5" * 4096 + content[start + 4096 :])
    with pytest.raises(ProjectError, match="damaged"):
        make_daily_backup(project, now=in_days(2))
    assert list_backups(project) == (whole,)
    assert [one.name for one in (project / FOLDER).iterdir()] == [whole.path.name]
