"""`segmoe train` hands settings on and tells the events."""

import json

import pytest

from napari_segmoe.cli.running import run

EVENTS = [
    {
        "event": "start",
        "epoch": 0,
        "epochs": 1,
        "train_images": 4,
        "validation_images": 1,
        "parameters": 7,
        "device": "cpu",
        "notes": [],
    },
    {"event": "progress", "epoch": 0, "step": 1, "steps": 1, "loss": 0.5},
    {"event": "epoch", "epoch": 0, "train": {"loss": 0.5}, "is_best": True},
    {"event": "done", "epoch": 1, "best_epoch": 0, "best_score": 0.7},
]


@pytest.fixture
def engine(monkeypatch):
    """The settings that the engine was given."""
    from napari_segmoe.training import engine as module

    given = {}

    def fit(config, *, resume=False):
        given.update(config=config, resume=resume)
        return iter(EVENTS)

    monkeypatch.setattr(module, "fit", fit)
    return given


def test_options_and_settings_reach_the_engine(engine, tmp_path, capsys):
    words = ["train", "--data", "d", "--out", str(tmp_path / "run"), "--json"]
    words += ["--model", "decoder_interaction_lite", "--set", "learning-rate=3e-4"]
    assert (
        run([*words, "--set", "epochs=3", "--set", "exclude={label_conflict: '1'}"])
        == 0
    )
    config = engine["config"]
    assert (config.epochs, config.learning_rate) == (3, 3e-4)
    assert config.exclude == {"label_conflict": "1"}
    lines = capsys.readouterr().out.strip().splitlines()
    assert [json.loads(line) for line in lines] == EVENTS


def test_a_file_gives_settings_and_options_win(engine, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("data: d\nout: o\nepochs: 5\nmodel: decoder_interaction\n")
    words = ["train", "--config", str(path), "--model", "decoder_interaction_lite"]
    assert run(words) == 0
    assert engine["config"].epochs == 5
    assert engine["config"].model == "decoder_interaction_lite"


def test_resuming_takes_the_stored_settings(engine, tmp_path):
    (tmp_path / "config.yaml").write_text("data: d\nout: o\nepochs: 9\n")
    assert run(["train", "--out", str(tmp_path), "--resume"]) == 0
    assert engine["config"].epochs == 9
    assert engine["resume"] is True


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "--data and --out"),
        (["--data", "d", "--out", "o", "--set", "epochs"], "KEY=VALUE"),
        (["--data", "d", "--out", "o", "--set", "epochs=0"], "epochs"),
        (["--data", "d", "--out", "o", "--set", "speed=9"], "speed"),
        (["--config", "/no/such/file.yaml"], "cannot be read"),
    ],
)
def test_wrong_settings_are_one_sentence(engine, capsys, words, expected):
    assert run(["train", *words]) == 2
    assert expected in capsys.readouterr().err
    assert not engine


def test_settings_can_be_listed(capsys):
    assert run(["train", "--list-settings"]) == 0
    assert "tversky_gamma" in capsys.readouterr().out
