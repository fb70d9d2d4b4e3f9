import json

import pytest
import torch

from napari_segmoe.errors import (
    ConfigError,
    RunFolderError,
    TrainingError,
    WeightsError,
)
from napari_segmoe.models.weights import load_weights
from napari_segmoe.training.config import make_config
from napari_segmoe.training.engine import fit
from napari_segmoe.training.recipes import multitask


def _config(folder, out, **changes):
    values = {
        "data": folder,
        "out": out,
        "input_px": 64,
        "epochs": 2,
        "batch_size": 4,
        "learning_rate": 1e-3,
        "empty_class": "normal",
        "validation_fraction": 0.3,
        "precision": "32-true",
        "device": "cpu",
        "threads": 1,
    }
    return make_config(**(values | changes))


def _losses(events):
    return [event["train"]["loss"] for event in events if event["event"] == "epoch"]


@pytest.fixture(scope="module")
def whole_run(tiny_folder, tmp_path_factory):
    config = _config(tiny_folder, tmp_path_factory.mktemp("runs") / "whole")
    return config, list(fit(config))


def test_a_run_leaves_its_folder(whole_run):
    config, _ = whole_run
    names = {path.name for path in config.out.iterdir()}
    assert {
        "config.yaml",
        "events.jsonl",
        "last.safetensors",
        "best.safetensors",
        "metrics.json",
    } <= names
    lines = (config.out / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines][-1] == "done"
    assert not [name for name in names if name.endswith("partial")]
    _, card = load_weights(config.out / "best.safetensors")
    assert card.object_classes == ("benign", "malignant")
    assert card.split["sha256"]


def test_a_resumed_run_continues_the_same_curve(whole_run, tiny_folder, tmp_path):
    _, whole = whole_run
    config = _config(tiny_folder, tmp_path / "parts")
    run = fit(config)
    for event in run:
        if event["event"] == "epoch":
            break
    next(run)  # some of the second epoch is lost, as after a kill
    run.close()
    resumed = list(fit(config, resume=True))
    assert _losses(resumed) == pytest.approx(_losses(whole)[1:], rel=1e-4)


def test_an_existing_run_is_never_overwritten(whole_run):
    config, _ = whole_run
    with pytest.raises(RunFolderError, match="holds a run already"):
        next(fit(config))


def test_resume_with_other_values_is_refused(whole_run):
    config, _ = whole_run
    other = config.model_copy(update={"learning_rate": 0.5})
    with pytest.raises(RunFolderError, match="learning_rate"):
        next(fit(other, resume=True))


def test_nothing_to_resume_is_said(tiny_folder, tmp_path):
    with pytest.raises(RunFolderError, match="holds no run to resume"):
        next(fit(_config(tiny_folder, tmp_path / "none"), resume=True))


def test_a_loss_that_is_not_finite_stops_and_names_the_batch(
    tiny_folder, tmp_path, monkeypatch
):
    class Broken(multitask.MultitaskStep):
        def forward(self, batch):
            losses = super().forward(batch)
            return losses | {"loss": losses["loss"] * torch.nan}

    monkeypatch.setattr(multitask, "MultitaskStep", Broken)
    with pytest.raises(TrainingError, match="batch 0"):
        list(fit(_config(tiny_folder, tmp_path / "nan")))


def test_a_full_disk_is_one_sentence_and_leaves_no_partial_file(
    tiny_folder, tmp_path, monkeypatch
):
    def full(state, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_segmoe.training.run_folder.torch.save", full)
    config = _config(tiny_folder, tmp_path / "full")
    with pytest.raises(RunFolderError, match="Free space"):
        list(fit(config))
    assert not list(config.out.glob(".*partial"))


def test_starting_weights_that_do_not_exist_are_refused(tiny_folder, tmp_path):
    config = _config(tiny_folder, tmp_path / "start", start_from="nowhere")
    with pytest.raises(WeightsError, match="nowhere"):
        next(fit(config))


def test_an_unknown_recipe_is_refused(tiny_folder, tmp_path):
    with pytest.raises(ConfigError, match=r"recipe.*multitask"):
        _config(tiny_folder, tmp_path / "recipe", recipe="magic")
