"""Processes share out one run: same losses as one process that accumulates."""

import json
import os
import subprocess
import sys

import pytest

from napari_segmoe.errors import ConfigError
from napari_segmoe.training import distribution
from napari_segmoe.training.config import make_config
from napari_segmoe.training.draws import Part, share_of
from napari_segmoe.training.engine import fit

SETTINGS = {
    "input_px": 32,
    "epochs": 2,
    "batch_size": 6,
    "learning_rate": 1e-3,
    "empty_class": "normal",
    "validation_fraction": 0.3,
    "precision": "32-true",
    "device": "cpu",
    "threads": 1,
    "prompt_share": 0.8,
}


def _losses(events):
    return [event["loss"] for event in events if event["event"] == "progress"]


def _config(folder, out, **changes):
    return make_config(**(SETTINGS | {"data": folder, "out": out} | changes))


def _train_with_torchrun(folder, out, processes, *, extra=()):
    words = [
        f"--set={name}={value}" for name, value in (SETTINGS | dict(extra)).items()
    ]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(processes), "-m", "napari_segmoe", "train"]
    command += ["--json", "--data", str(folder), "--out", str(out), *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment
    )


def test_two_processes_give_the_losses_of_one_that_accumulates(tiny_folder, tmp_path):
    answer = _train_with_torchrun(tiny_folder, tmp_path / "two", 2)
    assert answer.returncode == 0, answer.stderr[-2000:]
    events = [json.loads(line) for line in answer.stdout.splitlines()]
    assert events[0]["processes"] == 2
    one = list(fit(_config(tiny_folder, tmp_path / "one", accumulate=2)))
    assert _losses(events) == pytest.approx(_losses(one), rel=1e-4)
    epochs, alone = (
        [event for event in found if event["event"] == "epoch"]
        for found in (events, one)
    )
    for event, other in zip(epochs, alone, strict=True):
        assert event["train"] == pytest.approx(other["train"], rel=1e-4, abs=1e-5)
        assert event["validation"] == pytest.approx(other["validation"], rel=1e-3)
    told = (tmp_path / "two" / "events.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in told] == events  # written by one process


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_parts_are_the_same_however_processes_and_pieces_multiply(pieces):
    items = list(range(12))
    ranks = 6 // pieces if 6 % pieces == 0 else 2
    found = [
        Part(rank, ranks, piece, pieces).share(items)
        for rank in range(ranks)
        for piece in range(pieces)
    ]
    assert found == [share_of(items, number, 6) for number in range(6)]
    numbers = [Part(1, ranks, piece, pieces).number for piece in range(pieces)]
    assert numbers == list(range(pieces, 2 * pieces))


def test_shares_cover_everything_once():
    shares = [share_of(range(11), number, 4) for number in range(4)]
    assert [len(share) for share in shares] == [3, 3, 3, 2]
    assert [number for share in shares for number in share] == list(range(11))


def test_too_small_a_batch_for_the_processes_is_refused(tiny_folder, tmp_path):
    config = _config(tiny_folder, tmp_path / "small", batch_size=6, accumulate=4)
    with pytest.raises(ConfigError, match="Set it to 8"):
        next(fit(config))
    assert not config.out.exists()


def test_torchrun_and_slurm_say_how_many_processes_there_are(monkeypatch):
    torchrun = {
        "TORCHELASTIC_RUN_ID": "x",
        "WORLD_SIZE": "8",
        "LOCAL_WORLD_SIZE": "4",
    }
    assert distribution._launched(torchrun) == (2, 4)
    monkeypatch.setattr(distribution.SLURMEnvironment, "detect", lambda: True)
    assert distribution._launched({"SLURM_NNODES": "2", "SLURM_NTASKS": "8"}) == (2, 4)
    monkeypatch.setattr(distribution.SLURMEnvironment, "detect", lambda: False)
    assert distribution._launched({}) is None
