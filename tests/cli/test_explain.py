"""`segmoe explain`, run as a user runs it, on a phantom with a small network."""

import csv
import json

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from napari_segmoe.cli.running import run
from napari_segmoe.data.phantom import make_breast_phantom
from napari_segmoe.data.slide_writing import write_pixels
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.registry import create_model
from napari_segmoe.models.weights import save_weights

SIZE = (96, 128)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    paths = {}
    for name in ("semi_moe_lite", "decoder_interaction_lite"):
        torch.manual_seed(0)
        model = create_model(name).eval()
        card = WeightsCard(
            name=name,
            title="Small",
            model=name,
            classes=("benign", "malignant", "normal"),
            object_classes=("benign", "malignant"),
            input_px=64,
            prompt_channels=5,
        )
        paths[name] = folder / f"{name}.safetensors"
        save_weights(paths[name], model, card)
    return paths


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "breast 1.png"
    Image.fromarray(make_breast_phantom(3, size=SIZE).image).save(path)
    return path


@pytest.fixture(scope="module")
def explained(image, weights, tmp_path_factory):
    out = tmp_path_factory.mktemp("explained") / "new folder"
    words = ["explain", str(image), "-w", str(weights["semi_moe_lite"])]
    assert run([*words, "--click", "40,60", "--out", str(out), "--threads", "1"]) == 0
    return out


@pytest.fixture(scope="module")
def report(explained):
    return json.loads((explained / "breast 1.explanations.json").read_text())


def test_every_explanation_has_the_files_it_names(explained, report):
    named = {name for one in report["explanations"] for name in one["files"]}
    others = {"breast 1.contact_sheet.png", "breast 1.explanations.json"}
    assert {path.name for path in explained.iterdir()} == named | others
    counted = sum(len(one["files"]) for one in report["explanations"])
    assert counted == len(named)


def test_maps_are_pictures_and_float_tiffs_of_the_images_size(explained, report):
    maps = [one for one in report["explanations"] if one["kind"] == "map"]
    assert len(maps) > 10
    for one in maps:
        picture, tiff = (explained / name for name in one["files"])
        assert Image.open(picture).size == (SIZE[1], SIZE[0])
        values = tifffile.imread(tiff)
        assert values.dtype == np.float32
        assert values.shape == SIZE
        low, high = one["value_range"]
        assert low <= values.min() <= values.max() <= high


def test_routing_is_the_same_in_csv_and_json(explained, report):
    table = json.loads((explained / "breast 1.routing.json").read_text())
    with (explained / "breast 1.routing.csv").open() as file:
        head, *rows = csv.reader(file)
    assert head == ["", *table["columns"]]
    assert [row[0] for row in rows] == table["rows"] == ["mask", "distance", "boundary"]
    numbers = np.array([[float(cell) for cell in row[1:]] for row in rows])
    assert numbers.tolist() == table["values"]
    np.testing.assert_allclose(numbers.sum(axis=1), 1, atol=1e-5)
    (entry,) = [one for one in report["explanations"] if one["key"] == "routing"]
    assert entry["values"] == table["values"]


def test_masks_without_each_expert_are_there(report):
    keys = {one["key"] for one in report["explanations"]}
    assert {f"counterfactual/{name} expert" for name in ("mask", "boundary")} <= keys


def test_everything_has_a_sentence_and_missing_things_a_reason(report):
    assert all(one["description"].endswith(".") for one in report["explanations"])
    assert set(report["unavailable"]) == {"Attention", "Branches", "Depth"}
    assert report["clicks"] == [[40, 60, True]]


def test_the_sheet_is_one_page_of_four_columns(explained):
    sheet = np.array(Image.open(explained / "breast 1.contact_sheet.png"))
    assert sheet.shape[1] == 4 * 300 + 3 * 28 + 2 * 48
    assert sheet.shape[0] > 2000
    assert (sheet[:, :40] == 255).all()  # margins are clean
    assert (sheet[:, -40:] == 255).all()


def test_without_counterfactuals_there_are_none(image, weights, tmp_path, capsys):
    words = ["explain", str(image), "-w", str(weights["semi_moe_lite"]), "--json"]
    assert run([*words, "--no-counterfactuals", "--out", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    keys = {one["key"] for one in found["explanations"]}
    assert "distance" in keys
    assert not any(key.startswith("counterfactual") for key in keys)


def test_a_network_without_experts_is_explained_by_what_it_has(
    image, weights, tmp_path, capsys
):
    path = weights["decoder_interaction_lite"]
    words = ["explain", str(image), "-w", str(path), "--out", str(tmp_path), "--json"]
    assert run(words) == 0
    found = json.loads(capsys.readouterr().out)
    groups = {one["group"] for one in found["explanations"]}
    assert {"Attention", "Routing", "Tasks"} <= groups
    assert groups & set(found["unavailable"]) == set()
    assert (tmp_path / "breast 1.scales.csv").exists()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (["--click", "5"], "not 2 numbers"),
        (["--click", "500,5"], "outside the image"),
        (["--box", "9,9,3,12"], "is empty"),
        (["-w", "absent"], "No weights"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(
    image, weights, tmp_path, capsys, change, expected
):
    out = tmp_path / "out"
    words = ["explain", str(image), "-w", str(weights["semi_moe_lite"])]
    assert run([*words, *change, "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert expected in line
    assert not out.exists()


def test_a_file_that_is_no_image_is_one_sentence(weights, tmp_path, capsys):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not an image")
    words = ["explain", str(bad), "-w", str(weights["semi_moe_lite"])]
    assert run([*words, "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "bad.png" in line


def test_out_that_is_a_file_is_refused(image, weights, tmp_path, capsys):
    taken = tmp_path / "taken"
    taken.write_text("mine")
    words = ["explain", str(image), "-w", str(weights["semi_moe_lite"])]
    assert run([*words, "--no-counterfactuals", "--out", str(taken)]) == 2
    assert "is a file" in capsys.readouterr().err
    assert taken.read_text() == "mine"


@pytest.fixture
def slide(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(90, 220, (2600, 2400, 3), dtype=np.uint8)
    return write_pixels(tmp_path / "slide.ome.tif", pixels, (0.5, 0.5))


def _explain_slide(slide, weights, out, *words):
    command = ["explain", str(slide), "-w", str(weights["decoder_interaction_lite"])]
    return run([*command, *words, "--out", str(out), "--threads", "1"])


def test_a_click_on_a_slide_is_explained_over_its_region(slide, weights, tmp_path):
    out = tmp_path / "out"
    assert _explain_slide(slide, weights, out, "--click", "1300,1200") == 0
    found = json.loads((out / "slide.ome.explanations.json").read_text())
    assert found["clicks"] == [[1300, 1200, True]]
    assert found["region"]["shape"] == [1024, 1024]
    names = [name for one in found["explanations"] for name in one["files"]]
    maps = [name for name in names if name.endswith(".tiff")]
    assert maps
    assert tifffile.imread(out / maps[0]).shape == (1024, 1024)


def test_a_whole_slide_is_not_explained(slide, weights, tmp_path, capsys):
    assert _explain_slide(slide, weights, tmp_path / "out") == 2
    (sentence,) = capsys.readouterr().err.strip().splitlines()
    assert "too many to be explained" in sentence
    assert "--region" in sentence
