import sqlite3
from contextlib import closing

import numpy as np
import pytest

from napari_segmoe.errors import ProjectConflictError, ProjectError
from napari_segmoe.project.headlines import describe_event
from napari_segmoe.project.journal_mode import JournalMode
from napari_segmoe.project.records import (
    Change,
    EventKind,
    ImageRecord,
    ModelVersion,
    ObjectState,
    PixelPatch,
    RunRecord,
    TileState,
)
from napari_segmoe.project.store import DATABASE, ProjectStore
from tests.project import scripts


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study.segmoe"


@pytest.fixture
def store(path):
    with ProjectStore.create(path) as made:
        scripts.begin(made)
        yield made


def test_what_was_done_is_there_after_closing(path):
    with ProjectStore.create(path) as store:
        scripts.begin(store)
        for seed in range(40):
            scripts.act(store, seed)
        before = scripts.state_of(store)
        assert len(before[0]) == 45
        assert sum(len(store.objects(one.name)) for one in store.images()) > 5
    with ProjectStore.open(path) as store:
        assert scripts.state_of(store) == before
        assert store.annotators() == ("reader-1",)
        assert store.classes() == scripts.CLASSES
    with ProjectStore.open(path, read_only=True) as store:
        assert scripts.state_of(store) == before
        with pytest.raises(ProjectError, match="read-only"):
            scripts.draw(store, "image-0001", np.random.default_rng(0))


def test_a_commit_that_is_refused_leaves_no_transaction_open(path, monkeypatch):
    """Without a write-ahead log, a reader keeps a writer from its commit."""
    monkeypatch.setattr(
        "napari_segmoe.project.database.probe_journal_mode",
        lambda folder: JournalMode.ROLLBACK,
    )
    with ProjectStore.create(path) as store:
        scripts.begin(store)
        store.set_patience(0.05)
        before = store.last_number()
        with closing(sqlite3.connect(path / DATABASE)) as reader:
            rows = reader.execute("SELECT number FROM events")
            rows.fetchone()  # the others are not read yet
            with pytest.raises(ProjectError, match="Another program holds"):
                store.append(EventKind.RUN, Change(details={"step": 1}))
            rows.close()
        assert store.last_number() == before
        store.append(EventKind.RUN, Change(details={"step": 1}))
        assert store.last_number() == before + 1


def test_labels_cross_blocks_and_are_read_in_boxes(store):
    box = (200, 230, 290, 300)
    after = np.arange(90 * 70, dtype=np.uint32).reshape(90, 70) % 9
    patch = PixelPatch(box, np.zeros((90, 70), np.uint32), after)
    store.append(EventKind.CORRECT, Change(), image="image-0002", patch=patch)
    whole = store.labels("image-0002")
    assert whole.shape == scripts.SHAPE
    np.testing.assert_array_equal(whole[200:290, 230:300], after)
    assert whole.sum() == after.sum()
    np.testing.assert_array_equal(
        store.labels("image-0002", (250, 250, 260, 270)), whole[250:260, 250:270]
    )
    assert not store.labels("image-0001").any()


def test_an_event_undoes_another(store):
    before = scripts.state_of(store)[1:]
    event = scripts.draw(store, "image-0001", np.random.default_rng(4))
    assert scripts.state_of(store)[1:] != before
    patch = PixelPatch(event.patch.box, event.patch.after, event.patch.before)
    gone = dict.fromkeys(event.change.objects)
    store.append(EventKind.UNDO, Change(objects=gone), image="image-0001", patch=patch)
    assert scripts.state_of(store)[1:] == before


def test_a_tile_can_be_unfinished_again(store):
    tile = TileState(box=(0, 0, 64, 64))
    store.append(EventKind.FINISH_TILE, Change(tiles=(tile,)), image="image-0001")
    assert store.tiles("image-0001") == (tile,)
    undone = tile.model_copy(update={"is_finished": False})
    store.append(EventKind.UNDO, Change(tiles=(undone,)), image="image-0001")
    assert store.tiles("image-0001") == ()


def test_one_model_is_current(store):
    for number in (1, 2):
        model = ModelVersion(
            number=number, weights_sha256="ab", base="glands", is_current=True
        )
        run = RunRecord(name=f"run-{number}", state="published", figures={"dice": 0.9})
        store.append(EventKind.PUBLISH, Change(model=model, run=run))
    assert [one.is_current for one in store.models()] == [False, True]
    assert [one.name for one in store.runs()] == ["run-1", "run-2"]


def test_an_image_is_found_wherever_it_lies(store):
    assert store.find_image(f"{1:032x}").name == "image-0002"
    assert store.find_image("unknown") is None
    assert store.next_image_name() == "image-0003"


def test_who_changes_stale_pixels_is_told_and_nothing_is_stored(path, store):
    box = (10, 10, 50, 50)
    seen = store.labels("image-0001", box)
    with ProjectStore.open(path) as other:
        mine = np.full((40, 40), 5, np.uint32)
        other.append(
            EventKind.CORRECT,
            Change(),
            image="image-0001",
            patch=PixelPatch(box, seen, mine),
        )
    before = scripts.state_of(store)
    theirs = np.full((40, 40), 6, np.uint32)
    with pytest.raises(ProjectConflictError, match="somebody else"):
        store.append(
            EventKind.CORRECT,
            Change(objects={6: ObjectState()}),
            image="image-0001",
            patch=PixelPatch(box, seen, theirs),
        )
    assert scripts.state_of(store) == before


def test_wrong_images_and_places_are_refused(store):
    pixels = np.zeros((10, 10), np.uint32)
    with pytest.raises(ProjectError, match="no image 'image-0009'"):
        store.append(EventKind.ACCEPT, Change(), image="image-0009")
    with pytest.raises(ProjectError, match="leaves image-0001"):
        store.append(
            EventKind.CORRECT,
            Change(),
            image="image-0001",
            patch=PixelPatch((295, 0, 305, 10), pixels, pixels + 1),
        )
    assert [event.number for event in store.events()] == [1, 2, 3, 4, 5]


def test_events_cannot_be_changed_or_removed(path, store):
    with closing(sqlite3.connect(path / DATABASE)) as raw:
        for order in ("DELETE FROM events", "UPDATE events SET kind = 'x'"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                raw.execute(order)


def test_a_full_disk_loses_only_the_last_action(store):
    connection = store._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    before = scripts.state_of(store)
    noise = np.random.default_rng(0).integers(0, 2**31, (300, 400)).astype(np.uint32)
    patch = PixelPatch((0, 0, 300, 400), np.zeros((300, 400), np.uint32), noise)
    with pytest.raises(ProjectError, match="disk is full"):
        store.append(EventKind.CORRECT, Change(), image="image-0001", patch=patch)
    assert scripts.state_of(store) == before
    connection.execute("PRAGMA max_page_count = 100000")
    store.append(EventKind.CORRECT, Change(), image="image-0001", patch=patch)
    np.testing.assert_array_equal(store.labels("image-0001"), noise)


def test_a_locked_project_is_one_sentence(path, store, monkeypatch):
    monkeypatch.setattr("napari_segmoe.project.database._WAIT_S", 0.05)
    with closing(sqlite3.connect(path / DATABASE, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with (
            ProjectStore.open(path) as other,
            pytest.raises(ProjectError, match="Another program holds"),
        ):
            other.append(EventKind.CREATED, Change())


def test_a_place_that_cannot_be_a_project_is_said(tmp_path, path):
    with pytest.raises(ProjectError, match=r"end in \.segmoe"):
        ProjectStore.create(tmp_path / "study")
    with pytest.raises(ProjectError, match="no project"):
        ProjectStore.open(tmp_path)
    path.mkdir()
    (path / "other.txt").write_text("mine")
    with pytest.raises(ProjectError, match="exists already"):
        ProjectStore.create(path)
    (path / DATABASE).write_bytes(b"no database at all" * 100)
    with pytest.raises(ProjectError, match="not a database"):
        ProjectStore.open(path)


def test_another_programs_database_is_left_alone(path):
    path.mkdir()
    with closing(sqlite3.connect(path / DATABASE)) as raw:
        raw.execute("CREATE TABLE mine (value)")
        raw.commit()
    held = (path / DATABASE).read_bytes()
    with pytest.raises(ProjectError, match="not the database of a napari-segmoe"):
        ProjectStore.open(path)
    assert (path / DATABASE).read_bytes() == held


def test_a_copy_is_a_whole_project(path, store, tmp_path):
    scripts.draw(store, "image-0001", np.random.default_rng(0))
    target = tmp_path / "copy.segmoe"
    target.mkdir()
    store.back_up(target / DATABASE)
    with ProjectStore.open(target) as copy:
        assert scripts.state_of(copy) == scripts.state_of(store)


def test_a_history_line_names_what_was_done(store):
    event = scripts.draw(store, "image-0001", np.random.default_rng(0))
    (again,) = store.events(since=event.number - 1)
    line = describe_event(again)
    assert line["kind"] == "commit"
    assert line["objects"] == [1]
    assert line["box"] == list(event.patch.box)
    assert line["details"] == {"clicks": event.change.details["clicks"]}
    assert again.digest == event.digest


def test_events_of_one_image(store):
    scripts.draw(store, "image-0002", np.random.default_rng(0))
    kinds = [event.kind for event in store.events(image="image-0002")]
    assert kinds == [EventKind.IMAGE, EventKind.COMMIT]


def test_no_name_of_a_file_is_needed():
    assert "path" not in ImageRecord.model_fields
