"""`segmoe bench project`: both sides do real work on a real disk."""

import json
import sqlite3
from contextlib import closing

from napari_segmoe.cli import bench_finetune, bench_project
from napari_segmoe.cli.running import run
from napari_segmoe.project.store import ProjectStore


def test_figures_of_a_small_project_are_told_with_their_bounds(capsys):
    assert run(["bench", "project", "--quick", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)

    assert [row["bound"] for row in rows][0::2] == [5.0, 3.0]
    assert all(row["value"] > 0 and "ms against" in row["note"] for row in rows)


def test_a_correction_changes_pixels_and_the_bare_commit_takes_as_many_bytes(tmp_path):
    path = tmp_path / "a.segmoe"
    with ProjectStore.create(path) as store:
        bench_project._fill(store, 150)
        assert [len(store.objects(one.name)) for one in store.images()] == [100, 50]
        change, patch = bench_project._correction(store, "image-0002", 3)
        assert (patch.before != patch.after).any()
        data = bench_project._bytes_of(change, patch)
    with closing(sqlite3.connect(tmp_path / "bare.db")):
        pass
    with bench_project._bare(tmp_path / "bare.db") as commit:
        commit(data)
    with closing(sqlite3.connect(tmp_path / "bare.db")) as bare:
        (stored,) = bare.execute("SELECT sum(length(data)) FROM bare").fetchone()
    assert stored == sum(map(len, data))


def test_a_window_that_cannot_open_says_why(monkeypatch):
    monkeypatch.setattr(bench_finetune, "_MODULE", "napari_segmoe.no_such_module")
    rows = bench_finetune.measure_finetune()
    assert [row.value for row in rows] == [None, None]
    assert "no_such_module" in rows[0].note
    assert not any(row.holds for row in rows)
