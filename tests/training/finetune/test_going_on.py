"""Killed, stopped, paused, out of memory, disk full: a round goes on or says why."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_segmoe.errors import RunFolderError, TrainingError
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.training.finetune import round as round_module
from napari_segmoe.training.finetune import stepping
from napari_segmoe.training.finetune.round import run_round
from napari_segmoe.training.run_control import RunControl
from napari_segmoe.training.run_folder import RunFolder
from tests.training.finetune.test_round import settings
from tests.training.finetune.tiny import make_project, save_tiny

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def weights(tmp_path):
    return save_tiny(tmp_path / "tiny.safetensors")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    "points",
    [
        ("4", "14", "guard"),
        pytest.param(tuple(map(str, range(1, 30, 2))), marks=pytest.mark.slow),
    ],
    ids=["some", "many"],
)
def test_a_round_killed_anywhere_goes_on_and_decides_the_same(tmp_path, points):
    command = [sys.executable, "-P", "-m", "tests.training.finetune.kill_script"]
    done = subprocess.run(
        [*command, str(tmp_path), *points],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    never = found.pop("never")
    assert never["done"]["decision"] == "publish"
    for point, one in found.items():
        assert one["faults"] == [], point
        assert one["publishes"] == 1, point
        assert one["versions"] == [0, 1], point
        assert one["states"] == ["published"], point
        assert one["steps"] == never["steps"], point
        for part in ("hold_out", "old_domain", "corrections"):
            assert one["done"][part] == never["done"][part], point


def test_a_round_stops_when_asked_and_goes_on(tmp_path, weights):
    project = make_project(tmp_path / "p.segmoe")
    events = []
    for event in run_round(project, settings(weights)):
        events.append(event)
        if event["event"] == "progress" and event["step"] == 2:
            RunControl(project / "runs" / "round-0001").ask_to_stop()
    assert events[-1] == {"event": "stopped", "epoch": 1}
    with ProjectStore.open(project) as store:
        assert [one.state for one in store.runs()] == ["stopped"]
    rest = list(run_round(project, settings(weights), resume=True))
    assert rest[0]["epoch"] == 1
    assert rest[-1]["event"] == "done"


def test_there_is_nothing_to_go_on_with_after_a_round_has_ended(tmp_path, weights):
    project = make_project(tmp_path / "p.segmoe")
    with pytest.raises(RunFolderError, match="no round to go on with"):
        list(run_round(project, settings(weights), resume=True))
    list(run_round(project, settings(weights)))
    with pytest.raises(RunFolderError, match="no round to go on with"):
        list(run_round(project, settings(weights), resume=True))


def test_a_round_waits_while_somebody_clicks(tmp_path, weights, monkeypatch):
    waits = []
    monkeypatch.setattr(
        RunControl, "wait_while_paused", lambda self: waits.append(1) or 0.0
    )
    project = make_project(tmp_path / "p.segmoe")
    list(run_round(project, settings(weights, steps=2)))
    assert len(waits) >= 4  # before each step of two trainings, or three


def test_memory_that_runs_out_makes_steps_smaller(tmp_path, weights, monkeypatch):
    real = stepping.answer
    failures = iter([True])

    def short(model, images, prompts):
        if model.training is False and len(images) > 2 and next(failures, False):
            raise RuntimeError("CUDA out of memory")
        return real(model, images, prompts)

    monkeypatch.setattr(stepping, "answer", short)
    project = make_project(tmp_path / "p.segmoe")
    events = list(run_round(project, settings(weights)))
    notes = [event["note"] for event in events if event["event"] == "memory"]
    assert notes == ["Memory ran out; steps now take 2 samples."]
    assert events[-1]["event"] == "done"


def test_memory_that_never_suffices_is_one_sentence(tmp_path, weights, monkeypatch):
    def short(*_):
        raise RuntimeError("not enough memory: you tried to allocate 1 GB")

    monkeypatch.setattr(stepping, "answer", short)
    project = make_project(tmp_path / "p.segmoe")
    with pytest.raises(TrainingError, match="Memory does not suffice"):
        list(run_round(project, settings(weights)))
    assert not (project / "weights").exists()


def test_a_full_disk_is_one_sentence_and_the_round_goes_on_later(
    tmp_path, weights, monkeypatch
):
    project = make_project(tmp_path / "p.segmoe")
    with monkeypatch.context() as patch:

        def full(self, event):
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(RunFolder, "log", full)
        with pytest.raises(TrainingError, match="No space left"):
            list(run_round(project, settings(weights)))
    rest = list(run_round(project, settings(weights), resume=True))
    assert rest[-1]["event"] == "done"


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path, weights, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(round_module, "save_snapshot", full)
    project = make_project(tmp_path / "p.segmoe")
    with pytest.raises(RunFolderError, match="No space left"):
        list(run_round(project, settings(weights)))


def test_time_that_runs_out_ends_the_round_with_a_decision(tmp_path, weights):
    project = make_project(tmp_path / "p.segmoe")
    events = list(run_round(project, settings(weights, minutes=1e-4, steps=40)))
    steps = [event for event in events if event["event"] == "progress"]
    assert len(steps) < 20
    assert events[-1]["event"] == "done"
