"""`segmoe search`, and `segmoe train --genotype` with what it found."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from napari_segmoe.cli.running import run
from napari_segmoe.models.genotypes import load_genotype
from napari_segmoe.training.search.config import SearchConfig, load_search_config
from napari_segmoe.training.search.images import load_search_data
from tests.training.search_folders import TINY, write_folder

SEGMOE = [sys.executable, "-m", "napari_segmoe"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("search")
    return (
        write_folder(root / "bright"),
        write_folder(root / "dark", bright=False),
    )


def _words(folders, out, **settings):
    words = ["search", "--out", str(out)]
    for folder in folders:
        words += ["--data", str(folder)]
    for key, value in settings.items():
        words += ["--set", f"{key}={value}"]
    return words


@pytest.fixture(scope="module")
def found(folders, tmp_path_factory):
    """The run folder of a tiny search."""
    out = tmp_path_factory.mktemp("found") / "run"
    assert run([*_words(folders, out, **TINY), "--json"]) == 0
    return out


def test_the_table_is_printed_always(found, capsys):
    """A search that is done shows its table again when it is resumed."""
    capsys.readouterr()
    assert run(["search", "--out", str(found), "--resume"]) == 0
    told = capsys.readouterr().out
    for word in ("searched", "random_1", "unet", "bright", "dark", "after 4 steps"):
        assert word in told
    assert "searched - random_mean: " in told
    assert "The searched genotype is" in told
    assert f"--genotype {found / 'genotype.json'}" in told


def test_json_is_the_report_of_the_run_folder(found, capsys):
    capsys.readouterr()
    assert run(["search", "--out", str(found), "--resume", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    stored = json.loads((found / "search.json").read_text(encoding="utf-8"))
    assert told["table"] == stored["table"]
    assert {row["kind"] for row in told["table"]} == {"searched", "random", "unet"}


def test_options_win_over_settings(folders, tmp_path, monkeypatch):
    from napari_segmoe.training.search import run as module

    given = {}

    def stop(config, *, resume=False):
        given.update(config=config, resume=resume)
        raise SystemExit(0)

    monkeypatch.setattr(module, "search", stop)
    words = _words(folders, tmp_path / "run", k=4, mu=1, batch_size=3)
    words += ["--k", "3", "--layers", "9", "--width", "16", "--minutes", "5"]
    assert run([*words, "--epochs", "7", "--seed", "2"]) == 0
    config = given["config"]
    assert config.data == folders
    assert (config.k, config.mu, config.layers, config.width) == (3, 1.0, 9, 16)
    assert (config.minutes, config.epochs, config.seed) == (5.0, 7, 2)
    assert config.batch_size == 3
    assert given["resume"] is False


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "at least one data folder"),
        (["--data", "d"], "needs --out"),
        (["--data", "d", "--out", "o", "--k", "0"], "k: "),
        (["--data", "d", "--out", "o", "--mu", "0"], "mu: "),
        (["--data", "d", "--out", "o", "--set", "speed=9"], "speed"),
        (["--data", "d", "--out", "o", "--set", "epochs"], "KEY=VALUE"),
        (["--data", "d", "--out", "o", "--layers", "4"], "4 layers"),
        (["--data", "/no/such/folder", "--out", "o"], "There is no folder"),
        (["--out", "/no/such/run", "--resume"], "at least one data folder"),
    ],
)
def test_wrong_use_is_one_sentence_and_leaves_nothing(
    words, expected, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert run(["search", *words]) == 2
    error = capsys.readouterr().err.strip()
    assert expected in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_is_one_sentence(tmp_path, capsys, folders):
    (tmp_path / "empty" / "images").mkdir(parents=True)
    words = _words((folders[0], tmp_path / "empty"), tmp_path / "run", **TINY)
    assert run(words) == 2
    assert "no images in" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_settings_can_be_listed_without_torch():
    code = (
        "import sys; from napari_segmoe.cli.running import run;"
        "assert run(['search', '--list-settings']) == 0;"
        "assert 'torch' not in sys.modules"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "edge_normalisation" in told.stdout


def _train(folder, out, *words, **settings):
    settings = {
        "epochs": 1,
        "input_px": 32,
        "batch_size": 2,
        "threads": 1,
        "device": "cpu",
        "precision": "32-true",
        "image_head": "false",
        "object_head": "false",
        "model_options": "{channels: 4}",
        **settings,
    }
    given = ["train", "--data", str(folder), "--out", str(out), "--json"]
    given += ["--model", "mixsearch_lite", "--recipe", "supervised", *words]
    for key, value in settings.items():
        given += ["--set", f"{key}={value}"]
    return run(given)


def test_a_found_genotype_trains_and_its_weights_need_no_file(found, folders, tmp_path):
    from napari_segmoe.models.weights import load_weights

    path = tmp_path / "mine.json"
    path.write_text((found / "genotype.json").read_text("utf-8"), encoding="utf-8")
    out = tmp_path / "run"
    assert _train(folders[0], out, "--genotype", str(path)) == 0
    wanted = load_genotype(path)
    path.unlink()
    model, card = load_weights(out / "last.safetensors")
    assert model.genotype == wanted.without_trace()
    assert model.shape.channels == 4
    assert str(tmp_path) not in card.model_dump_json()
    assert "trace" not in card.options["genotype"]
    words = ["train", "--out", str(out), "--resume", "--json", "--set", "epochs=2"]
    assert run(words) == 0  # nor does going on


def test_a_published_genotype_can_be_named(monkeypatch, tmp_path):
    from napari_segmoe.training import engine

    given = {}

    def fit(config, *, resume=False):
        given.update(config=config)
        return iter(())

    monkeypatch.setattr(engine, "fit", fit)
    words = ["train", "--data", "d", "--out", "o", "--model", "mixsearch", "--json"]
    assert run([*words, "--genotype", "cvc"]) == 0
    assert given["config"].model_options == {"genotype": "cvc"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "not valid"),
        ('{"name": "half"}', "not valid at down"),
        (None, "No genotype"),
    ],
)
def test_a_damaged_genotype_is_one_sentence(
    content, expected, folders, tmp_path, capsys
):
    path = tmp_path / "genotype.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    assert _train(folders[0], tmp_path / "run", "--genotype", str(path)) == 2
    error = capsys.readouterr().err.strip()
    assert expected in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_genotype_of_another_network_is_one_sentence(folders, tmp_path, capsys):
    words = ["--genotype", "cvc", "--model", "semi_moe_lite"]
    assert _train(folders[0], tmp_path / "run", *words) == 2
    assert "semi_moe_lite" in capsys.readouterr().err


REAL = {
    "images_per_set": 60,
    "input_px": 64,
    "width": 8,
    "epochs": 8,
    "steps_per_epoch": 10,
    "train_epochs": 30,
    "random_genotypes": 1,
    "threads": 1,
    "device": "cpu",
}


def _epochs(out: Path, phase: str) -> list[dict]:
    lines = (out / "events.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    return [
        event
        for event in events
        if event["event"] == "epoch" and event["phase"] == phase
    ]


def _dice_of_marking_everything(config: SearchConfig) -> float:
    means = []
    for one in load_search_data(config).held_out:
        share = one.masks.float().mean(dim=(1, 2, 3))
        means.append(float((2 * share / (1 + share)).mean()))
    return sum(means) / len(means)


@pytest.mark.slow
def test_a_killed_search_on_real_data_goes_on_and_learns(data_root, tmp_path):
    """On three modalities: both losses fall, and Dice beats marking everything."""
    folders = [data_root / name for name in ("busi", "cvc_clinicdb", "glas")]
    out = tmp_path / "run"
    words = [*SEGMOE, *_words(folders, out, **REAL)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL)
    events = out / "events.jsonl"
    while process.poll() is None:
        if events.is_file() and len(_epochs(out, "stage_1")) >= 3:
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.1)
    assert process.wait() == -signal.SIGKILL
    before = _epochs(out, "stage_1")
    told = subprocess.run(
        [*SEGMOE, "search", "--out", str(out), "--resume"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    for word in ("searched", "random_1", "unet", "The searched genotype is"):
        assert word in told.stdout
    curve = _epochs(out, "stage_1")
    assert curve[: len(before)] == before
    assert [event["epoch"] for event in curve] == list(range(8))
    for phase in ("stage_1", "stage_2"):
        epochs = _epochs(out, phase)
        assert epochs[-1]["loss"] < 0.95 * epochs[0]["loss"]
        assert epochs[-1]["entropies"]["normal"] < epochs[0]["entropies"]["normal"]
    report = json.loads((out / "search.json").read_text(encoding="utf-8"))
    trivial = _dice_of_marking_everything(load_search_config(out / "config.yaml"))
    assert report["table"][0]["dice"]["mean"] > trivial + 0.05
