"""`segmoe bench region` takes its figures from a child process."""

import json
import subprocess

import pytest

from napari_segmoe.cli import bench_child, bench_region
from napari_segmoe.cli.bench import SlideBenchOptions

FIGURES = {
    "name": "glands",
    "threads": 2,
    "precision": "torch.bfloat16",
    "ratio": 1.08,
    "read_s": 0.2,
    "forward_s": 5.0,
    "total_s": 5.4,
    "read_cpu_s": 0.2,
    "forward_cpu_s": 9.0,
    "total_cpu_s": 9.9,
    "memory_mib": 90.0,
    "estimate_mib": 100.0,
    "windows": 100,
    "empty_windows": 3,
    "objects": 42,
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


def test_it_reports_the_ratio_and_the_memory_with_what_was_measured(answer, tmp_path):
    commands = answer(stdout="a warning\n" + json.dumps(FIGURES))
    slide = tmp_path / "slide.svs"
    options = SlideBenchOptions(slide, is_quick=True)
    ratio, memory = bench_region.measure_region("cpu", 2, options)
    assert (ratio.value, ratio.bound, ratio.holds) == (1.08, 1.15, True)
    assert "100 windows, 3 of them empty" in ratio.note
    assert (memory.value, memory.holds) == (0.9, True)
    assert commands[0][3:] == [
        str(slide), "--device", "cpu", "--threads", "2", "--rounds", "1",
    ]  # fmt: skip


def test_a_gpu_has_its_own_bound(answer, tmp_path):
    answer(stdout=json.dumps(FIGURES))
    options = SlideBenchOptions(tmp_path / "slide.svs")
    ratio, _ = bench_region.measure_region("cuda:0", None, options)
    assert ratio.bound == 1.10


@pytest.mark.parametrize(
    ("child", "reason"),
    [
        ({"returncode": 1, "stderr": "Traceback\nSlideError: It is gone."}, "gone"),
        ({"stdout": "nothing"}, "printed no JSON"),
    ],
)
def test_what_could_not_be_measured_says_why(answer, tmp_path, child, reason):
    answer(**child)
    options = SlideBenchOptions(tmp_path / "slide.svs")
    for row in bench_region.measure_region("cpu", None, options):
        assert row.value is None
        assert not row.holds
        assert reason in row.note
