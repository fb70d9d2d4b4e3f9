import json

import pytest

from napari_segmoe.cli.running import run


@pytest.fixture(autouse=True)
def _logs_go_elsewhere(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


def make(out, *more, size="700,900"):
    return run(["make-slide", "--size", size, "--out", str(out), *more])


def test_it_writes_a_slide_with_its_truth_and_tells_of_them(tmp_path, capsys):
    assert make(tmp_path / "a.ome.tif", "--seed", "4") == 0
    told = capsys.readouterr().out
    assert "700 x 900 px at 0.5 um" in told
    assert {p.name for p in tmp_path.iterdir()} == {
        "a.ome.tif", "a.truth.ome.zarr", "a.truth.csv",
    }  # fmt: skip


def test_json_says_what_was_made(tmp_path, capsys):
    out = tmp_path / "a.ome.zarr"
    assert make(out, "--json", "--spacing-um", "1", "--tissue", "0.7") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["slide"] == str(out)
    assert told["size"] == [700, 900]
    assert told["spacing_um"] == 1.0
    lines = (tmp_path / "a.truth.csv").read_text().strip().splitlines()
    assert sum(told["glands"].values()) == len(lines) - 1 > 0
    assert told["nuclei"] > 500
    assert told["bytes"] > 10_000
    assert told["tissue_share"] == pytest.approx(0.7, abs=0.15)


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("a.png", {}, ".ome.tif"),
        ("a.ome.tif", {"size": "700"}, "6000,8000"),
        ("a.ome.tif", {"size": "700,wide"}, "6000,8000"),
        ("a.ome.tif", {"size": "10,10"}, "256 to 200000 px"),
        ("a.ome.tif", {"size": "700,900000000"}, "256 to 200000 px"),
    ],
)
def test_wrong_use_gives_one_sentence_and_status_2(tmp_path, capsys, name, more, words):
    assert make(tmp_path / name, **more) == 2
    told = capsys.readouterr().err.strip()
    assert words in told
    assert len(told.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_existing_slide_stays_as_it_is(tmp_path, capsys):
    (tmp_path / "a.ome.tif").write_text("precious")
    assert make(tmp_path / "a.ome.tif") == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "a.ome.tif").read_text() == "precious"


def test_a_folder_that_is_a_file_gives_a_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert make(tmp_path / "file" / "a.ome.tif") == 2
    assert "Choose a folder" in capsys.readouterr().err
