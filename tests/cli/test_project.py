import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from napari_segmoe.cli.app import app
from napari_segmoe.cli.running import run
from napari_segmoe.project.store import DATABASE, ProjectStore


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 10:40] = 255
    Image.fromarray(np.full((40, 60), 90, np.uint8)).save(folder / "images" / "a.png")
    Image.fromarray(mask).save(folder / "masks" / "a.png")
    (folder / "labels.csv").write_text("file,class,split,group\na.png,cyst,train,p1\n")
    return folder


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "study.segmoe"
    assert _run("create", path).exit_code == 0
    return path


def _run(*words):
    return CliRunner().invoke(app, ["project", *map(str, words)])


def test_masks_in_objects_out(study, data, tmp_path):
    answer = _run("import", study, "--data", data, "--as", "corrected", "--json")
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    assert (found["images"][0]["image"], found["images"][0]["objects"]) == (
        "image-0001",
        1,
    )
    out = tmp_path / "out"
    answer = _run("export", study, "--out", out, "--json")
    assert answer.exit_code == 0, answer.output
    files = json.loads(answer.stdout)["files"]
    assert all((out / name).exists() for name in files)
    for file, words in (
        (out / "image-0001.geojson", ["--image", "image-0001"]),
        (out / "coco.json", []),
    ):
        answer = _run("import", study, "--file", file, *words)
        assert answer.exit_code == 0, answer.output
    with ProjectStore.open(study) as store:
        assert (store.labels("image-0001") == 1).sum() == 20 * 30


def test_history_names_events(study, data):
    _run("import", study, "--data", data)
    answer = _run("history", study, "--json")
    kinds = [one["kind"] for one in json.loads(answer.stdout)]
    assert kinds == ["created", "image", "classes", "import"]
    assert len(json.loads(_run("history", study, "--last", 1, "--json").stdout)) == 1
    assert "import" in _run("history", study).output


def test_verify_says_whole_or_what_is_wrong(study, data, capsys):
    _run("import", study, "--data", data)
    assert "is whole: 4 events" in _run("verify", study).output
    with closing(sqlite3.connect(study / DATABASE)) as raw:
        raw.execute("UPDATE objects SET class_id = 9")
        raw.commit()
    assert run(["project", "verify", str(study)]) == 2
    assert "table objects" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["verify", "nowhere.segmoe"], "no project"),
        (["create", "study"], "end in .segmoe"),
        (["history", "nowhere.segmoe"], "no project"),
    ],
)
def test_wrong_use_is_one_sentence(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["project", *words]) == 2
    assert said in capsys.readouterr().err


def test_import_needs_one_source(study, data, capsys):
    assert run(["project", "import", str(study)]) == 2
    assert "--data or --file" in capsys.readouterr().err
