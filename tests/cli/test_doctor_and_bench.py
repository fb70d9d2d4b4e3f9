"""Commands that look at the machine and the package."""

import json
import subprocess

import pytest
import torch

from napari_segmoe.cli import (
    bench_child,
    bench_import,
    bench_networks,
    bench_window,
    console,
    doctor_checks,
    network_ratios,
)
from napari_segmoe.cli.bench import Measurement
from napari_segmoe.cli.running import run
from napari_segmoe.models.registry import list_models


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
    monkeypatch.setattr(bench_child.subprocess, "run", lambda *_, **__: answer)
    measurements = bench_window.measure_window()
    assert [m.value for m in measurements] == [2, 300, 9]
    assert [m.holds for m in measurements] == [True, False, True]
    assert measurements[0].note == "n 1"


def test_a_window_that_does_not_open_leaves_figures_without_value(monkeypatch):
    answer = subprocess.CompletedProcess([], 1, "", "no display")
    monkeypatch.setattr(bench_child.subprocess, "run", lambda *_, **__: answer)
    measurements = bench_window.measure_window()
    assert [m.note for m in measurements] == ["no display"] * 3
    assert not any(m.holds for m in measurements)


def test_tables_keep_square_brackets(capsys):
    console.show_table("t", ("mend",), [('pip install "x[dicom]"',)])
    assert "[dicom]" in capsys.readouterr().out


def test_figures_of_networks_come_from_a_child_each(monkeypatch):
    commands = []

    def answer(command, **_):
        commands.append(command[3:])
        question = command[3]
        figures = {question: {"value": 2.0, "note": f"about {question}"}}
        if question == "experts":
            figures["difference"] = {"value": 1e-6, "note": "same"}
        text = f"noise\n{json.dumps(figures)}\n"
        return subprocess.CompletedProcess([], 0, text, "")

    monkeypatch.setattr(bench_child.subprocess, "run", answer)
    rows = bench_networks.measure_networks("cpu", 1)
    lite = [name for name in list_models() if name.endswith("_lite")]
    assert len(rows) == 3 + 2 * len(lite)
    assert len(commands) == 2 + 2 * len(lite)
    assert all(
        command[-4:] == ["--device", "cpu", "--threads", "1"] for command in commands
    )
    holds = {row.name: row.holds for row in rows}
    assert [held for name, held in holds.items() if name.startswith("TA-MoSC")] == [
        True,
        True,
    ]
    assert [held for name, held in holds.items() if "/ one forward" in name] == [
        False
    ] * len(lite)
    assert rows[0].note == "about experts"


@pytest.mark.parametrize(
    ("status", "text", "reason"),
    [(1, "", "out of memory"), (0, "no figures", "printed no JSON")],
)
def test_a_child_that_fails_leaves_its_figures_without_value(
    monkeypatch, status, text, reason
):
    answer = subprocess.CompletedProcess([], status, text, "a line\nout of memory")
    monkeypatch.setattr(bench_child.subprocess, "run", lambda *_, **__: answer)
    rows = bench_networks.measure_networks("cpu", None)
    assert {row.value for row in rows} == {None}
    assert all(reason in row.note for row in rows)
    assert not any(row.holds for row in rows)


def test_the_child_answers_with_json(capsys, monkeypatch):
    seen = []

    def compare(preset, device):
        seen.append((preset, str(device)))
        return {"encoder": {"value": 3.0, "note": "n"}}

    monkeypatch.setitem(network_ratios._QUESTIONS, "encoder", compare)
    network_ratios.main(["encoder", "utanet_lite", "--device", "cpu"])
    assert json.loads(capsys.readouterr().out)["encoder"]["value"] == 3.0
    assert seen == [("utanet_lite", "cpu")]


@pytest.mark.parametrize(
    ("question", "preset", "key"),
    [
        ("experts", "", "difference"),
        ("progressive", "", "progressive"),
        ("encoder", "decoder_interaction_lite", "encoder"),
        ("explain", "utanet_lite", "explain"),
    ],
)
def test_every_question_about_networks_has_an_answer(
    question, preset, key, monkeypatch
):
    monkeypatch.setattr(network_ratios, "_SIDE_PX", 32)
    monkeypatch.setattr(network_ratios, "_TURNS", 1)
    compare = network_ratios._QUESTIONS[question]
    with torch.inference_mode():
        figures = compare(preset, torch.device("cpu"))
    assert isinstance(figures[key]["value"], float)
    assert figures[key]["note"]
    if question == "experts":
        assert figures["difference"]["value"] <= 1e-5
