"""The shipped weights in the window, on a real image and on human scribbles."""

import csv
import os

import numpy as np
import pytest
import tifffile
from PIL import Image
from qtpy.QtCore import Qt
from scipy.ndimage import distance_transform_edt
from skimage.measure import label
from skimage.morphology import skeletonize

from napari_segmoe.session.image import SessionImage
from napari_segmoe.session.jobs import InlineRunner
from napari_segmoe.session.predictor import ModelChoice
from napari_segmoe.session.session import Session
from napari_segmoe.session.torch_backend import load_torch_predictor
from napari_segmoe.types import Modality
from napari_segmoe.viewer.our_layers import OBJECTS
from napari_segmoe.viewer.readers import get_image_reader
from napari_segmoe.viewer.writer import read_rows, save_objects
from napari_segmoe.widgets.objects_model import CLASS_COLUMN
from tests.session.fakes import FakePredictor

WEIGHTS = os.environ.get("SEGMOE_TEST_WEIGHTS", "breast_ultrasound")
CLASSES = {"benign", "malignant"}


def first_lesion(busi):
    """The first test image with one lesion of a fair size, and its truth."""
    with (busi / "labels.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            is_fair = float(row["area_frac"]) > 0.05 and row["n_lesion_masks"] == "1"
            if row["split"] == "test" and row["class"] in CLASSES and is_fair:
                break
    stem = row["file"].rsplit(".", 1)[0]
    truth = np.asarray(Image.open(busi / "masks" / f"{stem}.png").convert("L")) > 0
    return busi / "images" / row["file"], truth


def middle_of(mask):
    depth = distance_transform_edt(mask)
    return np.unravel_index(int(depth.argmax()), mask.shape)


def overlap(mask, truth):
    return np.logical_and(mask, truth).sum() / np.logical_or(mask, truth).sum()


def test_a_lesion_is_clicked_classified_committed_undone_changed_and_saved(
    open_window, busi, tmp_path
):
    path, truth = first_lesion(busi)
    window = open_window(weights=WEIGHTS)
    pixels, options, _ = get_image_reader(str(path))(str(path))[0]
    metadata = {**options["metadata"], "modality": "ultrasound"}
    window.viewer.add_image(pixels, **{**options, "metadata": metadata})
    window.wait_for_prompts_layer()

    # the click comes while torch and the weights still load: it is queued
    y, x = middle_of(truth)
    window.click(y, x)
    assert len(window.session.prompts.clicks) == 1
    prediction = window.wait_for_mask(timeout=180_000)
    assert overlap(prediction.mask, truth) > 0.6
    assert set(prediction.classes) == CLASSES
    name = prediction.class_name
    card = window.dock.segment._card
    assert name in card.headline
    assert f"{prediction.classes[name]:.2f}" in card.headline

    window.press_key(Qt.Key.Key_C)
    labels = window.viewer.layers[OBJECTS].data
    np.testing.assert_array_equal(labels > 0, prediction.mask)
    window.press_key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert window.viewer.layers[OBJECTS].data.max() == 0
    assert window.session.prediction is prediction
    window.session.redo()
    np.testing.assert_array_equal(
        window.viewer.layers[OBJECTS].data > 0, prediction.mask
    )

    other = (CLASSES - {name}).pop()
    table = window.dock.objects.table.model()
    entry = window.session.classes.table.find_name(other)
    table.setData(table.index(0, CLASS_COLUMN), entry.id)
    assert list(window.viewer.layers[OBJECTS].features["class"]) == [other]

    file = tmp_path / "objects.tif"
    save_objects(file, window.session)
    window.session.annotation.delete([1])
    window.session.annotation.load(tifffile.imread(file), read_rows(file))
    np.testing.assert_array_equal(
        window.viewer.layers[OBJECTS].data > 0, prediction.mask
    )
    assert list(window.viewer.layers[OBJECTS].features["class"]) == [other]


@pytest.fixture(scope="module")
def scribbled(data_root):
    """Image, truth and scribbles of three people (0, 1 negative, 2 positive)."""
    folder = data_root / "medscribble"
    cases = []
    for path in sorted((folder / "scribbles").glob("*_annotator1.png"))[::6]:
        stem = path.stem.removesuffix("_annotator1")
        image = np.asarray(Image.open(folder / "images" / f"{stem}.png").convert("L"))
        truth = np.asarray(Image.open(folder / "masks" / f"{stem}.png")) > 0
        cases.append((image, truth, np.asarray(Image.open(path))))
    return cases


def strokes_of(scribbles, value):
    """Each drawn line as its centre line, (N, 2), from one end to the other."""
    lines = label(skeletonize(scribbles == value), connectivity=2)
    for number in range(1, lines.max() + 1):
        left = [tuple(p) for p in np.argwhere(lines == number)]
        ordered = [left.pop(0)]
        while left:
            gaps = [np.hypot(*np.subtract(p, ordered[-1])) for p in left]
            ordered.append(left.pop(int(np.argmin(gaps))))
        yield np.array(ordered, float)


def draw_scribbles(session, scribbles):
    for value, positive in ((2, True), (1, False)):
        for line in strokes_of(scribbles, value):
            session.prompting.add_stroke(line, positive=positive)


def test_human_scribbles_become_strokes_that_stay_on_the_drawn_pixels(scribbled):
    for image, _, scribbles in scribbled:
        session = Session(lambda weights, *, device: FakePredictor(), InlineRunner())
        session.choose_image(SessionImage("one", image))
        draw_scribbles(session, scribbles)
        strokes = session.prompts.strokes
        assert any(s.positive for s in strokes)
        for stroke in strokes:
            ys, xs = np.round(np.array(stroke.points)).astype(int).T
            assert set(scribbles[ys, xs]) == {2 if stroke.positive else 1}


def test_human_scribbles_are_answered_by_masks_that_heed_them(scribbled):
    session = Session(
        load_torch_predictor, InlineRunner(), choice=ModelChoice(WEIGHTS, "cpu")
    )
    failures, hits = [], []
    session.failed.connect(failures.append)
    for n, (image, _, scribbles) in enumerate(scribbled):
        session.choose_image(SessionImage(str(n), image, modality=Modality.OTHER))
        draw_scribbles(session, scribbles)
        mask = session.prediction.mask
        assert mask.shape == image.shape
        assert session.prediction.classes is None  # not made for these images
        if mask.any():
            hits.append(mask[scribbles == 2].mean() - mask[scribbles == 1].mean())
    assert failures == []
    assert hits
    assert np.mean(hits) > 0.3
