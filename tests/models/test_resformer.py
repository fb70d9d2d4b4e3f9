"""ResFormer: published sizes, arrangement, any input size, traces, options."""

import pytest
import torch
from torch.nn import functional as F

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.patch_embedding import MultiScalePatchEmbedding
from napari_segmoe.models.registry import create_model
from napari_segmoe.models.resformer import MultiLevelImageHead, ResFormerNet, balance
from napari_segmoe.models.resformer_encoder import Arrangement, ResFormerPlan
from napari_segmoe.types import Steering

FULL = ("resformer_sequential", "resformer_parallel")
# What the authors' networks count (1 mask channel, 3 classes, window 14, 224 px).
# Putting the feed-forward layer right moves numbers, adds none: nothing is excepted.
PUBLISHED = {"none": 33.705, "paper": 44.162, "reference": 56.347}


def _count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def _tiny(arrangement="parallel", *, seed=0, **numbers):
    """Build a network of 8 to 64 channels: the topology in milliseconds."""
    torch.manual_seed(seed)
    plan = ResFormerPlan(
        arrangement=Arrangement(arrangement),
        window=4,
        channels=(8, 16, 32, 64),
        heads=(1, 2, 4, 8),
        cnn_depths=(1, 1, 1, 1),
        **numbers,
    )
    return ResFormerNet(
        plan,
        in_channels=3,
        classes=1,
        image_classes=3,
        object_classes=2,
        prompts=False,
    ).eval()


def _image(height=48, width=48, *, batch=1):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, height, width, generator=generator)


@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize("dfe", list(PUBLISHED))
def test_parameters_match_the_authors_networks(name, dfe):
    with torch.device("meta"):
        model = create_model(name, classes=1, image_classes=3, dfe=dfe)
    assert _count(model) / 1e6 == pytest.approx(PUBLISHED[dfe], abs=0.0005)


@pytest.mark.parametrize("window", [16, 32])
def test_the_window_changes_nothing_but_the_position_tables(window):
    with torch.device("meta"):
        base, other = (
            create_model("resformer_sequential", window=size) for size in (14, window)
        )
    tables = 2 * (2 + 4 + 8 + 16) * ((2 * window - 1) ** 2 - 27**2)
    assert _count(other) - _count(base) == tables


def test_the_lite_preset_with_all_its_heads_is_small():
    with torch.device("meta"):
        model = create_model("resformer_lite")
    assert model.prompt_stem is not None
    assert model.region_head is not None
    assert model.image_head is not None
    assert _count(model) <= 6.0e6


def test_the_presets_are_the_papers():
    with torch.device("meta"):
        model = create_model("resformer_parallel")
    blocks = [len(level.cnn) for level in model.encoder.levels]
    heads = [level.swin.blocks[0].attention.heads for level in model.encoder.levels]
    rates = [
        block.drop_path.rate
        for level in model.encoder.levels
        for block in level.swin.blocks
    ]
    assert blocks == [3, 4, 6, 3]
    assert heads == [2, 4, 8, 16]
    assert rates == pytest.approx([0.1 * step / 7 for step in range(8)])
    assert model.encoder.stem.stride == (1, 1)
    assert model.stem_stride == 1


def test_levels_lie_at_strides_2_4_8_and_16():
    model = _tiny()
    with torch.no_grad():
        levels = model.encode(_image(64, 96))["levels"]
    shapes = [tuple(level.map.shape[1:]) for level in levels]
    assert shapes == [(8, 32, 48), (16, 16, 24), (32, 8, 12), (64, 4, 6)]


def test_in_parallel_both_branches_read_the_same_map_and_are_added():
    model, image = _tiny("parallel"), _image()
    encoder = model.encoder
    with torch.no_grad():
        levels = encoder(image, None)
        stem = encoder.pool(F.relu(encoder.stem_norm(encoder.stem(image))))
        joint = stem + encoder.embedding(image)
        first = encoder.levels[0]
        merged = encoder.mergings[0](levels[0].map)
        second = encoder.levels[1]
        wanted = second.cnn(levels[0].map) + second.swin(merged)
    torch.testing.assert_close(levels[0].map, first.cnn(joint) + first.swin(joint))
    torch.testing.assert_close(levels[1].map, wanted)


def test_in_sequence_the_transformer_reads_the_cnn():
    model, image = _tiny("sequential"), _image()
    encoder = model.encoder
    with torch.no_grad():
        levels = encoder(image, None)
        stem = encoder.pool(F.relu(encoder.stem_norm(encoder.stem(image))))
        first = encoder.levels[0]
        wanted = first.swin(first.cnn(stem) + encoder.embedding(image))
        second = encoder.levels[1]
        joint = second.cnn(wanted) + encoder.mergings[0](wanted)
    torch.testing.assert_close(levels[0].map, wanted)
    torch.testing.assert_close(levels[1].map, second.swin(joint))


def test_patches_of_four_sizes_share_one_grid():
    embedding = MultiScalePatchEmbedding(3, 64)
    assert [scale.out_channels for scale in embedding.scales] == [32, 16, 8, 8]
    assert [scale.kernel_size[0] for scale in embedding.scales] == [2, 4, 8, 16]
    with torch.no_grad():
        grids = {scale(_image(32, 16)).shape[-2:] for scale in embedding.scales}
        assert embedding(_image(32, 16)).shape == (1, 64, 16, 8)
    assert grids == {(16, 8)}


def test_the_papers_merging_is_one_strided_convolution():
    model = _tiny(merging="paper")
    first = model.encoder.mergings[0]
    assert (first.kernel_size, first.stride) == ((3, 3), (2, 2))
    with torch.no_grad():
        assert model(_image()).logits.isfinite().all()


def test_the_image_head_pools_the_last_two_levels():
    torch.manual_seed(0)
    head = MultiLevelImageHead((6, 4), width=5, classes=3).eval()
    deep, middle = torch.randn(2, 6, 3, 3), torch.randn(2, 4, 6, 6)
    with torch.no_grad():
        scores, embedding = head((deep, middle))
        scale = (1 + head.norms[0].eps) ** -0.5  # fresh norms only divide by that
        pooled = [(x * scale).relu().mean(dim=(2, 3)) for x in (deep, middle)]
        wanted = head.embed(torch.cat(pooled, dim=1))
    torch.testing.assert_close(embedding, wanted)
    torch.testing.assert_close(scores, head.classify(wanted))


def test_the_head_before_the_upsampling_equals_the_head_after_it():
    model, image = _tiny(), _image(32, 32)
    with torch.no_grad():
        output = model(image)
        fine = F.interpolate(
            output.features[0], scale_factor=2, mode="bilinear", align_corners=True
        )
        wanted = model.head(fine)
    torch.testing.assert_close(output.logits, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arrangement", list(Arrangement))
@pytest.mark.parametrize("size", [(1, 1), (33, 50), (16, 112)])
def test_one_set_of_weights_serves_every_size(arrangement, size):
    model = _tiny(arrangement)
    with torch.no_grad():
        output = model(_image(*size, batch=2))
    assert output.logits.shape == (2, 1, *size)
    assert output.logits.isfinite().all()
    assert output.class_logits.isfinite().all()


def test_one_small_image_can_be_trained_on():
    # Without the minimum of 32 px the deepest map has one pixel: batch norm refuses.
    model = _tiny().train()
    output = model(_image(1, 1))
    (output.logits.sum() + output.class_logits.sum()).backward()
    assert model.head.weight.grad.isfinite().all()


@pytest.mark.parametrize("channels", [1, 4])
def test_images_of_other_channels_are_taken(channels):
    torch.manual_seed(0)
    model = create_model("resformer_lite", in_channels=channels).eval()
    with torch.no_grad():
        assert model(torch.zeros(1, channels, 20, 20)).logits.shape == (1, 1, 20, 20)


def test_prompts_enter_at_full_resolution():
    model = _tiny()
    model.attach_prompt_stem()
    torch.nn.init.normal_(model.prompt_stem.last.weight)
    prompts = torch.zeros(1, 5, 48, 48)
    prompts[:, 0, 11, 20] = 1
    _, addition = model.prepare(_image(), prompts)
    assert addition.shape == (1, 8, 48, 48)
    assert addition[..., 11, 20].abs().sum() > 0


def test_parallel_traces_hold_attention_branches_and_balance():
    with torch.no_grad():
        traces = _tiny()(_image(), explain=True).traces
    levels = range(1, 5)
    wanted = {f"attention/DFE L{n}" for n in levels} | {f"balance/L{n}" for n in levels}
    wanted |= {f"branch/DFE L{n}/dilation {d}" for n in levels for d in (6, 12, 18)}
    assert set(traces) == wanted
    for key, trace in traces.items():
        side = 48 // 2 ** int(key.split(" L")[-1][0] if " L" in key else key[-1])
        assert trace.shape == (1, 1, side, side)
        assert trace.isfinite().all()
        assert trace.abs().max() <= 1 or key.startswith("branch/")


def test_sequential_traces_hold_what_each_transformer_changed():
    model, image = _tiny("sequential", dfe="none"), _image()
    with torch.no_grad():
        levels = model.encode(image)["levels"]
        traces = model(image, explain=True).traces
    assert set(traces) == {f"change/Swin L{number}" for number in range(1, 5)}
    changed = levels[2].map - levels[2].local
    torch.testing.assert_close(traces["change/Swin L3"], changed)


def test_the_references_enhancement_has_a_pointwise_branch():
    with torch.no_grad():
        traces = _tiny(dfe="reference")(_image(), explain=True).traces
    names = {key.rpartition("/")[2] for key in traces if key.startswith("branch/")}
    assert names == {"pointwise", "dilation 6", "dilation 12", "dilation 18"}


def test_balance_is_1_where_only_the_first_is_active_and_0_where_both_are_alike():
    one, other = torch.zeros(1, 2, 1, 4), torch.zeros(1, 2, 1, 4)
    one[..., 0], other[..., 1] = 3.0, 2.0
    one[..., 2] = other[..., 2] = 1.0
    assert balance(one, other)[0, 0, 0].tolist() == [1.0, -1.0, 0.0, 0.0]


def test_without_an_image_head_there_are_no_class_scores():
    with torch.device("meta"):
        bare = create_model("resformer_lite", image_classes=0, object_classes=0)
    assert bare.image_head is None
    assert bare.region_head is None
    torch.manual_seed(0)
    model = create_model("resformer_lite", image_classes=0).eval()
    with torch.no_grad():
        output = model(_image(32, 32))
        scores = model.classify_region(output, torch.ones(1, 1, 32, 32))
    assert output.class_logits is None
    assert output.embedding is None
    assert scores.shape == (1, 2)


def test_steering_is_refused_for_there_are_no_experts():
    with torch.no_grad(), pytest.raises(ModelOptionError, match="no experts"):
        _tiny()(_image(), steering=Steering(vetoed={"*": ("cnn",)}))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"dfe": "large"}, "No dilated feature enhancement 'large'"),
        ({"merging": "max"}, "No patch merging 'max'"),
        ({"window": 0}, "Window 0 with shift 0 is impossible"),
    ],
)
def test_options_that_do_not_exist_are_refused(option, message):
    with torch.device("meta"), pytest.raises(ModelOptionError, match=message):
        create_model("resformer_lite", **option)
