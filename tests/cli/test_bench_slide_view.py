"""`segmoe bench slide-view`: what is asked of the children, what becomes of answers."""

import json
import subprocess

import numpy as np
import pytest
import tifffile

from napari_segmoe.cli import (
    bench_child,
    bench_region,
    bench_slide_view,
    slide_click_ratio,
)
from napari_segmoe.cli.bench import Measurement, SlideBenchOptions
from napari_segmoe.cli.running import run
from napari_segmoe.data.slide_writing import write_pixels

WINDOW = {
    "over_empty_mib": 800.0,
    "empty_mib": 300.0,
    "window_mib": 300.0,
    "predictor_mib": 500.0,
    "first_paint_s": 0.5,
    "model_ready_s": 3.0,
    "first_click_s": 0.2,
    "idle_p99_ms": 1.0,
    "pan_p99_ms": 9.0,
    "pan_region_p99_ms": 12.0,
    "pan_region_max_ms": 40.0,
    "over_idle_ms": 11.0,
    "windows_done": 4,
    "windows": 9,
}


@pytest.fixture
def slide(tmp_path):
    pixels = np.full((600, 800, 3), 240, np.uint8)
    pixels[100:200, 600:700] = (180, 60, 160)
    return write_pixels(tmp_path / "dyed.ome.tif", pixels, (0.5, 0.5))


@pytest.fixture
def children(monkeypatch):
    """Answer for the children; keep their commands."""
    commands = []

    def answer(command, **_):
        commands.append(command)
        is_window = "napari_segmoe.widgets.benchmark_slide" in command
        figures = WINDOW if is_window else {"value": 1.2, "note": "how"}
        return subprocess.CompletedProcess([], 0, f"noise\n{json.dumps(figures)}", "")

    def measure_region(device, threads, options):
        assert options.slide is None
        return [Measurement("region: total", 1.1, 1.15, "ratio")]

    monkeypatch.setattr(bench_child.subprocess, "run", answer)
    monkeypatch.setattr(bench_region, "measure_region", measure_region)
    return commands


def test_the_tissue_nearest_to_the_middle_is_found(slide):
    (y, x), shape = bench_slide_view.find_tissue(slide)
    assert shape == (600, 800)
    assert 190 <= y < 205
    assert 595 <= x < 610


def test_without_tissue_the_middle_is_taken(tmp_path):
    path = tmp_path / "glass.tif"
    tifffile.imwrite(
        path, np.full((256, 512, 3), 230, np.uint8), tile=(64, 64), photometric="rgb"
    )
    (y, x), _ = bench_slide_view.find_tissue(path)
    assert abs(y - 128) <= 1
    assert abs(x - 256) <= 1


def test_every_promise_has_a_row_with_its_bound(slide, children, capsys):
    assert run(["bench", "slide-view", "--json", "--slide", str(slide)]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"name", "value", "bound", "holds", "unit"} <= set(rows[0])
    found = {row["unit"]: (row["value"], row["bound"], row["holds"]) for row in rows}
    assert found["GB"] == (pytest.approx(0.839, abs=0.001), 1.0, True)
    named = {row["name"]: (row["value"], row["bound"]) for row in rows}
    assert named["click on a slide / (click in memory + bare tile read)"] == (1.2, 1.5)
    assert named["region: total"] == (1.1, 1.15)
    assert found["ms"] == (11.0, 50.0, True)
    assert "predictor 500" in rows[0]["note"]
    assert all(str(slide) in command for command in children)


def test_the_weights_of_the_window_have_a_pixel_size(slide, children):
    bench_slide_view.measure_slide_view("cpu", 1, SlideBenchOptions(slide))
    window = next(one for one in children if "--weights" in one)
    clicks = next(one for one in children if "--weights" not in one)
    assert window[window.index("--weights") + 1]
    assert clicks[-4:] == ["--device", "cpu", "--threads", "1"]


def test_a_child_that_fails_leaves_its_figures_without_value(slide, monkeypatch):
    answer = subprocess.CompletedProcess([], 1, "", "a line\nno display")
    monkeypatch.setattr(bench_child.subprocess, "run", lambda *_, **__: answer)
    rows = bench_slide_view.measure_slide_view("cpu", None, SlideBenchOptions(slide))
    assert [row.value for row in rows] == [None] * len(rows)
    assert {row.note for row in rows} == {"no display"}


def test_what_is_no_slide_is_said_in_a_sentence(tmp_path, capsys):
    path = tmp_path / "words.svs"
    path.write_text("not a slide")
    assert run(["bench", "slide-view", "--slide", str(path)]) == 2
    assert "words.svs" in capsys.readouterr().err


def test_quick_makes_a_small_slide_once(monkeypatch, tmp_path, children):
    monkeypatch.setenv("SEGMOE_CACHE", str(tmp_path))
    monkeypatch.setattr(bench_slide_view, "QUICK_SHAPE", (512, 768))
    for _ in range(2):
        assert run(["bench", "slide-view", "--quick", "--json"]) == 0
    made = sorted(path.name for path in (tmp_path / "bench").glob("*.tif"))
    assert made == ["slide-768x512.ome.tif"]
    assert children[0][-2:] == ["--rounds", "2"]


def test_a_click_on_a_slide_is_compared_with_one_in_memory(slide, capsys, monkeypatch):
    monkeypatch.setattr(slide_click_ratio, "_SIDE_PX", 128)
    monkeypatch.setattr(slide_click_ratio, "_WARM_UPS", 0)
    slide_click_ratio.main([str(slide), "--at", "150", "650", "--rounds", "1"])
    found = json.loads(capsys.readouterr().out)
    assert found["value"] > 0
    assert "bare read" in found["note"]
