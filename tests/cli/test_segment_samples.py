"""A click on every sample file, with the shipped weights, as a user asks for it."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from napari_segmoe.cli.running import run
from napari_segmoe.data.images import image_size
from napari_segmoe.data.slides.opening import open_slide
from napari_segmoe.errors import ImageReadError

ASSUMED_UM = 0.62  # of the gland weights, where a slide states no pixel size
SLIDES = (
    "CMU-1-Small-Region.svs",
    "CMU-1-Small-Region_dicom",
    "CMU-1-derived-pyramid.ome.tif",
    "TCGA-CR-7395-01A-01-TS1.svs",
)
SCANS = (
    "JPGLosslessP14SV1_1s_1f_8b.dcm",
    "busi_derived_benign_021.dcm",
    "busi_derived_malignant_002.dcm",
    "busi_derived_normal_002.dcm",
    "examples_jpeg2k.dcm",
    "examples_palette.dcm",
    "examples_rgb_color.dcm",
    "examples_ybr_color.dcm",
)


@pytest.fixture(autouse=True)
def _own_state(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def read_largest(table):
    with table.open(encoding="utf-8") as file:
        row = max(csv.DictReader(file), key=lambda row: float(row["area_um2"]))
    box = [float(row[name]) for name in ("y0", "x0", "y1", "x1")]
    return {"box": box, "area_um2": float(row["area_um2"])}


def ask(capsys, tmp_path, *words):
    command = ["segment", *words, "--out", str(tmp_path / "out"), "--json"]
    assert run(command) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", SLIDES)
def test_a_click_on_each_slide_is_answered_in_its_own_pixels(
    wsi_samples, name, tmp_path, capsys
):
    source = open_slide(wsi_samples / name)
    height, width = source.levels[0].shape
    part = f"{height // 3},{width // 3},{height // 3 + 900},{width // 3 + 900}"
    words = (str(wsi_samples / name), "--weights", "glands")
    everything = ask(capsys, tmp_path, *words, "--region", part)
    spacing = source.spacing_um or (1.0, 1.0)  # unknown: the region has level-0 pixels
    if source.spacing_um is None:
        assert everything["spacing_um"] is None
        assert any(f"{ASSUMED_UM} um" in note for note in everything["notes"])
    else:
        assert everything["spacing_um"] == pytest.approx(spacing)
    assert everything["region"]["step"] == pytest.approx([1 / um for um in spacing])
    y, x = height // 2, width // 2
    if everything["objects"]:
        polygon = np.array(everything["objects"][0]["polygon"])
        y, x = polygon.mean(axis=0)
    found = ask(capsys, tmp_path, *words, "--click", f"{y:.1f},{x:.1f}")
    assert found["objects"] or found["notes"]
    for item in found["objects"]:
        y0, x0, y1, x1 = item["box"]
        assert 0 <= y0 < y1 <= height
        assert 0 <= x0 < x1 <= width
        if source.spacing_um is None:
            assert item["area_um2"] is None
        else:
            area_um2 = item["area_px"] * spacing[0] * spacing[1]
            assert item["area_um2"] == pytest.approx(area_um2, rel=1e-3)
    (mask,) = (tmp_path / "out").glob("*.mask.png")
    assert np.array(Image.open(mask)).shape == tuple(found["region"]["shape"])


def test_an_object_found_in_a_region_is_found_by_a_click_in_it(
    synthetic_slide, tmp_path, capsys
):
    words = (str(synthetic_slide.path), "--weights", "glands")
    truth = read_largest(synthetic_slide.table_path)
    y0, x0, y1, x1 = truth["box"]
    y, x = (y0 + y1) / 2, (x0 + x1) / 2
    found = ask(capsys, tmp_path, *words, "--click", f"{y},{x}")
    (item,) = found["objects"]
    assert item["area_um2"] == pytest.approx(truth["area_um2"], rel=0.3)
    y0, x0 = max(y0 - 200, 0), max(x0 - 200, 0)
    around = f"{y0},{x0},{min(y1 + 200, 3000)},{min(x1 + 200, 4000)}"
    everything = ask(capsys, tmp_path, *words, "--region", around)
    areas = [one["area_um2"] for one in everything["objects"]]
    assert min(abs(area / item["area_um2"] - 1) for area in areas) < 0.2


@pytest.mark.parametrize("name", SCANS)
def test_a_click_on_each_ultrasound_file_is_answered(
    dicom_samples, name, tmp_path, capsys
):
    command = ["segment", str(dicom_samples / name), "--weights", "breast_ultrasound"]
    try:
        height, width = image_size(dicom_samples / name)
    except ImageReadError:
        assert run([*command, "--click", "9,9", "--out", str(tmp_path / "out")]) == 2
        (sentence,) = capsys.readouterr().err.strip().splitlines()
        assert "pip install" in sentence  # it names the extra
        return
    click = f"{height // 2},{width // 2}"
    found = ask(capsys, tmp_path, *command[1:], "--click", click)
    assert found["size"] == [height, width]
    assert found["objects"] or found["notes"]


def test_a_slide_cut_short_gets_one_sentence(wsi_samples, tmp_path, capsys):
    slide = tmp_path / "cut.svs"
    slide.write_bytes((wsi_samples / SLIDES[0]).read_bytes()[:300_000])
    command = ["segment", str(slide), "--weights", "glands"]
    assert run([*command, "--out", str(tmp_path / "out")]) == 2
    (sentence,) = capsys.readouterr().err.strip().splitlines()
    assert "cut short" in sentence
