"""Several classes in one image, on real scans from the command line. Slow."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_segmoe.data.folder import read_data_folder
from napari_segmoe.data.masks import read_mask
from napari_segmoe.models.card import read_card

pytestmark = pytest.mark.slow

KEPT = ("intraretinal_cyst", "retinal_drusen", "subretinal_hyperreflective_material")
SETTINGS = {
    "modality": "oct",
    "class_loss": "multi_label",
    "rare_below": 0.4,
    "mask_class_weight": 0.5,
    "object_class_weight": 0.5,
    "cross_entropy_weight": 1.0,
    "boundary_weight": 0.0,
    "texture_weight": 0.0,
    "input_px": 128,
    "batch_size": 8,
    "epochs": 14,
    "learning_rate": 2e-3,
    "warmup_steps": 20,
    "ema_decay": 0.97,
    "validate_every": 7,
    "validation_fraction": 0.2,
    "threads": 1,
    "device": "cpu",
}


def _segmoe(*words: str) -> str:
    command = [sys.executable, "-m", "napari_segmoe", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def scans(data_root, tmp_path_factory):
    """A folder of 96 training and 16 test scans; the files are links."""
    source = data_root / "oct_kermany_lesions"
    if not source.is_dir():
        pytest.skip("There is no oct_kermany_lesions.")
    folder = tmp_path_factory.mktemp("data") / "scans"
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    with (source / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = []
    for split, count in (("train", 96), ("test", 16)):
        several = [row for row in rows if row["split"] == split]
        several.sort(key=lambda row: -sum(int(row[f"px_{name}"]) > 0 for name in KEPT))
        chosen += several[:count]
    for row in chosen:
        stem = Path(row["file"]).stem
        for part, name in (("images", row["file"]), ("masks", f"{stem}.png")):
            (folder / part / name).symlink_to(source / part / name)
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(chosen)
    return folder


@pytest.fixture(scope="module")
def run(scans, tmp_path_factory):
    """A finished run: its folder and its events."""
    out = tmp_path_factory.mktemp("runs") / "oct"
    every = read_data_folder(scans).mask_classes
    merges = {name: "unknown" for name in every if name not in KEPT}
    settings = [
        word
        for key, value in (SETTINGS | {"merge_classes": json.dumps(merges)}).items()
        for word in ("--set", f"{key}={value}")
    ]
    named = ["--data", str(scans), "--out", str(out), "--model", "resformer_lite"]
    lines = _segmoe("train", "--json", *named, *settings).splitlines()
    return out, [json.loads(line) for line in lines if line.startswith("{")]


@pytest.fixture(scope="module")
def report(run, scans, tmp_path_factory):
    """What `segmoe evaluate` says of the run's best weights."""
    out = tmp_path_factory.mktemp("report") / "evaluate.json"
    best = str(run[0] / "best.safetensors")
    _segmoe("evaluate", "--data", str(scans), "--weights", best, "--out", str(out))
    return json.loads(out.read_text())


def test_every_loss_falls(run):
    epochs = [one["train"] for one in run[1] if one["event"] == "epoch"]
    for name in ("loss", "segmentation", "mask_classes", "class", "object_class"):
        assert epochs[-1][name] < 0.9 * epochs[0][name], name


def test_the_card_names_the_classes(run):
    card = read_card(run[0] / "best.safetensors")
    assert card.mask_classes == card.object_classes == card.classes == KEPT
    assert card.multi_label
    assert card.merged_classes["vitreous_detachment"] == "unknown"


def test_clicked_objects_get_their_class_better_than_the_most_frequent_one(run):
    best = max(
        (one["validation"] for one in run[1] if "validation" in one),
        key=lambda figures: figures["score"],
    )
    assert best["object_balanced"] > 0.5  # always the same class: 1/3
    assert best["click_iou"] > 0.15


def test_masks_beat_marking_everything(report, scans):
    assert report["segmentation"]["dice"]["mean"] > 1.5 * _dice_of_everything(scans)
    assert set(report["mask_classes"]["classes"]) == set(KEPT)
    assert report["mask_classes"]["dice_mean"] > 0.1


def test_clicks_report_the_class_on_images_with_several(run, scans, tmp_path):
    out = tmp_path / "clicks.json"
    best = str(run[0] / "best.safetensors")
    named = ["--data", str(scans), "--weights", best, "--out", str(out)]
    _segmoe("clicks", *named, "--max-clicks", "3", "--limit", "4")
    several = json.loads(out.read_text())["object_classes"]["after"]["1"]["several"]
    assert several["n"] >= 4
    assert set(several["per_class"]) <= set(KEPT)


def test_each_object_of_a_segmented_scan_has_a_class(run, scans, tmp_path):
    item = read_data_folder(scans).select("test")[0]
    best = str(run[0] / "best.safetensors")
    out = str(tmp_path / "out")
    _segmoe("segment", str(item.image_path), "--weights", best, "--out", out)
    answer = json.loads((tmp_path / "out" / f"{item.name}.json").read_text())
    assert answer["objects"]
    for one in answer["objects"]:
        assert set(one["probabilities"]) == set(KEPT)
        assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-3)


def _dice_of_everything(folder: Path) -> float:
    scores = []
    for item in read_data_folder(folder).select("test"):
        truth = read_mask(item.mask_path).labels > 0
        scores.append(2 * truth.sum() / (truth.sum() + truth.size))
    return float(np.mean(scores))
