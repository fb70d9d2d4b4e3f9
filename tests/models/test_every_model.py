"""What each registered network must do, whatever its architecture."""

import pytest
import torch

from napari_segmoe.errors import ModelOptionError, UnknownModelError, WeightsError
from napari_segmoe.models.card import WeightsCard, read_card
from napari_segmoe.models.prompt_stem import PROMPT_CHANNELS
from napari_segmoe.models.registry import create_model, list_models, register_model
from napari_segmoe.models.weights import load_weights, save_weights

every_model = pytest.mark.parametrize("name", list_models())
# Small enough that building each network once a test takes seconds.
CLASSES, IMAGE_CLASSES, OBJECT_CLASSES = 1, 3, 2
OPTIONS = {
    "in_channels": 3,
    "classes": CLASSES,
    "image_classes": IMAGE_CLASSES,
    "object_classes": OBJECT_CLASSES,
}


def _build(name, *, prompts=True, seed=0):
    torch.manual_seed(seed)
    return create_model(name, **OPTIONS, prompts=prompts)


def _image(height=64, width=64, *, batch=1, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 3, height, width, generator=generator)


def _prompts(height=64, width=64, *, batch=1):
    maps = torch.zeros(batch, PROMPT_CHANNELS, height, width)
    maps[:, 0, height // 2, width // 2] = 1
    maps[:, 4] = 1
    return maps


def _disk(height=64, width=64, *, batch=1):
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    inside = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (height / 4) ** 2
    return inside.float().expand(batch, 1, height, width)


@every_model
@pytest.mark.parametrize("size", [(64, 64), (65, 43), (1, 1), (1, 70)])
def test_logits_have_the_size_of_the_input(name, size):
    model = _build(name).eval()
    with torch.no_grad():
        output = model(_image(*size, batch=2))
    assert output.logits.shape == (2, CLASSES, *size)
    assert output.class_logits.shape == (2, IMAGE_CLASSES)
    assert torch.isfinite(output.logits).all()
    assert torch.isfinite(output.class_logits).all()


@every_model
def test_mask_channels_are_an_option(name):
    model = create_model(name, **{**OPTIONS, "classes": 4}).eval()
    with torch.no_grad():
        assert model(_image()).logits.shape == (1, 4, 64, 64)


@every_model
def test_gradients_reach_every_parameter(name):
    model = _build(name).train()
    # The prompt stem's last layer starts at zero and would hold back the first's.
    torch.nn.init.normal_(model.prompt_stem.last.weight, std=0.1)
    output = model(_image(batch=2), _prompts(batch=2))
    region = model.classify_region(output, _disk(batch=2))
    terms = (output.logits, output.class_logits, region)
    sum(term.square().mean() for term in terms).backward()
    without = [n for n, p in model.named_parameters() if p.grad is None]
    assert without == []
    spoilt = [n for n, p in model.named_parameters() if not p.grad.isfinite().all()]
    assert spoilt == []


@every_model
def test_a_prediction_does_not_depend_on_its_batch_neighbours(name):
    model = _build(name).eval()
    images = _image(batch=3)
    with torch.no_grad():
        together = model(images)
        alone = model(images[1:2])
    torch.testing.assert_close(together.logits[1:2], alone.logits, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(
        together.class_logits[1:2], alone.class_logits, rtol=1e-3, atol=1e-4
    )


@every_model
def test_the_same_input_gives_the_same_bits(name):
    model = _build(name).eval()
    with torch.no_grad():
        first, second = model(_image()), model(_image())
    assert torch.equal(first.logits, second.logits)
    assert torch.equal(first.class_logits, second.class_logits)


@every_model
def test_the_same_seed_builds_the_same_network(name):
    one, other = _build(name, seed=3).state_dict(), _build(name, seed=3).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)


@every_model
def test_attaching_prompts_changes_no_bit(name):
    model = _build(name, prompts=False).eval()
    with torch.no_grad():
        before = model(_image(50, 70))
        model.attach_prompt_stem()
        after = model(_image(50, 70), _prompts(50, 70))
    assert torch.equal(before.logits, after.logits)
    assert torch.equal(before.class_logits, after.class_logits)


@every_model
def test_empty_prompts_equal_no_prompts_even_after_training(name):
    model = _build(name).eval()
    torch.nn.init.normal_(model.prompt_stem.last.weight, std=0.1)
    with torch.no_grad():
        automatic = model(_image())
        empty = model(_image(), torch.zeros(1, PROMPT_CHANNELS, 64, 64))
        clicked = model(_image(), _prompts())
    assert torch.equal(automatic.logits, empty.logits)
    assert not torch.equal(automatic.logits, clicked.logits)


@every_model
def test_routing_weights_are_shares(name):
    with torch.no_grad():
        output = _build(name).eval()(_image(batch=2))
    assert output.routing
    for routing in output.routing:
        assert routing.weights.shape == (2, len(routing.experts))
        torch.testing.assert_close(routing.weights.sum(dim=1), torch.ones(2))
        best = routing.weights.argmax(dim=1)
        assert torch.equal(routing.chosen[:, 0], best)


@every_model
def test_traces_are_filled_only_when_asked_for(name):
    model = _build(name).eval()
    with torch.no_grad():
        plain, explained = model(_image()), model(_image(), explain=True)
    assert not plain.traces
    assert explained.traces
    assert all(torch.isfinite(trace).all() for trace in explained.traces.values())
    assert torch.equal(plain.logits, explained.logits)


@every_model
def test_the_region_head_classifies_the_object_under_the_mask(name):
    model = _build(name).eval()
    with torch.no_grad():
        output = model(_image(61, 83))
        small = torch.zeros(1, 1, 61, 83)
        small[..., 5:9, 5:9] = 1
        scores = model.classify_region(output, _disk(61, 83))
        others = model.classify_region(output, small)
    assert scores.shape == (1, OBJECT_CLASSES)
    assert not torch.equal(scores, others)


@every_model
def test_an_empty_mask_gives_finite_class_scores(name):
    model = _build(name).eval()
    with torch.no_grad():
        scores = model.classify_region(model(_image()), torch.zeros(1, 1, 64, 64))
    assert torch.isfinite(scores).all()


@every_model
def test_bfloat16_comes_close_to_float32(name):
    model = _build(name).eval()
    with torch.no_grad():
        full = model(_image(batch=2)).logits
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = model(_image(batch=2)).logits.float()
    scale = full.abs().max().clamp_min(1e-3)
    assert (full - half).abs().mean() / scale < 0.02


@every_model
def test_weights_survive_saving_and_loading(name, tmp_path):
    model = _build(name).eval()
    path = tmp_path / "some.safetensors"
    card = WeightsCard(name="some", model=name, options={**OPTIONS, "prompts": True})
    written = save_weights(path, model, card)
    assert read_card(path) == written
    loaded, _ = load_weights(path)
    with torch.no_grad():
        before, after = model(_image(), _prompts()), loaded(_image(), _prompts())
    assert torch.equal(before.logits, after.logits)
    assert torch.equal(before.class_logits, after.class_logits)


@every_model
def test_weights_of_another_width_are_refused(name, tmp_path):
    path = tmp_path / "some.safetensors"
    card = WeightsCard(name="some", model=name, options={**OPTIONS, "classes": 5})
    save_weights(path, create_model(name, **OPTIONS), card)
    with pytest.raises(WeightsError, match="do not fit the network"):
        load_weights(path)


@every_model
def test_a_wrong_number_of_channels_is_named(name):
    model = _build(name)
    with pytest.raises(ModelOptionError, match=r"expected \(B, 3, H, W\)"):
        model(torch.zeros(1, 4, 64, 64))


@every_model
def test_prompts_without_a_stem_are_refused(name):
    model = _build(name, prompts=False)
    with pytest.raises(ModelOptionError, match="takes no prompts"):
        model(_image(), _prompts())


@every_model
def test_prompts_of_another_size_are_refused(name):
    model = _build(name)
    with pytest.raises(ModelOptionError, match="expected"):
        model(_image(), _prompts(32, 32))


@every_model
def test_a_region_class_without_a_region_head_is_refused(name):
    model = create_model(name, **{**OPTIONS, "object_classes": 0}).eval()
    with torch.no_grad(), pytest.raises(ModelOptionError, match="no region head"):
        model.classify_region(model(_image()), _disk())


@every_model
def test_an_unknown_option_is_refused(name):
    with pytest.raises(ModelOptionError, match="cannot be built"):
        create_model(name, wings=2)


def test_an_unknown_model_is_refused_with_the_known_ones():
    with pytest.raises(UnknownModelError, match="decoder_interaction_lite"):
        create_model("perceptron")


def test_a_name_is_registered_once():
    def decoder_interaction():
        return torch.nn.Identity()

    list_models()
    with pytest.raises(ValueError, match="already registered"):
        register_model(decoder_interaction)
