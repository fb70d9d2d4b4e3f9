"""Nuclei of real sections, from the command line: it learns, and survives `kill -9`."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_segmoe.data.folder import read_data_folder
from napari_segmoe.training.cases import read_case
from napari_segmoe.training.metrics import measure_overlap

pytestmark = pytest.mark.slow
SEGMOE = [sys.executable, "-m", "napari_segmoe"]
QUICK = {
    "image_head": "false",
    "object_head": "false",
    "modality": "histology",
    "spacing_um": "0.25",
    "data_spacing_um": "0.25",
    "scanner_augmentation": "true",
    "model_options": "{distance_head: true, fine_channels: 16, genotype: chaos}",
    "distance_weight": "4",
    "distance_limit_px": "8",
    "precision": "32-true",
    "device": "cpu",
    "threads": "1",
}


def _words(folders, out, **settings):
    words = [*SEGMOE, "train", "--out", str(out), "--json", "--recipe", "supervised"]
    words += ["--model", "mixsearch_lite"]
    for folder in folders:
        words += ["--data", str(folder)]
    for key, value in (QUICK | settings).items():
        words += ["--set", f"{key}={value}"]
    return words


def _events(process):
    return [json.loads(line) for line in process.stdout if line.startswith("{")]


def _start(words):
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def _epochs(events):
    return [event for event in events if event["event"] == "epoch"]


@pytest.fixture(scope="module")
def trained(dsb2018_he, tmp_path_factory):
    """The run folder and events of about 130 steps."""
    out = tmp_path_factory.mktemp("nuclei") / "run"
    settings = {
        "epochs": "8",
        "samples_per_image": "2",
        "learning_rate": "3e-3",
        "warmup_steps": "20",
        "ema_decay": "0.95",
        "input_px": "192",
        "validate_every": "4",
    }
    with _start(_words([dsb2018_he], out, **settings)) as process:
        events = _events(process)
    assert process.returncode == 0
    return out, events


def _everything_dice(folder: Path) -> float:
    """Return the mean Dice of marking every pixel of the test images."""
    items = read_data_folder(folder).select("test")
    truths = [read_case(item).truth for item in items]
    return float(np.mean([measure_overlap(t | True, t).dice for t in truths]))


def test_the_loss_falls(trained):
    _, events = trained
    losses = [event["train"] for event in _epochs(events)]
    assert losses[-1]["loss"] < 0.6 * losses[0]["loss"]
    assert losses[-1]["distance"] < 0.7 * losses[0]["distance"]


def test_it_marks_nuclei_far_better_than_marking_everything(
    trained, dsb2018_he, tmp_path
):
    out, _ = trained
    report = tmp_path / "evaluate.json"
    words = ["evaluate", "--data", str(dsb2018_he), "--out", str(report)]
    words += ["--weights", str(out / "best.safetensors"), "--split", "test"]
    subprocess.run([*SEGMOE, *words], check=True, stdout=subprocess.DEVNULL)
    figures = json.loads(report.read_text())["segmentation"]
    assert figures["dice"]["low"] > _everything_dice(dsb2018_he) + 0.1
    assert figures["object_f1"]["mean"] > 0.3


def test_a_killed_run_resumes_to_the_curve_of_an_uninterrupted_one(
    dsb2018_he, monuseg, tmp_path
):
    folders = (dsb2018_he, monuseg)
    settings = {"epochs": "3", "input_px": "64", "batch_size": "4"}
    with _start(_words(folders, tmp_path / "whole", **settings)) as process:
        whole = _epochs(_events(process))
    killed = _start(_words(folders, tmp_path / "killed", **settings))
    for line in killed.stdout:
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("event") == "progress" and event["epoch"] == 1:
            os.kill(killed.pid, signal.SIGKILL)
            break
    assert killed.wait() == -signal.SIGKILL
    killed.stdout.close()
    words = ["train", "--out", str(tmp_path / "killed"), "--resume", "--json"]
    with _start([*SEGMOE, *words]) as process:
        resumed = _epochs(_events(process))
    assert process.returncode == 0
    assert [event["epoch"] for event in resumed] == [1, 2]
    assert [event["train"]["loss"] for event in resumed] == pytest.approx(
        [event["train"]["loss"] for event in whole[1:]], rel=1e-4
    )
