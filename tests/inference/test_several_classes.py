"""Weights whose masks tell classes apart, asked through the predictor."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_segmoe.inference.predictor import load_predictor
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.registry import create_model
from napari_segmoe.models.weights import save_weights
from napari_segmoe.types import Click, Modality, Prompts

NAMES = ("cyst", "hole", "drusen")


def _save(folder, **card):
    torch.manual_seed(0)
    options = {"classes": 4, "image_classes": 3, "object_classes": 3}
    model = create_model("resformer_lite", **options).eval()
    path = folder / "lesions.safetensors"
    settings = {"classes": NAMES, "object_classes": NAMES, "mask_classes": NAMES}
    settings["multi_label"] = bool(card.get("classes", NAMES))
    written = WeightsCard(
        name="lesions",
        model="resformer_lite",
        options=options,
        modality="oct",
        input_px=64,
        prompt_channels=5,
        **settings | card,
    )
    save_weights(path, model, written)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of a ResFormer with three classes, random tensors."""
    return _save(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def scripted(weights, monkeypatch):
    """A predictor whose network sees the classes of a map, and pools them."""
    predictor = load_predictor(weights, device="cpu")

    def script(classes):
        model = predictor._network.model
        real = model.forward
        wanted = torch.nn.functional.one_hot(torch.from_numpy(classes).long(), 4)
        logits = 8.0 * wanted.movedim(2, 0)[None].float()

        def forward(*args, **kwargs):
            return replace(real(*args, **kwargs), logits=logits)

        def classify(output, mask):
            shares = output.logits[:, 1:].softmax(dim=1)
            return 6 * (shares * mask).sum(dim=(2, 3)) / mask.sum(dim=(2, 3))

        monkeypatch.setattr(model, "forward", forward)
        monkeypatch.setattr(model, "classify_region", classify)
        predictor.set_image(np.full((64, 64), 90, np.uint8), modality=Modality.OCT)
        return predictor

    return script


def _two_touching():
    classes = np.zeros((64, 64), np.uint8)
    classes[20:40, 10:30], classes[20:40, 30:55] = 1, 3
    return classes


def test_touching_lesions_of_two_classes_are_two_objects(scripted):
    answer = scripted(_two_touching()).predict()
    assert len(answer.objects) == 2
    by_class = {one.class_name: one for one in answer.objects}
    assert set(by_class) == {"cyst", "drusen"}
    found = answer.labels == by_class["cyst"].id
    assert found[30, 20]
    assert not found[30, 45]
    assert answer.mask[20:40, 10:55].mean() > 0.95


def test_each_object_has_probabilities_that_sum_to_one(scripted):
    answer = scripted(_two_touching()).predict()
    for one in answer.objects:
        assert sum(one.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert tuple(one.probabilities) == NAMES


def test_the_foreground_is_every_class_together(scripted):
    classes = _two_touching()
    answer = scripted(classes).predict()
    assert answer.probability[30, 20] > 0.95
    assert answer.probability[5, 5] < 0.05


def test_a_click_gives_the_class_of_the_object_under_it(scripted):
    classes = np.zeros((64, 64), np.uint8)
    classes[5:20, 5:20], classes[40:60, 40:60] = 1, 2
    predictor = scripted(classes)
    assert predictor.predict((Click(12, 12),)).class_name == "cyst"
    assert predictor.predict((Click(50, 50),)).class_name == "hole"


def test_image_labels_are_probabilities_each_by_itself(scripted):
    predictor = scripted(_two_touching())
    with torch.no_grad():
        answer = predictor.predict()
        window = predictor._network.answer(
            predictor._ask((), (), None, None).window, prompts=Prompts()
        )
    expected = window.output.class_logits.float().sigmoid()[0].numpy()
    assert list(answer.classes.values()) == pytest.approx(expected.tolist(), abs=1e-5)


def test_weights_without_classes_of_pixels_part_nothing(tmp_path, monkeypatch):
    predictor = load_predictor(_save(tmp_path, mask_classes=()), device="cpu")
    predictor.set_image(np.full((64, 64), 90, np.uint8))
    question = predictor._ask((), (), None, None)
    answer = predictor._answer(question, explain=False)
    assert predictor._network.pixel_classes(answer, (64, 64)) is None


def test_pixel_classes_come_at_the_size_of_the_image(weights):
    predictor = load_predictor(weights, device="cpu")
    predictor.set_image(np.full((50, 120), 90, np.uint8), modality=Modality.OCT)
    answer = predictor._answer(predictor._ask((), (), None, None), explain=False)
    found = predictor._network.pixel_classes(answer, (50, 120))
    assert found.shape == (50, 120)
    assert set(np.unique(found)) <= {1, 2, 3}


def test_windows_of_a_region_part_touching_lesions_of_two_classes(
    tmp_path, monkeypatch
):
    path = _save(tmp_path, classes=(), spacing_um=1.0)
    predictor = load_predictor(path, device="cpu")
    model = predictor._network.model
    real = model.forward

    def forward(image, *args, **kwargs):
        grey = image[:, 0]
        number = (grey > 0.0).long() + 2 * (grey > 0.6).long()  # 0, 1 or 3
        wanted = torch.nn.functional.one_hot(number, 4).movedim(3, 1)
        return replace(real(image, *args, **kwargs), logits=8.0 * wanted.float())

    def classify(output, mask):
        shares = output.logits[:, 1:].softmax(dim=1)
        return 6 * (shares * mask).sum(dim=(2, 3)) / mask.sum(dim=(2, 3))

    monkeypatch.setattr(model, "forward", forward)
    monkeypatch.setattr(model, "classify_region", classify)
    rng = np.random.default_rng(0)
    image = rng.integers(20, 60, (90, 150)).astype(np.uint8)
    image[30:60, 20:75], image[30:60, 75:130] = 150, 250
    predictor.set_image(image, (1.0, 1.0), modality=Modality.OCT)
    answer = predictor.predict()
    assert len(answer.objects) == 2
    by_class = {one.class_name: one for one in answer.objects}
    assert set(by_class) == {"cyst", "drusen"}
    assert by_class["cyst"].box[3] in range(73, 78)
