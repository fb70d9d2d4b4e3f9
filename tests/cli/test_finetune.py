"""`segmoe finetune` and `segmoe project import` feed corrections and read decisions."""

import json

import pytest

from napari_segmoe.cli import running
from tests.training.finetune.tiny import make_project, save_tiny

FAST = [
    "--set", "steps=10", "--set", "batch_size=4", "--set", "learning_rate=0.02",
    "--set", "replay_weight=1",
    "--set", "nice=0", "--set", "device=cpu", "--set", "precision=32-true",
    "--set", "old_domain_loss=1.0",
]  # fmt: skip


@pytest.fixture
def weights(tmp_path):
    return save_tiny(tmp_path / "tiny.safetensors")


def finetune(*words):
    return running.run(["finetune", *map(str, words)])


def test_a_script_reads_decision_hold_out_and_old_domain(tmp_path, weights, capsys):
    project = make_project(tmp_path / "p.segmoe")
    assert finetune(project, "--weights", weights, "--json", *FAST) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    done = events[-1]
    assert done["event"] == "done"
    assert done["decision"] in ("publish", "rollback")
    assert {"old_dice", "dice", "gain", "worse_chance"} <= set(done["hold_out"])
    assert "old_domain_loss" in done["old_domain"]
    assert done["corrections"]["agreement"] > 0.6


def test_people_read_sentences(tmp_path, weights, capsys):
    project = make_project(tmp_path / "p.segmoe")
    assert finetune(project, "--weights", weights, *FAST) == 0
    told = " ".join("".join(capsys.readouterr()).split())
    assert "round-0001 learns from 18 objects of 6 images, from tiny" in told
    assert "published" in told


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "say which to start from"),
        (["--weights", "nowhere"], "No weights 'nowhere'"),
        (["--set", "stepps=3"], "stepps"),
        (["--set", "steps"], "KEY=VALUE"),
        (["--preset", "huge"], "preset"),
        (["--resume"], "no round to go on with"),
    ],
)
def test_wrong_use_is_one_sentence(tmp_path, capsys, words, sentence):
    project = make_project(tmp_path / "p.segmoe", images=3)
    assert finetune(project, *words) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_a_folder_that_is_no_project_is_one_sentence(tmp_path, weights, capsys):
    assert finetune(tmp_path, "--weights", weights) == 2
    assert "is no project" in capsys.readouterr().err


def test_settings_are_listed(capsys):
    assert finetune("x", "--list-settings") == 0
    assert "learning_rate" in capsys.readouterr().out
