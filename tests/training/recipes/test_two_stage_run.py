"""`segmoe train --recipe two_stage` on real glands, killed and resumed. Slow."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_segmoe.data.folder import read_data_folder
from napari_segmoe.data.masks import read_mask
from napari_segmoe.models.weights import load_weights
from napari_segmoe.training.config import load_config
from napari_segmoe.training.run_data import divide_items

pytestmark = pytest.mark.slow

FIRST, SECOND = 6, 2
SETTINGS = {
    "modality": "histology",
    "spacing_um": 3.0,
    "data_spacing_um": 0.62,
    "input_px": 64,
    "samples_per_image": 2,
    "batch_size": 4,
    "first_stage_epochs": FIRST,
    "epochs": SECOND,
    "learning_rate": 2e-3,
    "warmup_steps": 20,
    "ema_decay": 0.97,
    "prompt_share": 0.3,
    "patience": 100,
    "validate_every": SECOND,
    "precision": "32-true",
    "device": "cpu",
    "threads": 1,
}


def _command(data: Path, out: Path, *more: str) -> list[str]:
    settings = [
        word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")
    ]
    train = [sys.executable, "-m", "napari_segmoe", "train", "--json"]
    named = ["--data", str(data), "--out", str(out)]
    what = ["--model", "utanet_lite", "--recipe", "two_stage"]
    return [*train, *named, *what, *settings, *more]


def _start(command: list[str]) -> subprocess.Popen[str]:
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=quiet, text=True)


def _events(process: subprocess.Popen[str]):
    for line in process.stdout:
        if line.startswith("{"):
            yield json.loads(line)


def _epochs(events) -> dict[int, dict]:
    return {one["epoch"]: one for one in events if one["event"] == "epoch"}


@pytest.fixture(scope="module")
def whole_run(glas, tmp_path_factory):
    """An uninterrupted run and its events."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    process = _start(_command(glas, out))
    events = list(_events(process))
    assert process.wait() == 0
    return out, events


def test_the_loss_falls_in_both_stages(whole_run):
    _, events = whole_run
    losses = [one["train"]["loss"] for one in _epochs(events).values()]
    assert len(losses) == FIRST + SECOND
    assert losses[FIRST - 1] < 0.85 * losses[0]
    assert losses[-1] < losses[FIRST]


def test_the_mask_beats_calling_everything_gland(whole_run, glas):
    out, events = whole_run
    _, validation = divide_items(
        read_data_folder(glas), load_config(out / "config.yaml")
    )
    shares = [np.mean(read_mask(item.mask_path).labels > 0) for item in validation]
    trivial = np.mean([2 * share / (1 + share) for share in shares])
    best = _epochs(events)[events[-1]["best_epoch"]]["validation"]["dice"]
    assert best > trivial + 0.02, (best, trivial)
    model, card = load_weights(out / "best.safetensors")
    assert model.mixture is not None
    assert card.metrics["validation"]["dice"] == pytest.approx(best)


def test_routers_are_told_for_each_epoch_of_the_second_stage(whole_run):
    _, events = whole_run
    told = [epoch for epoch, one in _epochs(events).items() if "routing" in one]
    assert told == list(range(FIRST, FIRST + SECOND))


@pytest.mark.parametrize("killed_in", [2, FIRST + 1])
def test_after_kill_9_a_run_continues_the_same_curve(
    whole_run, glas, tmp_path, killed_in
):
    """Killed in the middle of an epoch of the first stage, and of the second."""
    _, whole = whole_run
    process = _start(_command(glas, tmp_path / "run"))
    for event in _events(process):
        is_there = event["event"] == "progress" and event["epoch"] == killed_in
        if is_there and event["step"] > event["steps"] // 2:
            os.kill(process.pid, signal.SIGKILL)
            break
    process.wait()
    process.stdout.close()
    resumed = _start(_command(glas, tmp_path / "run", "--resume"))
    found = _epochs(_events(resumed))
    assert resumed.wait() == 0
    assert list(found) == list(range(killed_in, FIRST + SECOND))
    for epoch, one in found.items():
        expected = _epochs(whole)[epoch]
        assert one["train"] == pytest.approx(expected["train"], rel=1e-3)
        assert one.get("validation") == pytest.approx(expected.get("validation"))
