"""`segmoe bench training` takes its figures from a child process that trains."""

import json
import subprocess

import pytest

from napari_segmoe.cli import bench_child, bench_training

FIGURES = {
    "step_s": 0.53,
    "bare_s": 0.5,
    "draw_s": 0.1,
    "model": "decoder_interaction_lite",
    "batch": 8,
    "input_px": 256,
    "precision": "bf16-mixed",
    "early_mib": 1000.0,
    "late_mib": 1010.0,
    "epochs": 12,
    "settled": 3,
}


@pytest.fixture
def answer(monkeypatch):
    """Return what sets the child's answer; its command is kept."""
    commands = []

    def set_answer(*, stdout="", returncode=0, stderr=""):
        def run(command, **_):
            commands.append(command)
            return subprocess.CompletedProcess(command, returncode, stdout, stderr)

        monkeypatch.setattr(bench_child.subprocess, "run", run)
        return commands

    return set_answer


def test_ratios_stand_beside_their_bounds(answer):
    commands = answer(stdout="Using bf16\n" + json.dumps(FIGURES))
    step, pipeline, memory = bench_training.measure_training("cpu", 2)
    assert (step.value, step.bound, step.holds) == (pytest.approx(1.06), 1.1, True)
    assert (pipeline.value, pipeline.holds) == (pytest.approx(5.3), True)
    assert (memory.value, memory.holds) == (pytest.approx(1.01), True)
    assert commands[0][3:] == ["--device", "cpu", "--threads", "2"]


def test_a_slow_loop_a_slow_pipeline_and_a_leak_do_not_hold(answer):
    slow = {"step_s": 0.6, "draw_s": 0.4, "late_mib": 1100.0}
    answer(stdout=json.dumps(FIGURES | slow))
    found = bench_training.measure_training("cpu", None)
    assert [one.holds for one in found] == [False, False, False]


def test_a_child_that_fails_says_why(answer):
    answer(returncode=1, stderr="Traceback\nRuntimeError: no kernel image")
    for one in bench_training.measure_training("cpu", None):
        assert one.value is None
        assert not one.holds
        assert one.note == "RuntimeError: no kernel image"


def test_a_real_child_trains_and_measures():
    step, pipeline, memory = bench_training.measure_training("cpu", 1, is_quick=True)
    assert step.value > 0.8, step.note
    assert pipeline.value > 0, pipeline.note
    assert 0.5 < memory.value < 1.5, memory.note
    assert "8 x 64 px" in step.note
