import sqlite3
from contextlib import closing

import numpy as np
import pytest

from napari_segmoe.errors import ProjectError
from napari_segmoe.project import schema
from napari_segmoe.project.records import (
    Change,
    EventKind,
    ModelVersion,
    RunRecord,
)
from napari_segmoe.project.store import DATABASE, ProjectStore
from napari_segmoe.project.verification import verify_project
from tests.project import scripts


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "study.segmoe"
    with ProjectStore.create(made) as store:
        scripts.begin(store)
        for seed in range(25):
            scripts.act(store, seed)
    return made


def _change(path, order):
    with closing(sqlite3.connect(path / DATABASE)) as raw:
        raw.execute("DROP TRIGGER events_stay")
        raw.execute("DROP TRIGGER events_remain")
        raw.execute(order)
        raw.commit()


def test_a_whole_project_has_no_faults(path):
    found = verify_project(path)
    assert found.faults == ()
    assert found.events == 30


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ("UPDATE events SET annotator = 'x' WHERE number = 9", "Event 9 was changed"),
        ("UPDATE events SET after = zeroblob(9) WHERE number = 7", "Event 7"),
        ("DELETE FROM events WHERE number = 12", "Event 12 is missing"),
        ("UPDATE objects SET class_id = 2", "table objects"),
        ("DELETE FROM label_blocks", "table label_blocks"),
    ],
)
def test_what_was_changed_behind_its_back_is_named(path, order, said):
    _change(path, order)
    assert said in verify_project(path).faults[0]


def test_a_flipped_byte_is_found_wherever_something_is_stored(path):
    """Bytes of pages that hold rows; what SQLite leaves unused means nothing."""
    database = path / DATABASE
    whole = database.read_bytes()
    rng = np.random.default_rng(0)
    with closing(sqlite3.connect(database)) as raw:
        stored = [row[0] for row in raw.execute("SELECT after FROM events") if row[0]]
        stored += [row[0].encode() for row in raw.execute("SELECT payload FROM events")]
    missed = 0
    for part in [stored[i] for i in rng.permutation(len(stored))[:15]]:
        place = whole.find(part[:40])
        assert place > 0
        place += int(rng.integers(min(len(part), 40)))
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << int(rng.integers(8))
        database.write_bytes(bytes(spoilt))
        missed += not verify_project(path).faults
    database.write_bytes(whole)
    assert missed == 0
    assert verify_project(path).faults == ()


def test_a_damaged_page_is_said_not_raised(path):
    database = path / DATABASE
    data = bytearray(database.read_bytes())
    for start in range(4096, len(data), 3 * 4096):
        data[start : start + 200] = b"\xaa" * 200
    database.write_bytes(bytes(data))
    try:
        faults = verify_project(path).faults
    except ProjectError as error:
        faults = (str(error),)
    assert faults


def test_a_newer_project_is_left_alone(path):
    with closing(sqlite3.connect(path / DATABASE)) as raw:
        raw.execute("PRAGMA user_version = 99")
    with pytest.raises(ProjectError, match="newer version"):
        ProjectStore.open(path)


def test_an_older_project_is_brought_up_on_a_copy(path):
    def add_column(connection):
        connection.execute("ALTER TABLE runs ADD COLUMN place TEXT")

    database = path / DATABASE
    schema.check_version(database, version=2, migrations={1: add_column})
    with closing(sqlite3.connect(database)) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (2,)
        raw.execute("SELECT place FROM runs")
    with closing(sqlite3.connect(path / "project.v1.db")) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (1,)


def test_a_migration_that_fails_leaves_the_project_as_it_was(path):
    def fail(connection):
        connection.execute("CREATE TABLE extra (value)")
        raise sqlite3.OperationalError("disk I/O error")

    before = (path / DATABASE).read_bytes()
    with pytest.raises(sqlite3.OperationalError):
        schema.check_version(path / DATABASE, version=2, migrations={1: fail})
    assert (path / DATABASE).read_bytes() == before
    with ProjectStore.open(path) as store:
        assert store.images()


def test_figures_in_any_order_are_what_the_events_say(path):
    figures = {"z": 1.0, "a": 0.5}
    with ProjectStore.open(path) as store:
        version = ModelVersion(
            number=1,
            weights_sha256="0",
            base="glands",
            is_current=True,
            figures=figures,
        )
        run = RunRecord(name="round-0001", state="published", figures=figures)
        store.append(EventKind.PUBLISH, Change(model=version, run=run))
    assert verify_project(path).faults == ()
