"""Parts of slides on the command line, with a stand-in for the network."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_segmoe.cli import options
from napari_segmoe.cli.answers import write_answer
from napari_segmoe.cli.requests import Request
from napari_segmoe.cli.running import run
from napari_segmoe.cli.scenes import open_scene
from napari_segmoe.data.slide_writing import write_pixels
from napari_segmoe.errors import ImageReadError, PromptError
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.types import (
    Box,
    Click,
    LoadedImage,
    Prediction,
    RegionEstimate,
    RegionProgress,
)

SHAPE = (3000, 4000)
SQUARES = ((200, 300, 400), (1500, 2600, 240), (2700, 3600, 200))  # y, x, side
UM = 0.5  # the weights see 1.0: a step of 2


class RegionPredictor:
    """Marks what is bright, at 1 um per pixel, and says how much memory it needs."""

    def __init__(self, brightness):
        self._brightness = brightness
        self.card = brightness.card.model_copy(update={"spacing_um": 1.0})
        self.memory_bytes = 1000

    def set_image(self, image, spacing_um=None, *, modality=None):
        self.asked = image
        if not isinstance(image, np.ndarray):
            image = image.read((0, 0, *image.shape))
        self._brightness.set_image(image, spacing_um, modality=modality)

    def predict(self, clicks=(), *, box=None):
        return self._brightness.predict(clicks, box=box)

    def predict_steps(self):
        yield RegionProgress(0, 2)
        yield RegionProgress(2, 2)
        return self.predict()

    def estimate(self):
        return RegionEstimate(2, 1.0, self.memory_bytes)


@pytest.fixture
def predictor(monkeypatch, brightness_predictor, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    stand_in = RegionPredictor(brightness_predictor)
    monkeypatch.setattr(options, "open_predictor", lambda *_args, **_words: stand_in)
    return stand_in


@pytest.fixture(scope="module")
def pixels():
    grey = np.full(SHAPE, 40, np.uint8)
    for y, x, side in SQUARES:
        grey[y : y + side, x : x + side] = 230
    return np.repeat(grey[..., None], 3, axis=2)


@pytest.fixture(scope="module")
def slide(pixels, tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "squares.ome.tif"
    return write_pixels(path, pixels, (UM, UM), quality=None)


@pytest.fixture(scope="module")
def unscaled(pixels, tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "plain.ome.tif"
    return write_pixels(path, pixels, None, quality=None)


def _ask(capsys, path, out, *words):
    status = run(["segment", str(path), *words, "--out", str(out), "--json"])
    assert status == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def _refusal(capsys, path, out, *words):
    assert run(["segment", str(path), *words, "--out", str(out)]) == 2
    (sentence,) = capsys.readouterr().err.strip().splitlines()
    assert not out.exists()
    return sentence


@pytest.mark.usefixtures("predictor")
def test_a_click_is_answered_in_full_resolution_pixels(slide, tmp_path, capsys):
    found = _ask(capsys, slide, tmp_path / "o", "--click", "1620,2720")
    assert found["clicks"] == [[1620, 2720, True]]
    assert found["spacing_um"] == [UM, UM]
    region = found["region"]
    assert region["step"] == [2, 2]
    assert region["shape"] == [1024, 1024]
    y, x = region["origin"]
    assert y <= 1620 - 900 <= 1620 + 900 <= y + 2048
    (item,) = found["objects"]
    assert item["box"] == pytest.approx([1500, 2600, 1740, 2840], abs=2)
    assert item["area_px"] == pytest.approx(240**2, rel=0.03)
    assert item["area_um2"] == pytest.approx(120**2, rel=0.03)
    assert item["long_axis_px"] == pytest.approx(240 * 2 / 3**0.5, rel=0.03)
    outline = np.array(item["polygon"])
    assert outline.min(0) == pytest.approx([1500, 2600], abs=2)
    assert outline.max(0) == pytest.approx([1740, 2840], abs=2)
    mask = np.array(Image.open(tmp_path / "o" / "squares.ome.mask.png"))
    assert mask.shape == (1024, 1024)
    rows, columns = np.nonzero(mask)
    assert y + rows.min() * 2 == pytest.approx(1500, abs=2)
    assert x + columns.min() * 2 == pytest.approx(2600, abs=2)


@pytest.mark.usefixtures("predictor")
def test_a_region_bounds_the_automatic_mode(slide, tmp_path, capsys):
    words = ("--region", "100,100,1000,2000")
    found = _ask(capsys, slide, tmp_path / "o", *words)
    assert found["region"]["origin"] == [100, 100]
    assert found["region"]["shape"] == [450, 950]
    (item,) = found["objects"]
    assert item["box"] == pytest.approx([200, 300, 600, 700], abs=2)


@pytest.mark.usefixtures("predictor")
def test_without_click_and_region_all_of_a_slide_is_meant(slide, tmp_path, capsys):
    found = _ask(capsys, slide, tmp_path / "o")
    assert found["region"]["shape"] == [1500, 2000]
    assert len(found["objects"]) == len(SQUARES)
    overlay = np.array(Image.open(tmp_path / "o" / "squares.ome.overlay.png"))
    assert max(overlay.shape) <= 2048


def test_what_does_not_fit_into_memory_names_the_region(
    predictor, slide, tmp_path, capsys
):
    predictor.memory_bytes = 2**60
    sentence = _refusal(capsys, slide, tmp_path / "o")
    assert "GB of memory" in sentence
    assert "--region" in sentence


@pytest.mark.usefixtures("predictor")
def test_the_users_pixel_size_stands_over_the_files(slide, tmp_path, capsys):
    words = ("--click", "1620,2720", "--spacing-um", "0.25")
    found = _ask(capsys, slide, tmp_path / "o", *words)
    assert found["spacing_um"] == [0.25, 0.25]
    assert found["region"]["step"] == [4, 4]
    assert found["objects"][0]["area_um2"] == pytest.approx(60**2, rel=0.04)


@pytest.mark.usefixtures("predictor")
def test_without_a_pixel_size_no_area_is_guessed(unscaled, tmp_path, capsys):
    found = _ask(capsys, unscaled, tmp_path / "o", "--region", "0,0,1000,1000")
    assert found["spacing_um"] is None
    assert found["region"]["step"] == [1, 1]
    assert found["objects"][0]["area_um2"] is None


@pytest.mark.usefixtures("predictor")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--click", "3000,5"], "outside the image of 3000x4000 px"),
        (["--region", "5000,0,6000,100"], "lies outside the image of 3000x4000 px"),
        (["--region", "10,10,10,500"], "is empty"),
        (["--region", "10,10,100"], "not 4 numbers"),
        (["--region", "0,0,500,500", "--click", "600,20"], "outside the region"),
        (["--click", "20,20", "--spacing-um", "4000"], "cannot be"),
    ],
)
def test_bad_words_are_one_sentence(slide, tmp_path, capsys, words, expected):
    assert expected in _refusal(capsys, slide, tmp_path / "o", *words)


@pytest.mark.usefixtures("predictor")
def test_a_region_on_several_slides_is_refused(slide, tmp_path, capsys):
    words = [str(slide), "--region", "0,0,500,500"]
    assert "one image" in _refusal(capsys, slide, tmp_path / "o", *words)


@pytest.mark.usefixtures("predictor")
def test_a_plain_image_takes_a_region_too(pixels, tmp_path, capsys):
    path = tmp_path / "squares.png"
    Image.fromarray(pixels[:1000, :1200]).save(path)
    words = ("--region", "100,200,900,1000", "--spacing-um", "0.5")
    found = _ask(capsys, path, tmp_path / "o", *words)
    assert found["region"]["origin"] == [100, 200]
    assert found["objects"][0]["box"] == pytest.approx([200, 300, 600, 700], abs=2)


CARD = WeightsCard(name="w", model="m", spacing_um=1.0)


def test_a_region_around_prompts_holds_them_and_stays_in_the_slide(slide):
    corner = open_scene(slide, Request(clicks=(Click(2999.4, 3999.4),)), CARD)
    assert corner.region.box == (3000 - 2048, 4000 - 2048, 3000, 4000)
    y, x = corner.region.to_slide(corner.clicks[0].y, corner.clicks[0].x)
    assert (y, x) == pytest.approx((2999.4, 3999.4), abs=1)
    far = Request(clicks=(Click(500, 300), Click(2900, 300, positive=False)))
    wide = open_scene(slide, far, CARD)
    assert wide.region.shape[0] * 2 >= 2400
    assert not wide.clicks[1].positive
    boxed = open_scene(slide, Request(box=Box(1000, 1000, 1200, 1400)), CARD)
    y0, x0, y1, x1 = (boxed.box.y0, boxed.box.x0, boxed.box.y1, boxed.box.x1)
    assert boxed.region.to_slide(y0 - 0.5, x0 - 0.5) == pytest.approx((999.5, 999.5))
    assert (y1 - y0, x1 - x0) == (100, 200)


def test_weights_without_a_pixel_size_see_full_resolution(slide):
    card = WeightsCard(name="w", model="m")
    scene = open_scene(slide, Request(clicks=(Click(1500, 1500),)), card)
    assert scene.region.step_yx == (1, 1)
    assert scene.region.shape == (1024, 1024)
    assert scene.spacing_um == (UM, UM)


def test_a_slide_that_is_cut_short_is_one_sentence(slide, tmp_path):
    cut = tmp_path / "cut.ome.tif"
    cut.write_bytes(slide.read_bytes()[:3000])
    with pytest.raises(ImageReadError, match=r"cut\.ome\.tif"):
        open_scene(cut, Request(clicks=(Click(5, 5),)), CARD)
    with pytest.raises(PromptError):
        open_scene(slide, Request(clicks=(Click(-5, 5),)), CARD)


def test_more_objects_than_a_png_can_number_go_into_a_tiff(tmp_path):
    labels = np.arange(300 * 300, dtype=np.uint32).reshape(300, 300)
    prediction = Prediction(labels > 0, (labels > 0).astype(np.float32), labels)
    files = write_answer(
        tmp_path,
        "many",
        image=LoadedImage(np.zeros((300, 300), np.uint8)),
        prediction=prediction,
        description={},
        card=CARD,
    )
    assert files[0].name == "many.mask.tiff"
    assert (tifffile.imread(files[0]) == labels).all()
