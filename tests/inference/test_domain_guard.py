"""An image unlike the training images gets a mask, never a class."""

import numpy as np
import pytest
import torch

from napari_segmoe.data.windows import whole_window
from napari_segmoe.errors import TrainingError
from napari_segmoe.inference import domain_guard
from napari_segmoe.inference.asked_image import ask_about
from napari_segmoe.inference.devices import choose_device
from napari_segmoe.inference.domain_guard import blocks_of, judge_all
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.inference.predictor import SegmentationPredictor, load_predictor
from napari_segmoe.models.card import DomainCard
from napari_segmoe.models.weights import load_weights, replace_guard
from napari_segmoe.types import Click, Modality

COMPONENTS = 3


def usual(seed, shape=(80, 64)):
    """A bright disk on grey noise."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    disk = (yy - shape[0] / 2) ** 2 + (xx - shape[1] / 2) ** 2 < 18**2
    grey = 70 + 90 * disk + rng.normal(0, 12, shape) + rng.uniform(-8, 8)
    return grey.clip(0, 255).astype(np.uint8)


def stranger(shape=(80, 64)):
    """A chessboard with a bright disk."""
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    board = 255 * ((yy // 4 + xx // 4) % 2)
    disk = (yy - shape[0] / 2) ** 2 + (xx - shape[1] / 2) ** 2 < 18**2
    return np.maximum(board, 200 * disk).astype(np.uint8)


def guarded(path, images, target, *, spacing=None):
    """Weights with a guard fitted on some images."""
    model, card = load_weights(path)
    network = WindowNetwork(model, card, choose_device("cpu"))
    rows = []
    for image in images:
        asked = ask_about(card, image, spacing, Modality.UNKNOWN)
        network.set_image(asked.seen)
        for windows in blocks_of(asked, card.input_px).values():
            rows += list(domain_guard.pool_block(network, windows))
    pooled = torch.from_numpy(np.stack(rows))
    guard = model.attach_domain_guard(pooled.shape[1], COMPONENTS)
    guard.fill(pooled)
    domain = DomainCard(
        features=pooled.shape[1],
        components=COMPONENTS,
        limit=1.5 * float(guard(pooled).max()),
        images=len(images),
        false_alarms=0.0,
    )
    target.write_bytes(path.read_bytes())
    replace_guard(target, guard, domain)
    return target


@pytest.fixture(scope="module")
def guarded_weights(small_weights, tmp_path_factory):
    target = tmp_path_factory.mktemp("guarded") / "guarded.safetensors"
    return guarded(small_weights, [usual(seed) for seed in range(16)], target)


@pytest.fixture
def predictor(guarded_weights, monkeypatch):
    """A predictor that marks what is bright, whatever its random tensors say."""
    found = load_predictor(guarded_weights, device="cpu", threads=1)
    mark_bright(found, monkeypatch)
    return found


def mark_bright(predictor, monkeypatch):
    from dataclasses import replace

    network = predictor._network
    answer = network.answer

    def seen(window, prompts, previous=None, **options):
        found = answer(window, prompts, previous, **options)
        grey = network.pixels(window).mean(-1) / 255
        bright = 1 / (1 + np.exp(-20 * (grey - 0.45)))
        return replace(found, probability=bright.astype(np.float32))

    monkeypatch.setattr(network, "answer", seen)


MIDDLE = Click(40, 32)


def test_an_image_like_the_training_images_gets_its_class(predictor):
    predictor.set_image(usual(99))
    answer = predictor.predict([MIDDLE])
    assert answer.mask.any()
    assert set(answer.classes) == {"benign", "malignant"}
    assert not any("domain score" in note for note in answer.notes)


def test_a_strange_image_gets_a_mask_without_a_class_and_one_sentence(predictor):
    predictor.set_image(stranger())
    answer = predictor.predict([MIDDLE])
    assert answer.mask[40, 32]
    assert answer.classes is None
    assert [item.class_name for item in answer.objects] == [None]
    said = [note for note in answer.notes if "domain score" in note]
    assert len(said) == 1
    assert "does not look like what small was trained on" in said[0]
    limit = predictor.card.domain.limit
    assert f"limit {limit:.2f}" in said[0]


def test_the_automatic_mode_says_the_same_as_a_click(predictor):
    predictor.set_image(stranger())
    automatic = predictor.predict()
    clicked = predictor.predict([MIDDLE])
    assert automatic.classes is None
    assert all(item.probabilities is None for item in automatic.objects)
    assert automatic.notes[0] == clicked.notes[0]


def test_the_verdict_does_not_depend_on_what_was_asked_before(predictor):
    def sentence(*questions):
        predictor.set_image(stranger())
        return [predictor.predict(clicks) for clicks in questions][-1].notes[0]

    near, both = [Click(38, 30)], [MIDDLE, Click(38, 30)]
    assert "domain score" in sentence([MIDDLE])
    assert sentence([MIDDLE]) == sentence(near) == sentence(near, (), both)


def test_an_image_is_looked_at_once(predictor, monkeypatch):
    looks = []
    pool = predictor._network.pool
    monkeypatch.setattr(
        predictor._network, "pool", lambda *a, **k: looks.append(a) or pool(*a, **k)
    )
    predictor.set_image(stranger())
    for click in (MIDDLE, Click(38, 30), Click(44, 34)):
        predictor.predict([click])
    predictor.predict()
    assert len(looks) == 1
    predictor.set_image(usual(3))
    predictor.predict([MIDDLE])
    assert len(looks) == 2


def test_a_known_wrong_modality_is_said_without_a_look(predictor, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the file says enough")

    monkeypatch.setattr(predictor._network, "pool", refuse)
    predictor.set_image(stranger(), modality=Modality.OCT)
    answer = predictor.predict([MIDDLE])
    assert answer.classes is None
    assert "made for ultrasound" in answer.notes[0]


def test_weights_without_a_guard_behave_as_before(small_weights, monkeypatch):
    predictor = load_predictor(small_weights, device="cpu", threads=1)
    mark_bright(predictor, monkeypatch)
    predictor.set_image(stranger())
    assert predictor.predict([MIDDLE]).classes is not None


def test_a_blank_image_has_no_verdict(predictor):
    predictor.set_image(np.full((64, 64), 90, np.uint8))
    network = predictor._network
    assert judge_all(network, predictor._image).withheld is None
    assert list(predictor._image.verdicts.values()) == [None]


def test_padding_beside_a_narrow_image_is_no_part_of_it(guarded_weights):
    predictor = load_predictor(guarded_weights, device="cpu", threads=1)
    network = predictor._network
    image = usual(5, (40, 120))
    window = whole_window(image.shape, 64)
    network.set_image(image)
    inside = network._reader.inside(window)[0, 0]
    assert inside.sum() == pytest.approx(64 * 64 / 3, rel=0.01)
    assert inside[32].min() == pytest.approx(1, abs=1e-4)
    assert inside[0].max() == 0


class TestPartsOfLargeImages:
    """Weights with a pixel size judge the neighbourhood of a click."""

    @pytest.fixture(scope="class")
    @classmethod
    def spaced(cls, spaced_weights, tmp_path_factory):
        target = tmp_path_factory.mktemp("guarded") / "spaced.safetensors"
        images = [cls.tissue(usual(seed, (128, 128))) for seed in range(8)]
        path = guarded(spaced_weights, images, target, spacing=(1.0, 1.0))
        return load_predictor(path, device="cpu", threads=1)

    @staticmethod
    def tissue(grey):
        return np.stack([grey, grey // 2, grey], axis=-1)

    def row_of(self, *images):
        return self.tissue(np.concatenate(images, axis=1))

    def half_strange(self):
        side = (128, 128)
        return self.row_of(
            *(usual(seed, side) for seed in (31, 32)), *(stranger(side),) * 2
        )

    def test_windows_of_a_part_lie_on_its_diagonal(self, spaced):
        spaced.set_image(self.half_strange(), (1.0, 1.0))
        blocks = blocks_of(spaced._image, 64)
        assert set(blocks) == {(0, j) for j in range(4)}
        starts = [(one.y0, one.x0) for one in blocks[0, 1]]
        assert starts == [(0, 128), (64, 192)]

    def test_a_click_is_judged_by_where_it_is(self, spaced, monkeypatch):
        spaced.set_image(self.half_strange(), (1.0, 1.0))
        scores = []
        for x in (60, 450):
            clicks = domain_guard.Prompts((Click(64, x),))
            verdict = domain_guard.score_at(spaced._network, spaced._image, clicks)
            scores.append(verdict.score)
        limit = spaced.card.domain.limit
        assert scores[0] < limit < scores[1]

    def test_further_clicks_do_not_move_the_place_that_is_judged(self, spaced):
        spaced.set_image(self.half_strange(), (1.0, 1.0))
        first = domain_guard.Prompts((Click(64, 60),))
        more = domain_guard.Prompts((Click(64, 60), Click(64, 450)))
        network, image = spaced._network, spaced._image
        assert domain_guard.score_at(network, image, first) is domain_guard.score_at(
            network, image, more
        )

    def test_all_of_an_image_is_judged_by_most_of_its_parts(self, spaced):
        side = (128, 128)
        spaced.set_image(self.row_of(*[stranger(side)] * 4), (1.0, 1.0))
        assert "domain score" in (spaced.predict().notes or ("",))[0]
        common = self.row_of(*(usual(seed, side) for seed in range(41, 45)))
        spaced.set_image(common, (1.0, 1.0))
        assert not any("domain score" in note for note in spaced.predict().notes)

    def test_glass_has_no_verdict(self, spaced):
        white = np.full((128, 128, 3), 240, np.uint8)
        spaced.set_image(white, (1.0, 1.0))
        clicks = domain_guard.Prompts((Click(64, 64),))
        assert domain_guard.score_at(spaced._network, spaced._image, clicks) is None


def test_errors_of_fitting_are_errors_of_training():
    from napari_segmoe.training.domain_fit import TooFewImagesError

    assert issubclass(TooFewImagesError, TrainingError)


def test_predictors_share_no_verdicts(guarded_weights):
    one = load_predictor(guarded_weights, device="cpu", threads=1)
    two = SegmentationPredictor(one._network)
    one.set_image(stranger())
    one.predict([MIDDLE])
    two.set_image(usual(4))
    assert two._image.verdicts == {}
