"""What each registered network must do, whatever its architecture.

Every preset runs through the same tests, full ones on small images; each is built
once, and the tests that train or change it take a copy.
"""

import copy
from dataclasses import fields

import pytest
import torch

from napari_segmoe.errors import ModelOptionError, SegmoeError, WeightsError
from napari_segmoe.models.card import WeightsCard, read_card
from napari_segmoe.models.network import SegmentationNetwork
from napari_segmoe.models.prompt_stem import PROMPT_CHANNELS
from napari_segmoe.models.registry import create_model, list_models
from napari_segmoe.models.weights import load_weights, save_weights

PRESETS = list_models()
LITE = [name for name in PRESETS if name.endswith("_lite")]
CLASSES, IMAGE_CLASSES, OBJECT_CLASSES = 1, 3, 2
OPTIONS = {
    "in_channels": 3,
    "classes": CLASSES,
    "image_classes": IMAGE_CLASSES,
    "object_classes": OBJECT_CLASSES,
}
# Where only k experts are asked, the others get no gradient.
ASK_ALL_EXPERTS = {name: {"train_top_k": 4} for name in ("utanet", "utanet_lite")}
WITH_ROUTING = ("decoder_interaction", "semi_moe", "utanet")


def _build(name, *, prompts=True, seed=0, **options):
    torch.manual_seed(seed)
    return create_model(name, **{**OPTIONS, "prompts": prompts, **options})


def _image(height, width=None, *, batch=1, channels=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, height, width or height, generator=generator)


def _prompts(height, width=None, *, batch=1):
    width = width or height
    maps = torch.zeros(batch, PROMPT_CHANNELS, height, width)
    maps[:, 0, height // 2, width // 2] = 1
    maps[:, 4] = 1
    return maps


def _disk(height, width=None, *, batch=1):
    width = width or height
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    inside = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (height / 4) ** 2
    return inside.float().expand(batch, 1, height, width)


def _tensors(output):
    """Return every tensor of an output, by the name of its field."""
    found = {}
    for field in fields(output):
        value = getattr(output, field.name)
        if isinstance(value, torch.Tensor):
            found[field.name] = value
        elif field.name in ("auxiliary", "features"):
            found |= {f"{field.name}/{i}": tensor for i, tensor in enumerate(value)}
        elif field.name == "routing":
            found |= {f"routing/{routing.stage}": routing.weights for routing in value}
        elif field.name in ("traces", "expert_outputs"):
            found |= {f"{field.name}/{key}": tensor for key, tensor in value.items()}
    return found


def _spoilt(output):
    return [name for name, tensor in _tensors(output).items() if not _finite(tensor)]


def _finite(tensor):
    return bool(torch.isfinite(tensor).all())


@pytest.fixture(scope="module", params=PRESETS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def model(name):
    """The preset with all heads and prompts, in eval mode. Do not change it."""
    return _build(name).eval()


@pytest.fixture(scope="module")
def side(name):
    """The side of a quick image; full presets get a smaller one."""
    return 64 if name in LITE else 32


@pytest.fixture
def _no_gradients():
    with torch.no_grad():
        yield


no_gradients = pytest.mark.usefixtures("_no_gradients")


@no_gradients
@pytest.mark.parametrize("size", [(32, 32), (65, 43), (1, 1), (1, 37), (33, 1)])
def test_every_output_is_finite_and_as_large_as_the_input(model, size):
    output = model(_image(*size, batch=2), explain=True)
    assert output.logits.shape == (2, CLASSES, *size)
    assert output.class_logits.shape == (2, IMAGE_CLASSES)
    for large in (output.distance, output.boundary):
        assert large is None or large.shape == (2, 1, *size)
    assert _spoilt(output) == []


@no_gradients
@pytest.mark.parametrize("value", [0.0, 1e3])
def test_a_flat_image_gives_finite_outputs(model, side, value):
    assert _spoilt(model(torch.full((1, 3, side, side), value), explain=True)) == []


@no_gradients
@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("lite", LITE)
def test_channels_of_the_image_are_an_option(lite, channels):
    model = _build(lite, in_channels=channels).eval()
    output = model(_image(33, 40, channels=channels))
    assert output.logits.shape == (1, CLASSES, 33, 40)


@no_gradients
@pytest.mark.parametrize("lite", LITE)
def test_mask_channels_are_an_option(lite):
    model = _build(lite, classes=4).eval()
    assert model(_image(32)).logits.shape == (1, 4, 32, 32)


@no_gradients
def test_the_paper_s_network_is_built_without_options(name):
    output = create_model(name).eval()(_image(32))
    assert output.logits.shape[2:] == (32, 32)
    assert _spoilt(output) == []


def test_gradients_reach_every_parameter(name):
    # A narrow ReLU may be born dead: only what no birth moves is out of reach.
    untouched = {"everything"}
    for seed in range(4):
        model = _build(name, seed=seed, **ASK_ALL_EXPERTS.get(name, {})).train()
        _take_a_step_of_the_prompt_stem(model)
        _loss(model).backward()
        gradients = {n: p.grad for n, p in model.named_parameters()}
        assert [n for n, g in gradients.items() if g is None] == []
        assert [n for n, g in gradients.items() if not _finite(g)] == []
        still = {n for n, g in gradients.items() if not g.any()}
        untouched = still if seed == 0 else untouched & still
        if not untouched:
            break
    assert untouched == set()


def _loss(model):
    """Return a scalar to which every head adds."""
    output = model(_image(64, batch=2), _prompts(64, batch=2))
    region = model.classify_region(output, _disk(64, batch=2))
    heads = [output.logits, output.class_logits, region]
    heads += [head for head in (output.distance, output.boundary) if head is not None]
    weigh = torch.Generator().manual_seed(2)
    own = output.expert_outputs.values()
    return sum(
        (head.float() * torch.randn(head.shape, generator=weigh)).mean()
        for head in (*heads, *output.auxiliary, *own)
    )


def _take_a_step_of_the_prompt_stem(model):
    """Move the stem's last layer off zero, which holds back the first's gradient."""
    _loss(model).backward()
    torch.optim.SGD(model.prompt_stem.parameters(), lr=1.0).step()
    assert model.prompt_stem.last.weight.any()
    model.zero_grad()


def test_one_image_trains_or_is_refused_in_a_sentence(model, side):
    model = copy.deepcopy(model).train()
    try:
        output = model(_image(side))
    except ModelOptionError as error:
        assert "two" in str(error)  # noqa: PT017  (either outcome is right)
    else:
        assert _spoilt(output) == []


@no_gradients
def test_a_prediction_does_not_depend_on_its_batch_neighbours(model, side):
    images = _image(side, batch=3)
    together, alone = _tensors(model(images)), _tensors(model(images[1:2]))
    for key, expected in alone.items():
        scale = float(expected.abs().max())
        torch.testing.assert_close(
            together[key][1:2], expected, rtol=1e-3, atol=1e-4 * max(1.0, scale)
        )


@no_gradients
def test_the_same_input_gives_the_same_bits(model, side):
    first, second = (_tensors(model(_image(side), explain=True)) for _ in range(2))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("lite", LITE)
def test_the_same_seed_builds_the_same_network(lite):
    one, other = _build(lite, seed=3).state_dict(), _build(lite, seed=3).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)


@no_gradients
def test_attaching_prompts_changes_no_bit(model):
    without = copy.deepcopy(model)
    without.prompt_stem = None
    before = _tensors(without(_image(50, 37)))
    without.attach_prompt_stem()
    after = _tensors(without(_image(50, 37), _prompts(50, 37)))
    assert all(torch.equal(before[key], after[key]) for key in before)


@no_gradients
def test_empty_prompts_equal_no_prompts_even_after_training(model, side):
    model = copy.deepcopy(model)
    torch.nn.init.normal_(model.prompt_stem.last.weight, std=0.1)
    automatic = model(_image(side))
    empty = model(_image(side), torch.zeros(1, PROMPT_CHANNELS, side, side))
    clicked = model(_image(side), _prompts(side))
    assert torch.equal(automatic.logits, empty.logits)
    assert not torch.equal(automatic.logits, clicked.logits)


@no_gradients
def test_routing_weights_are_shares(name, model, side):
    routing = model(_image(side, batch=2)).routing
    assert bool(routing) == name.startswith(WITH_ROUTING)
    for stage in routing:
        assert stage.weights.shape == (2, len(stage.experts))
        assert (stage.weights >= 0).all()
        torch.testing.assert_close(stage.weights.sum(dim=1), torch.ones(2))
        best = stage.weights.max(dim=1).values
        picked = stage.weights.gather(1, stage.chosen)
        assert torch.equal(picked[:, 0], best)
        assert (picked.diff(dim=1) <= 0).all()


@no_gradients
def test_traces_are_filled_only_when_asked_for(model, side):
    plain, explained = model(_image(side)), model(_image(side), explain=True)
    assert not plain.traces
    assert explained.traces
    for trace in explained.traces.values():
        assert trace.is_floating_point()
        assert trace.shape[0] == 1
    assert torch.equal(plain.logits, explained.logits)


@no_gradients
def test_the_region_head_classifies_the_object_under_the_mask(model):
    output = model(_image(61, 43))
    small = torch.zeros(1, 1, 61, 43)
    small[..., 5:9, 5:9] = 1
    scores = model.classify_region(output, _disk(61, 43))
    others = model.classify_region(output, small)
    assert scores.shape == (1, OBJECT_CLASSES)
    assert not torch.equal(scores, others)


@no_gradients
@pytest.mark.parametrize("filling", [torch.zeros, torch.ones])
def test_empty_and_full_masks_give_finite_class_scores(model, side, filling):
    scores = model.classify_region(model(_image(side)), filling(1, 1, side, side))
    assert _finite(scores)


@no_gradients
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_comes_close_to_float32(model, side, dtype):
    full = model(_image(side, batch=2))
    with torch.autocast("cpu", dtype=dtype):
        half = model(_image(side, batch=2))
        region = model.classify_region(half, _disk(side, batch=2))
    for wanted, got in (
        (full.logits, half.logits),
        (full.class_logits, half.class_logits),
        (model.classify_region(full, _disk(side, batch=2)), region),
    ):
        scale = wanted.abs().max().clamp_min(1e-3)
        assert (wanted - got.float()).abs().mean() / scale < 0.02


@no_gradients
def test_weights_survive_saving_and_loading(name, model, side, tmp_path):
    path = tmp_path / "some.safetensors"
    card = WeightsCard(name="some", model=name, options={**OPTIONS, "prompts": True})
    written = save_weights(path, model, card)
    assert read_card(path) == written
    loaded, _ = load_weights(path)
    path.unlink()  # hundreds of megabytes, and pytest keeps the last runs' folders
    prompted = (_image(side), _prompts(side))
    before, after = _tensors(model(*prompted)), _tensors(loaded(*prompted))
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("lite", LITE)
def test_weights_of_another_width_are_refused(lite, tmp_path):
    path = tmp_path / "some.safetensors"
    card = WeightsCard(name="some", model=lite, options={**OPTIONS, "classes": 5})
    save_weights(path, create_model(lite, **OPTIONS), card)
    with pytest.raises(WeightsError, match="do not fit the network"):
        load_weights(path)


def test_a_wrong_number_of_channels_is_named(model):
    with pytest.raises(ModelOptionError, match=r"expected \(B, 3, H, W\)"):
        model(torch.zeros(1, 4, 64, 64))


def test_an_image_without_pixels_is_refused(model):
    with pytest.raises(ModelOptionError, match="at least one pixel"):
        model(torch.zeros(1, 3, 0, 64))


def test_prompts_without_a_stem_are_refused(model):
    model = copy.copy(model)
    model._modules = {**model._modules, "prompt_stem": None}
    with pytest.raises(ModelOptionError, match="takes no prompts"):
        model(_image(32), _prompts(32))


def test_prompts_of_another_size_are_refused(model):
    with pytest.raises(ModelOptionError, match="expected"):
        model(_image(32), _prompts(48))


@no_gradients
@pytest.mark.parametrize("lite", LITE)
def test_heads_that_are_not_wanted_are_not_built(lite):
    plain = _build(lite, prompts=False, image_classes=0, object_classes=0).eval()
    output = plain(_image(32))
    assert output.class_logits is None
    with pytest.raises(ModelOptionError, match="no region head"):
        plain.classify_region(output, _disk(32))
    everything = sum(p.numel() for p in _build(lite).parameters())
    assert sum(p.numel() for p in plain.parameters()) < everything


def test_an_unknown_option_is_refused(name):
    with pytest.raises(ModelOptionError, match="cannot be built"):
        create_model(name, wings=2)


@pytest.mark.parametrize("wrong", [{"in_channels": 0}, {"classes": 0}])
def test_an_impossible_option_is_refused(name, wrong):
    with pytest.raises(SegmoeError):
        create_model(name, **wrong)


def test_every_preset_is_a_segmentation_network(model):
    assert isinstance(model, SegmentationNetwork)
