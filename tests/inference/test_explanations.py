"""What real networks explain, what they cannot, and what it costs."""

import numpy as np
import pytest
import torch

from napari_segmoe.errors import ModelOptionError, NoImageError
from napari_segmoe.inference.predictor import load_predictor
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.registry import create_model, list_models
from napari_segmoe.models.weights import save_weights
from napari_segmoe.types import Click, ExplanationGroup, Steering

LITE = [name for name in list_models() if name.endswith("_lite")]
SHAPE = (70, 90)
CLICK = Click(30, 40)
EXPERTS = ("mask expert", "distance expert", "boundary expert")


@pytest.fixture(scope="module")
def predictors(tmp_path_factory):
    """Predictors by name, made when first asked for, with a grey image set."""
    folder, made = tmp_path_factory.mktemp("weights"), {}
    image = np.random.default_rng(7).integers(0, 255, SHAPE, dtype=np.uint8)

    def get(name):
        if name not in made:
            torch.manual_seed(0)
            card = WeightsCard(
                name=name,
                model=name,
                classes=("benign", "malignant", "normal"),
                object_classes=("benign", "malignant"),
                input_px=64,
                prompt_channels=5,
            )
            path = folder / f"{name}.safetensors"
            save_weights(path, create_model(name).eval(), card)
            made[name] = load_predictor(path, device="cpu")
        made[name].set_image(image)
        return made[name]

    return get


@pytest.fixture
def semi_moe(predictors):
    return predictors("semi_moe_lite")


@pytest.fixture
def counted(semi_moe, monkeypatch):
    """How often parts of a network ran."""
    counts = {"encode": 0, "decode": 0}
    model = semi_moe._network.model

    def count(name):
        real = getattr(model, name)

        def called(*values, **words):
            counts[name] += 1
            return real(*values, **words)

        monkeypatch.setattr(model, name, called)

    for name in counts:
        count(name)
    return counts


def _by_key(explanations):
    return {one.key: one for one in explanations}


@pytest.mark.parametrize("name", LITE)
def test_each_explanation_is_complete(predictors, name):
    predictor = predictors(name)
    found = (*predictor.predict(explain=True).explanations,)
    found += predictor.counterfactuals()
    assert len({one.key for one in found}) == len(found)
    for one in found:
        assert one.group in set(ExplanationGroup)
        assert one.name
        assert one.description.endswith(".")
        low, high = one.value_range
        assert low < high
        assert one.values.dtype == np.float32
        assert low <= one.values.min() <= one.values.max() <= high
        if one.kind == "table":
            assert one.values.shape == (len(one.row_labels), len(one.labels))
            assert "per image" in one.description or "every image" in one.description
        else:
            assert one.values.shape == SHAPE
        if one.kind == "categories":
            assert set(np.unique(one.values)) <= set(range(len(one.labels)))


@pytest.mark.parametrize("name", LITE)
def test_each_group_is_there_or_has_a_reason(predictors, name):
    predictor = predictors(name)
    given = {one.group for one in predictor.predict(explain=True).explanations}
    missing = predictor.unavailable_explanations()
    assert given | set(missing) == set(ExplanationGroup)
    assert given & set(missing) == set()
    assert all(reason.endswith(".") for reason in missing.values())


@pytest.mark.parametrize("name", LITE)
def test_explaining_changes_no_answer(predictors, name):
    predictor = predictors(name)
    plain, explained = (
        predictor.predict([CLICK]),
        predictor.predict([CLICK], explain=True),
    )
    np.testing.assert_array_equal(plain.probability, explained.probability)
    assert plain.explanations == ()


@pytest.mark.parametrize("name", LITE)
def test_weights_of_routing_are_shares(predictors, name):
    found = _by_key(predictors(name).predict(explain=True).explanations)
    for key in {"routing", "scales"} & set(found):
        np.testing.assert_allclose(found[key].values.sum(axis=1), 1, atol=1e-5)


def test_groups_of_the_decoder_interaction_network(predictors):
    missing = predictors("decoder_interaction_lite").unavailable_explanations()
    assert set(missing) == {"Distance and boundary", "Experts", "Depth"}
    assert "decoder_interaction_lite" in missing["Experts"]


def test_the_decoder_interaction_network_shows_all_its_parts(predictors):
    predictor = predictors("decoder_interaction_lite")
    found = _by_key(predictor.predict(explain=True).explanations)
    for level in ("D1", "D2", "D3", "D4"):
        assert {f"{kind}/{level}" for kind in ("attention", "change", "variance")} <= (
            set(found)
        )
    assert found["routing"].row_labels == ("D1", "D2", "D3", "D4")
    blocks = ("E1", "E2", "E3", "E4", "E5", "D1", "D2", "D3", "D4")
    assert found["scales"].row_labels == blocks


def test_the_mean_of_the_variance_map_is_what_upa_weighs_by():
    from napari_segmoe.models.interaction_blocks import _variances, spatial_variance

    decoded = torch.randn(2, 5, 6, 7)
    weighed = _variances(decoded, torch.randn(2, 8))[:, 0]
    shown = spatial_variance(decoded).mean(dim=(1, 2, 3))
    torch.testing.assert_close(shown, weighed)


def test_asking_what_is_missing_forgets_no_image(predictors):
    predictor = predictors("decoder_interaction_lite")
    before = predictor.predict([CLICK])
    predictor._unavailable = None
    predictor.unavailable_explanations()
    after = predictor.predict([CLICK])
    np.testing.assert_array_equal(before.probability, after.probability)


def test_an_explained_answer_costs_one_run(semi_moe, counted):
    semi_moe.predict([CLICK], explain=True)
    assert counted == {"encode": 1, "decode": 1}


def test_counterfactuals_encode_once_and_decode_once_an_expert(semi_moe, counted):
    semi_moe.counterfactuals([CLICK])
    assert counted == {"encode": 1, "decode": 1 + len(EXPERTS)}


def test_counterfactuals_of_an_explained_answer_encode_nothing(semi_moe, counted):
    semi_moe.predict([CLICK], explain=True)
    semi_moe.counterfactuals([CLICK])
    assert counted["encode"] == 1
    semi_moe.counterfactuals([Click(5, 5)])
    assert counted["encode"] == 2


def test_another_image_is_encoded_anew(semi_moe, counted):
    first = semi_moe.predict([CLICK], explain=True)
    semi_moe.set_image(np.zeros(SHAPE, np.uint8))
    second = semi_moe.predict([CLICK], explain=True)
    assert counted["encode"] == 2
    assert (first.probability != second.probability).any()


def test_another_answer_before_is_encoded_anew(semi_moe, counted):
    before = np.zeros(SHAPE, np.float32)
    before[20:50, 20:60] = 1
    for previous in (before, before.copy(), before * 0.9, None):
        semi_moe.predict([CLICK], previous=previous, explain=True)
    assert counted["encode"] == 3


def test_a_counterfactual_is_the_answer_with_a_veto(semi_moe):
    found = _by_key(semi_moe.counterfactuals())
    plain = semi_moe.predict()
    for expert in EXPERTS:
        steering = Steering(vetoed={"*": (expert,)})
        vetoed = semi_moe.predict(steering=steering)
        without = found[f"counterfactual/{expert}"].values
        np.testing.assert_allclose(without, vetoed.probability, atol=1e-6)
        effect = plain.probability - vetoed.probability
        np.testing.assert_allclose(found[f"effect/{expert}"].values, effect, atol=1e-6)


def test_networks_without_experts_have_no_counterfactuals(predictors):
    assert predictors("decoder_interaction_lite").counterfactuals([CLICK]) == ()


def test_counterfactuals_need_an_image(semi_moe):
    semi_moe.release()
    with pytest.raises(NoImageError, match="image first"):
        semi_moe.counterfactuals()


def test_a_pinned_expert_does_all_the_work(semi_moe):
    steering = Steering(pinned={"mask": ("distance expert",)})
    found = semi_moe.predict(explain=True, steering=steering).explanations
    routing = _by_key(found)["routing"]
    assert routing.values[0].tolist() == [0, 1, 0]
    assert routing.values[1].min() > 0


def test_steering_that_wishes_nothing_is_none(predictors):
    predictor = predictors("decoder_interaction_lite")
    plain = predictor.predict([CLICK])
    steered = predictor.predict([CLICK], steering=Steering())
    np.testing.assert_array_equal(plain.probability, steered.probability)


@pytest.mark.parametrize(
    ("name", "vetoed", "sentence"),
    [
        ("semi_moe_lite", {"*": EXPERTS}, "Allow at least one"),
        ("semi_moe_lite", {"*": ("nobody",)}, "has no expert 'nobody'"),
        ("decoder_interaction_lite", {"*": ("segmentation",)}, "no experts"),
    ],
)
def test_steering_that_cannot_be_obeyed_is_one_sentence(
    predictors, name, vetoed, sentence
):
    with pytest.raises(ModelOptionError, match=sentence):
        predictors(name).predict(steering=Steering(vetoed=vetoed))


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (41, 1)])
def test_any_shape_is_explained(semi_moe, shape):
    semi_moe.set_image(np.zeros(shape, np.uint8))
    for one in semi_moe.predict(explain=True).explanations:
        assert np.isfinite(one.values).all()
        assert one.kind == "table" or one.values.shape == shape
