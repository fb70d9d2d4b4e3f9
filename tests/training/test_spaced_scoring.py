"""Weights with a pixel size are scored and calibrated on the objects of images."""

import numpy as np
import pytest
import torch

from napari_segmoe.data.folder import read_data_folder
from napari_segmoe.data.masks import MaskKind
from napari_segmoe.inference.devices import choose_device
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.inference.predictor import SegmentationPredictor
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.registry import create_model
from napari_segmoe.training.calibration import calibrate, choose_refusal
from napari_segmoe.training.cases import read_case
from napari_segmoe.training.evaluation import evaluate_folder
from tests.training.tissue import SHAPE, touching_glands, write_folder

CARD = WeightsCard(
    name="made",
    model="semi_moe_lite",
    object_classes=("benign", "malignant"),
    prompt_channels=5,
    input_px=96,
    spacing_um=1.0,
    assumed_spacing_um=0.5,
)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    model = create_model("semi_moe_lite", image_classes=0, object_classes=2)
    return WindowNetwork(model.eval(), CARD, choose_device("cpu"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("scored") / "d"
    masks = [touching_glands()] * 4
    return read_data_folder(
        write_folder(root, masks, spacings=["0.25", "0.25", "", ""])
    )


def _finish(job):
    while True:
        try:
            next(job)
        except StopIteration as end:
            return end.value


class _Recorder:
    """Stands before a predictor and keeps what it is told."""

    def __init__(self, inner):
        self.inner, self.spacings, self.clicks = inner, [], []
        self.card = inner.card

    def set_image(self, image, spacing_um=None, **more):
        self.spacings.append(spacing_um)
        self.inner.set_image(image, spacing_um, **more)

    def predict(self, clicks=(), **more):
        self.clicks.append(tuple(clicks))
        return self.inner.predict(clicks, **more)


def test_a_pixel_size_in_labels_csv_reaches_the_predictor(network, folder):
    recorder = _Recorder(SegmentationPredictor(network))
    report = _finish(evaluate_folder(recorder, folder, "train"))
    assert recorder.spacings == [(0.25, 0.25), (0.25, 0.25), None, None]
    assert report["n"] == 4
    assert 0 <= report["segmentation"]["object_f1"]["mean"] <= 1


def test_the_kind_of_masks_decides_what_is_one_object(folder):
    case = read_case(folder.items[0], folder.mask_kind)
    assert case.objects.shape == SHAPE
    assert set(np.unique(case.objects)) == {0, 1, 2, 3, 4}


def test_one_id_in_several_pieces_was_never_numbered(tmp_path):
    """As in testB_03 and testB_19 of GlaS, among images whose glands are numbered."""
    ids = touching_glands()
    root = write_folder(tmp_path / "d", [ids, ids, (ids > 0).astype(ids.dtype)])
    folder = read_data_folder(root)
    assert folder.mask_kind is MaskKind.INSTANCES
    counts = [
        len(np.unique(read_case(item, folder.mask_kind).objects)) - 1
        for item in folder.items
    ]
    assert counts == [4, 4, 3]


def test_calibration_clicks_each_object_and_fills_in_the_card(
    network, folder, monkeypatch
):
    clicked = []
    ask = SegmentationPredictor.predict

    def remember(self, clicks=(), **more):
        clicked.append(tuple(clicks))
        return ask(self, clicks, **more)

    monkeypatch.setattr(SegmentationPredictor, "predict", remember)
    before = network.card
    try:
        card = calibrate(network, folder.items[:2])
    finally:
        network.card = before
    assert () not in clicked  # no image head: the automatic mode is not asked
    ids = touching_glands()
    hit = [int(ids[round(one.y), round(one.x)]) for (one,) in clicked]
    assert hit == [1, 2, 3, 4, 0] * 2  # of each image its objects, then background
    assert 0.2 <= card.refuse_below <= 0.95
    assert card.spacing_um == 1.0


def test_refusals_spare_objects():
    """A weak network gave no answer to 43 % of clicks on lesions before."""
    empty = [0.1, 0.6, 0.6, 0.6, 0.6, 0.6, 0.85, 0.97]
    sure, unsure = [0.99] * 10, [0.99, 0.99, 0.99, 0.99, 0.75, 0.65, 0.55, 0.45, 0.1]
    assert choose_refusal(empty, sure) == 0.7  # 6 of 8 below
    assert choose_refusal(empty, unsure) == 0.4  # 0.5 would lose one of nine more
    assert choose_refusal(empty, []) == 0.7
    assert choose_refusal([], unsure) == 0.2
