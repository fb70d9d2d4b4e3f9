"""The commands, run as a user runs them, with a stand-in for the network."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from napari_segmoe.cli import options
from napari_segmoe.cli.running import run


@pytest.fixture(autouse=True)
def _no_network(monkeypatch, brightness_predictor, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(
        options, "open_predictor", lambda *_args, **_options: brightness_predictor
    )


@pytest.fixture
def image(bright_folder):
    return bright_folder / "images" / "benign_0.png"


def _stderr_sentence(capsys):
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_segment_writes_mask_json_and_overlay(image, tmp_path):
    out = tmp_path / "out"
    assert run(["segment", str(image), "--click", "15,20", "--out", str(out)]) == 0
    names = {path.name for path in out.iterdir()}
    assert names == {"benign_0.mask.png", "benign_0.json", "benign_0.overlay.png"}
    mask = np.array(Image.open(out / "benign_0.mask.png"))
    assert mask.dtype == np.uint16
    assert mask.sum() == 20 * 24
    found = json.loads((out / "benign_0.json").read_text())
    assert {"image", "weights", "spacing_um", "objects"} <= set(found)
    (item,) = found["objects"]
    assert item["class"] == "benign"
    assert item["box"] == [10, 12, 30, 36]
    assert item["area_um2"] is None


def test_segment_with_spacing_measures_in_um(image, tmp_path, capsys):
    command = ["segment", str(image), "--out", str(tmp_path / "o"), "--json"]
    assert run([*command, "--spacing-um", "10"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["spacing_um"] == [10, 10]
    assert found["objects"][0]["area_um2"] == pytest.approx(480 * 100)


def test_overlay_is_large_enough_to_read(image, tmp_path):
    run(["segment", str(image), "--click", "15,20", "--out", str(tmp_path / "o")])
    overlay = np.array(Image.open(tmp_path / "o" / "benign_0.overlay.png"))
    assert overlay.shape == (640, 640, 3)
    assert (overlay[200] != overlay[200, :1]).any()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--click", "15;20"], "not a list of numbers"),
        (["--click", "15"], "not 2 numbers"),
        (["--click", "15,nan"], "not 2 numbers"),
        (["--click", "15,64"], "outside the image"),
        (["--box", "9,9,3,12"], "is empty"),
    ],
)
def test_a_bad_prompt_is_one_sentence_and_writes_nothing(
    image, tmp_path, capsys, words, expected
):
    out = tmp_path / "out"
    assert run(["segment", str(image), *words, "--out", str(out)]) == 2
    assert expected in _stderr_sentence(capsys)
    assert not out.exists()


def test_clicks_on_several_images_are_refused(image, tmp_path, capsys):
    command = ["segment", str(image), str(image), "--click", "3,3", "--out", "o"]
    assert run(command) == 2
    assert "one image" in _stderr_sentence(capsys)


def test_a_bad_image_does_not_stop_the_others(image, tmp_path, capsys):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not an image")
    out = tmp_path / "out"
    assert run(["segment", str(bad), str(image), "--out", str(out)]) == 2
    assert "bad.png" in _stderr_sentence(capsys)
    assert (out / "benign_0.json").exists()
    assert not (out / "bad.json").exists()


def test_out_that_is_a_file_is_one_sentence(image, tmp_path, capsys):
    taken = tmp_path / "taken"
    taken.write_text("mine")
    assert run(["segment", str(image), "--out", str(taken)]) == 2
    assert "is a file" in _stderr_sentence(capsys)
    assert taken.read_text() == "mine"


def test_evaluate_writes_and_prints_the_same_report(bright_folder, tmp_path, capsys):
    out = tmp_path / "report.json"
    command = ["evaluate", "--data", str(bright_folder), "--out", str(out), "--json"]
    assert run(command) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(out.read_text())
    assert set(printed["segmentation"]["dice"]) == {"mean", "low", "high"}


def test_evaluate_shows_a_table(bright_folder, capsys):
    assert run(["evaluate", "--data", str(bright_folder)]) == 0
    assert "segmentation.dice" in capsys.readouterr().out


def test_evaluate_against_other_weights_compares_them(bright_folder, tmp_path, capsys):
    out = tmp_path / "both.json"
    command = ["evaluate", "--data", str(bright_folder), "--against", "other"]
    command += ["--out", str(out), "--resamples", "20"]
    assert run(command) == 0
    shown = capsys.readouterr().out
    assert "difference" in shown
    assert "pooled object_f1" in shown
    report = json.loads(out.read_text())
    assert set(report["difference"]["dice"]) == {"mean", "low", "high", "p", "n"}
    assert report["weights"]["n"] == report["against"]["n"] == 3


def test_a_threshold_is_chosen_on_another_split_only(bright_folder, capsys):
    command = ["evaluate", "--data", str(bright_folder), "--json", "--resamples", "20"]
    assert run([*command, "--best-threshold-from", "train"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["threshold_from"]["split"] == "train"
    assert report["threshold"] == report["threshold_from"]["threshold"] == 0.5
    assert run([*command, "--best-threshold-from", "test"]) == 2
    assert "scored images" in _stderr_sentence(capsys)


def test_clicks_has_the_agreed_shape(bright_folder, tmp_path, capsys):
    command = ["clicks", "--data", str(bright_folder), "--json", "--limit", "2"]
    assert run(command) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report["iou_at"]) == {"1", "2", "3", "5", "10"}
    assert set(report["noc"]) == {"80", "85", "90"}
    assert set(report["seconds_per_click"]) == {"median", "p95"}
    assert {"accuracy", "auc", "ece"} <= set(report["classification"]["after"]["3"])


def test_unknown_clicker_and_missing_data_are_wrong_use(bright_folder, capsys):
    command = ["clicks", "--data", str(bright_folder), "--clicker", "drunk"]
    assert run(command) == 2
    assert "deterministic" in _stderr_sentence(capsys)
    assert run(["evaluate", "--data", str(bright_folder / "absent")]) == 2
    assert "absent" in _stderr_sentence(capsys)
    assert run(["evaluate"]) == 2  # typer's own words


def test_headless_demo_writes_its_files(tmp_path, capsys):
    out = tmp_path / "demo"
    assert run(["demo", "--headless", "--out", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert 0 <= report["iou"] <= 1
    names = {path.name for path in out.iterdir()}
    assert names == {
        "phantom.png",
        "phantom.mask.png",
        "phantom.json",
        "phantom.overlay.png",
    }


def test_demo_without_a_display_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert run(["demo", "--out", str(tmp_path / "d")]) == 0
    shown = capsys.readouterr()
    assert "no display" in shown.err
    assert "IoU" in shown.out


def test_help_and_version(capsys):
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for command in ("demo", "models", "segment", "train", "evaluate", "clicks"):
        assert command in shown
    assert run(["--version"]) == 0


def test_no_command_is_wrong_use():
    assert run(["conquer"]) == 2
