"""Commands that look at the machine and the package."""

import json
import subprocess

import pytest

from napari_segmoe.cli import bench_import, bench_window, console, doctor_checks
from napari_segmoe.cli.bench import Measurement
from napari_segmoe.cli.running import run
from napari_segmoe.models.card import list_weights


def test_models_lists_presets_with_their_size(capsys):
    assert run(["models", "decoder_interaction_lite", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["kind"] == "preset"
    assert 1e6 < entry["parameters"] < 7.5e6
    assert 0.1 < entry["gmacs_256"] < 20
    assert entry["seconds_256"] > 0


def test_models_without_measuring_is_a_plain_list(capsys):
    assert run(["models", "--no-measure", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    names = {entry["name"] for entry in entries}
    assert {"decoder_interaction", "decoder_interaction_lite"} <= names
    assert {name for name, _ in list_weights()} <= names
    assert all(entry["parameters"] is None for entry in entries)


def test_an_unknown_model_is_wrong_use(capsys):
    assert run(["models", "nothing_like_it"]) == 2
    assert "decoder_interaction" in capsys.readouterr().err


def test_doctor_ends_well_and_names_the_mending_command(capsys, monkeypatch):
    monkeypatch.setattr(doctor_checks, "_run_python", lambda _: (True, "as it should"))
    monkeypatch.setattr(doctor_checks, "_DICOM_DECODERS", ("no_such_decoder",))
    assert run(["doctor", "--json"]) == 0
    findings = {
        finding["name"]: finding for finding in json.loads(capsys.readouterr().out)
    }
    assert findings["numpy"]["ok"]
    assert not findings["compressed DICOM"]["ok"]
    assert "pip install" in findings["compressed DICOM"]["mend"]


def test_doctor_finds_a_card_that_torch_does_not_use(monkeypatch):
    monkeypatch.setattr(doctor_checks, "_run_python", lambda _: (True, "torch 2 - CPU"))
    monkeypatch.setattr(doctor_checks, "_graphics_card", lambda: "A card")
    finding = doctor_checks._check_torch()
    assert not finding.ok
    assert "--index-url" in finding.mend


def test_doctor_survives_a_broken_torch(monkeypatch):
    answer = (False, "Traceback\nImportError: libc10.so")
    monkeypatch.setattr(doctor_checks, "_run_python", lambda _: answer)
    finding = doctor_checks._check_torch()
    assert (finding.ok, finding.found) == (False, "ImportError: libc10.so")


@pytest.mark.parametrize(
    ("value", "at_least", "holds"),
    [(1.2, False, True), (1.4, False, False), (1.4, True, True), (None, False, False)],
)
def test_a_bound_holds_or_not(value, at_least, holds):
    row = Measurement("x", value, 1.3, "ratio", at_least=at_least).as_row()
    assert row["holds"] is holds
    assert {"name", "value", "bound", "holds", "unit"} <= set(row)


def test_bench_import_ends_with_0_and_finds_no_torch(capsys, monkeypatch):
    monkeypatch.setattr(bench_import, "_PAIRS", 1)
    assert run(["bench", "import", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["torch loaded by import napari_segmoe"]["value"] == 0
    assert rows["torch loaded by the dock"]["holds"]


def test_an_unknown_benchmark_is_wrong_use(capsys):
    assert run(["bench", "patience"]) == 2
    assert "click" in capsys.readouterr().err


def test_window_figures_come_from_the_child(monkeypatch):
    figures = {"cold_start_ratio": 2, "largest_gap_ms": 300, "over_idle_ms": 9, "n": 1}
    answer = subprocess.CompletedProcess([], 0, f"noise\n{json.dumps(figures)}\n", "")
    monkeypatch.setattr(bench_window.subprocess, "run", lambda *_, **__: answer)
    measurements = bench_window.measure_window()
    assert [m.value for m in measurements] == [2, 300, 9]
    assert [m.holds for m in measurements] == [True, False, True]
    assert measurements[0].note == "n 1"


def test_a_window_that_does_not_open_leaves_figures_without_value(monkeypatch):
    answer = subprocess.CompletedProcess([], 1, "", "no display")
    monkeypatch.setattr(bench_window.subprocess, "run", lambda *_, **__: answer)
    measurements = bench_window.measure_window()
    assert [m.note for m in measurements] == ["no display"] * 3
    assert not any(m.holds for m in measurements)


def test_tables_keep_square_brackets(capsys):
    console.show_table("t", ("mend",), [('pip install "x[dicom]"',)])
    assert "[dicom]" in capsys.readouterr().out
