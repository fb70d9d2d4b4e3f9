"""Ablations train variants alike, skip what is done, and write one table."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

TINY = {
    "model": "resformer_lite",
    "input_px": 32,
    "epochs": 1,
    "batch_size": 4,
    "prompt_share": 0.0,
    "object_head": False,
    "texture_weight": 0.0,
}


@pytest.fixture
def data(tmp_path):
    root = tmp_path / "squares"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    rng = np.random.default_rng(0)
    rows = ["file,class,split,group"]
    for number in range(12):
        mask = np.zeros((40, 40), np.uint8)
        y, x = rng.integers(2, 20, 2)
        mask[y : y + 16, x : x + 16] = 255
        level = (100, 250)[number % 2]
        pixels = np.where(mask > 0, level, 30).astype(np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
        Image.fromarray(mask).save(root / "masks" / f"{number}.png")
        split = "test" if number >= 8 else "train"
        rows.append(f"{number}.png,{'ab'[number % 2]},{split},{number}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


def _ablation(tmp_path):
    from ablation_runs import Ablation, Variant

    variants = (
        Variant("whole", {}),
        Variant("without DFE", {"model_options": {"dfe": "none"}}),
    )
    return Ablation(tmp_path / "table.json", TINY, variants, "reduced")


def _run(monkeypatch, ablation, data, tmp_path, *more):
    from ablation_runs import run_ablation

    words = ["--data", str(data), "--out", str(tmp_path / "runs"), *more]
    monkeypatch.setattr(sys, "argv", ["ablate", *words])
    run_ablation(ablation, "Test.")
    return json.loads(ablation.result.read_text())


def test_variants_are_trained_scored_and_joined_over_seeds(tmp_path, data, monkeypatch):
    ablation = _ablation(tmp_path)
    rows = _run(monkeypatch, ablation, data, tmp_path)
    assert [row["name"] for row in rows] == ["whole", "without DFE"]
    assert [row["seeds"] for row in rows] == [1, 1]
    assert set(rows[0]["dice"]) == {"mean", "low", "high"}
    assert rows[0]["n"] == 4
    assert rows[0]["budget"] == "reduced"
    assert 0 <= rows[0]["accuracy"]["mean"] <= 1

    import ablation_runs

    trained = []
    fit = ablation_runs.fit
    monkeypatch.setattr(
        ablation_runs,
        "fit",
        lambda config, **more: trained.append(config.out.name) or fit(config, **more),
    )
    rows = _run(monkeypatch, ablation, data, tmp_path, "--seeds", "2")
    assert trained == ["whole-1", "without_DFE-1"]  # seed 0 was done
    assert [row["seeds"] for row in rows] == [2, 2]
    assert rows[1]["Dice less the first"]["n"] == 2
    assert "Dice less the first" not in rows[0]


def test_no_run_begins_after_the_minutes_are_over(tmp_path, data, monkeypatch, capsys):
    from ablation_runs import run_ablation

    words = ["--data", str(data), "--out", str(tmp_path / "r"), "--minutes", "-1"]
    monkeypatch.setattr(sys, "argv", ["ablate", *words])
    run_ablation(_ablation(tmp_path), "Test.")
    assert "run again to go on" in capsys.readouterr().out
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("script", ["ablate_decoder_interaction", "ablate_resformer"])
def test_every_variant_of_the_scripts_can_be_built(script, tmp_path):
    import importlib

    from napari_segmoe.models.registry import create_model
    from napari_segmoe.training.config import make_config

    module = importlib.import_module(script)
    sizes = set()
    for variant in module.VARIANTS:
        config = make_config(
            **{**module.BASE, **variant.settings}, data=tmp_path, out=tmp_path
        )
        heads = {"image_classes": 3 if config.image_head else 0, "object_classes": 0}
        model = create_model(config.model, **config.model_options, **heads)
        sizes.add(sum(part.numel() for part in model.parameters()))
    assert len(sizes) == len(module.VARIANTS)
