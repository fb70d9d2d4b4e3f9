from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_segmoe.data.patches import Patch
from napari_segmoe.data.windows import whole_window
from napari_segmoe.errors import ImageReadError, NoImageError, PromptError
from napari_segmoe.inference.grids import shrink
from napari_segmoe.inference.predictor import load_predictor
from napari_segmoe.types import Box, Click, Modality, Prompts, Stroke


@pytest.fixture
def predictor(small_weights):
    return load_predictor(small_weights, device="cpu")


@pytest.fixture
def scripted(predictor, monkeypatch):
    """A predictor whose network marks what the test says, at full resolution."""

    def script(full):
        real = predictor._network.answer

        def answer(window, prompts, previous=None, **options):
            found = real(window, prompts, previous, **options)
            grid = shrink(Patch(full), window)
            return replace(found, probability=grid)

        monkeypatch.setattr(predictor._network, "answer", answer)
        return predictor

    return script


def _square(y, x, size, shape=(128, 128)):
    full = np.zeros(shape, np.float32)
    full[y : y + size, x : x + size] = 1
    return full


def test_a_question_before_an_image_is_refused(predictor):
    with pytest.raises(NoImageError, match="image first"):
        predictor.predict()


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (90, 70), (64, 64, 3)])
def test_any_size_gets_an_answer_of_that_size(predictor, shape):
    predictor.set_image(np.zeros(shape, np.uint8))
    for answer in (predictor.predict(), predictor.predict([Click(0, 0)])):
        assert answer.mask.shape == shape[:2]
        assert answer.probability.shape == shape[:2]
        assert np.isfinite(answer.probability).all()


def test_nan_pixels_are_refused(predictor):
    with pytest.raises(ImageReadError):
        predictor.set_image(np.full((8, 8), np.nan, np.float32))


@pytest.mark.parametrize("click", [Click(-3, 5), Click(5, 64), Click(np.nan, 5)])
def test_clicks_outside_are_refused(predictor, click):
    predictor.set_image(np.zeros((64, 64), np.uint8))
    with pytest.raises(PromptError, match="outside"):
        predictor.predict([click])


def test_an_empty_box_is_refused(predictor):
    predictor.set_image(np.zeros((64, 64), np.uint8))
    with pytest.raises(PromptError, match="no pixel"):
        predictor.predict(box=Box(10, 10, 10, 20))


def test_the_clicked_component_is_the_answer(scripted):
    predictor = scripted(_square(10, 10, 30) + _square(80, 80, 30))
    predictor.set_image(np.full((128, 128), 90, np.uint8))
    answer = predictor.predict([Click(95, 95)])
    truth = _square(80, 80, 30) > 0
    assert (answer.mask & truth).sum() / (answer.mask | truth).sum() > 0.85
    assert set(answer.classes) == {"benign", "malignant"}
    assert sum(answer.classes.values()) == pytest.approx(1, abs=1e-5)
    assert answer.objects[0].area_um2 is None


def test_a_click_on_nothing_says_so(scripted):
    predictor = scripted(_square(10, 10, 30))
    predictor.set_image(np.full((128, 128), 90, np.uint8))
    answer = predictor.predict([Click(100, 100)])
    assert not answer.mask.any()
    assert "No object here" in answer.notes[0]
    assert answer.classes is None


def test_the_automatic_mode_labels_each_object(scripted):
    predictor = scripted(_square(10, 10, 30) + _square(80, 80, 40))
    predictor.set_image(np.full((128, 128), 90, np.uint8), spacing_um=(2.0, 3.0))
    answer = predictor.predict()
    assert [found.id for found in answer.objects] == [1, 2]
    first = answer.objects[0]
    assert first.area_px == (answer.labels == 1).sum()
    assert first.area_um2 == pytest.approx(first.area_px * 6)


def test_a_second_click_changes_only_where_it_points(scripted):
    predictor = scripted(_square(10, 10, 30) + _square(80, 80, 30))
    predictor.set_image(np.full((128, 128), 90, np.uint8))
    one = predictor.predict([Click(25, 25)])
    two = predictor.predict([Click(25, 25), Click(110, 40)], previous=one)
    assert two.mask[25, 25]
    assert not two.mask[95, 95]
    assert (predictor.predict([Click(25, 25)]).mask == one.mask).all()


def test_locked_pixels_stay_out(scripted):
    predictor = scripted(_square(40, 40, 40))
    predictor.set_image(np.full((128, 128), 90, np.uint8))
    locked = np.zeros((128, 128), bool)
    locked[:, :60] = True
    answer = predictor.predict([Click(60, 70)], locked=locked)
    assert answer.mask.any()
    assert not (answer.mask & locked).any()
    assert not (predictor.predict(locked=locked).mask & locked).any()


def test_strokes_and_boxes_choose_what_they_touch(scripted):
    predictor = scripted(_square(10, 10, 30) + _square(80, 80, 30))
    predictor.set_image(np.full((128, 128), 90, np.uint8))
    stroke = Stroke(((85.0, 85.0), (100.0, 100.0)))
    by_stroke = predictor.predict(strokes=[stroke])
    by_box = predictor.predict(box=Box(75, 75, 115, 115))
    for answer in (by_stroke, by_box):
        assert answer.mask[95, 95]
        assert not answer.mask[25, 25]


def test_an_image_of_another_modality_gets_a_mask_but_no_class(scripted):
    predictor = scripted(_square(40, 40, 40))
    image = np.full((128, 128), 90, np.uint8)
    predictor.set_image(image, modality=Modality.HISTOLOGY)
    answer = predictor.predict([Click(60, 60)])
    assert answer.mask.any()
    assert answer.classes is None
    assert "histology" in answer.notes[0]
    assert predictor.predict().classes is None


def test_a_colourful_image_of_unknown_kind_gets_no_ultrasound_class(predictor, rng):
    pink = np.zeros((64, 64, 3), np.uint8)
    pink[...] = (220, 120, 180)
    predictor.set_image(pink)
    assert predictor.predict().classes is None
    predictor.set_image(np.repeat(pink[..., :1], 3, axis=2))
    assert predictor.predict().classes is not None


def test_the_same_question_has_the_same_answer(predictor, rng):
    predictor.set_image(rng.integers(0, 255, (70, 90), dtype=np.uint8))
    one, two = (predictor.predict([Click(20, 30)]) for _ in range(2))
    assert (one.probability == two.probability).all()


def test_probability_cut_at_the_threshold_gives_the_mask(scripted):
    predictor = scripted(_square(10, 10, 30) + _square(80, 80, 30))
    predictor.set_image(np.full((128, 128), 90, np.uint8))
    answer = predictor.predict([Click(95, 95)])
    assert ((answer.probability > predictor.card.mask_threshold) == answer.mask).all()


def test_the_network_sees_the_same_pixels_as_training(predictor, rng):
    from napari_segmoe.training.augmentation import plain_warp

    image = rng.integers(0, 255, (64, 64), dtype=np.uint8)
    predictor.set_image(image)
    window = whole_window(image.shape, 64)
    seen = predictor._network._grid(window)[0, 0] * 0.5 + 0.5
    warp = plain_warp(centre_yx=(31.5, 31.5), side=64, output_px=64)
    trained = warp.read(torch.from_numpy(image)[None] / 255, scale_yx=(1.0, 1.0))[0]
    assert torch.allclose(seen, trained, atol=1e-4)


def test_explanations_have_a_sentence_and_fit_their_range(predictor, rng):
    predictor.set_image(rng.integers(0, 255, (70, 90), dtype=np.uint8))
    found = predictor.predict(explain=True).explanations
    assert {"map", "table"} <= {one.kind for one in found}
    for one in found:
        assert one.description.endswith(".")
        assert one.values.min() >= one.value_range[0] - 1e-3
        assert one.values.max() <= one.value_range[1] + 1e-3


def test_prompts_are_falsy_only_when_empty():
    assert not Prompts()
    assert Prompts(clicks=(Click(1, 1),))


def test_smoothing_keeps_flat_scores_and_straightens_a_comb():
    from napari_segmoe.inference.smoothing import smooth_scores

    flat = torch.full((1, 1, 32, 32), 2.0)
    assert torch.allclose(smooth_scores(flat, 1.5), flat, atol=1e-5)
    comb = torch.full((1, 1, 32, 32), -4.0)
    comb[..., 16:, :] = 4
    comb[..., 13:16, ::2] = 4
    edge = (smooth_scores(comb, 1.5)[0, 0] > 0).float().sum(dim=0)
    assert (edge.max() - edge.min()) <= 1
    assert torch.equal(smooth_scores(comb, 0), comb)
