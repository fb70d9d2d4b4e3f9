"""Window attention against plain masked attention, shifts, padding, feed-forward."""

import pytest
import torch

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.swin import (
    DropPath,
    FeedForward,
    SwinBlock,
    SwinStage,
    WindowAttention,
    attend,
    token_regions,
)


def _attention(channels=8, *, heads=2, window=4, shift=0, seed=0):
    torch.manual_seed(seed)
    module = WindowAttention(channels, heads=heads, window=window, shift=shift)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)  # biases too: padding would show
    return module.double()


def _tokens(height, width, *, batch=2, channels=8):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, height, width, channels, generator=generator).double()


def _window_numbers(length, window, shift):
    """Window of each token along one side; shifted windows are cut at the border."""
    if length <= window:
        return torch.zeros(length, dtype=torch.long)
    return torch.div(torch.arange(length) - shift, window, rounding_mode="floor")


def _plain(module, tokens):
    """Full attention with a mask: slow, without windows, rolls or padding."""
    batch, height, width, channels = tokens.shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    y, x = y.flatten(), x.flatten()
    row = _window_numbers(height, module.window, module.shift)[y]
    column = _window_numbers(width, module.window, module.shift)[x]
    together = (row[:, None] == row) & (column[:, None] == column)
    side = 2 * module.window - 1
    # Table rows exist only for tokens of one window; the others are masked anyway.
    down = (y[:, None] - y).clamp(1 - module.window, module.window - 1)
    across = (x[:, None] - x).clamp(1 - module.window, module.window - 1)
    index = (down + module.window - 1) * side + across + module.window - 1
    bias = module.position_bias[index].permute(2, 0, 1)
    qkv = module.qkv(tokens.reshape(batch, -1, channels))
    qkv = qkv.reshape(batch, -1, 3, module.heads, channels // module.heads)
    query, key, value = qkv.permute(2, 0, 3, 1, 4)
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5 + bias
    scores = scores.masked_fill(~together, float("-inf"))
    joined = (scores.softmax(dim=-1) @ value).transpose(1, 2)
    return module.proj(joined.reshape(batch, height, width, channels))


@pytest.mark.parametrize("shift", [0, 2])
@pytest.mark.parametrize("size", [(8, 8), (9, 6), (4, 4), (3, 11), (1, 1), (1, 5)])
def test_window_attention_equals_plain_masked_attention(size, shift):
    module, tokens = _attention(shift=shift), _tokens(*size)
    torch.testing.assert_close(module(tokens), _plain(module, tokens))


def test_gradients_equal_those_of_plain_masked_attention():
    module, tokens = _attention(shift=2), _tokens(6, 9)
    found = torch.autograd.grad(module(tokens).square().sum(), module.parameters())
    wanted = torch.autograd.grad(
        _plain(module, tokens).square().sum(), module.parameters()
    )
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_a_token_reaches_its_window_only():
    module, tokens = _attention(), _tokens(8, 8, batch=1)
    changed = tokens.clone()
    changed[:, 1, 1] += 1
    moved = (module(tokens) != module(changed)).any(dim=-1)[0]
    assert moved[:4, :4].all()
    assert not moved[4:].any()
    assert not moved[:, 4:].any()


def test_shifted_windows_join_neighbours_and_never_wrap_around():
    module, tokens = _attention(shift=2), _tokens(8, 8, batch=1)
    changed = tokens.clone()
    changed[:, 3, 0] += 1
    moved = (module(tokens) != module(changed)).any(dim=-1)[0]
    assert moved[2:6, :2].all()  # across the border of the plain windows
    assert not moved[:, 2:].any()  # the right side stands in the same rolled window
    assert not moved[:2].any()
    assert not moved[6:].any()


def test_a_larger_canvas_of_padding_changes_no_inner_output():
    # Windows of 4 pad 5x6 to 8x8; what is padded by hand must be masked alike.
    module, tokens = _attention(), _tokens(5, 6)
    regions = token_regions(
        (5, 6), window=(4, 4), shift=(0, 0), device=torch.device("cpu")
    )
    canvas = torch.full((2, 8, 8, 8), 1e3, dtype=torch.float64)
    canvas[:, :5, :6] = tokens
    inner = module._attend(canvas, (4, 4), regions)[:, :5, :6]
    torch.testing.assert_close(module.proj(inner), module(tokens))


@pytest.mark.parametrize("shift", [0, 3])
def test_a_small_map_equals_the_same_map_in_a_larger_canvas(shift):
    # A 5x5 map is smaller than the window of 7: one window, whatever the shift.
    large, small = _attention(window=7, shift=shift), _attention(window=7)
    large.load_state_dict(small.state_dict())
    tokens = _tokens(5, 5)
    torch.testing.assert_close(large(tokens), small(tokens))


def test_regions_are_told_apart():
    regions = token_regions(
        (6, 4), window=(4, 4), shift=(2, 0), device=torch.device("cpu")
    )
    assert regions.shape == (2, 16)
    assert regions[0].unique().tolist() == [0]
    rows = regions[1].reshape(4, 4)[:, 0]
    assert rows[0] == rows[1] != rows[2] == rows[3]  # padding, then wrapped around


def test_whole_windows_need_no_mask():
    cpu = torch.device("cpu")
    assert token_regions((8, 4), window=(4, 4), shift=(0, 0), device=cpu) is None


def test_the_bias_of_a_smaller_window_is_part_of_the_larger():
    module = _attention(window=5)
    whole = module.relative_bias((5, 5)).reshape(2, 5, 5, 5, 5)
    part = module.relative_bias((2, 3)).reshape(2, 2, 3, 2, 3)
    assert torch.equal(part, whole[:, :2, :3, :2, :3])


def test_weights_fit_every_map_size():
    stage = SwinStage(8, heads=2, window=4).eval()
    shapes = {key: value.shape for key, value in stage.state_dict().items()}
    with torch.no_grad():
        for size in [(16, 16), (7, 30), (1, 1)]:
            assert stage(torch.randn(1, 8, *size)).shape == (1, 8, *size)
    assert shapes["blocks.0.attention.position_bias"] == (49, 2)


def test_every_second_block_is_shifted():
    stage = SwinStage(8, heads=2, window=7, drop_paths=(0.0, 0.1, 0.2))
    assert [block.attention.shift for block in stage.blocks] == [0, 3, 0]
    assert [block.drop_path.rate for block in stage.blocks] == [0.0, 0.1, 0.2]


def test_the_feed_forward_layer_does_not_mix_tokens_without_channel_attention():
    torch.manual_seed(0)
    layer = FeedForward(4, channel_attention=False)
    tokens = torch.randn(1, 3, 5, 4)
    alone = layer(tokens[:, 1:2, 2:3])
    torch.testing.assert_close(layer(tokens)[:, 1:2, 2:3], alone)


def test_channel_attention_weighs_each_channel_by_one_number():
    # The reference's view scrambles tokens and channels; here the ratio to the plain
    # layer must be one number a channel, in 1..2.
    torch.manual_seed(0)
    layer = FeedForward(4)
    tokens = torch.randn(1, 3, 5, 4)
    plain = layer.second(torch.nn.functional.gelu(layer.first(tokens)))
    ratio = (layer(tokens) / plain).flatten(0, 2)
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))
    assert ((ratio > 1) & (ratio < 2)).all()
    assert ratio[0].unique().numel() == 4


def test_the_parameters_of_a_block_are_those_of_the_reference():
    # 12 C^2 + 13 C, the table, and three numbers of channel attention.
    block = SwinBlock(64, heads=2, window=14)
    count = sum(parameter.numel() for parameter in block.parameters())
    assert count == 12 * 64**2 + 13 * 64 + 27**2 * 2 + 3


def test_drop_path_keeps_the_mean_and_is_off_in_eval_mode():
    torch.manual_seed(0)
    layer, ones = DropPath(0.25), torch.ones(4000, 2, 3)
    dropped = layer.train()(ones)
    assert dropped[:, 0, 0].unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(dropped[:, 0, 0], dropped[:, 1, 2])  # whole images
    assert dropped.mean() == pytest.approx(1, abs=0.05)
    assert torch.equal(layer.eval()(ones), ones)


def test_half_precision_stays_finite_and_close():
    torch.manual_seed(0)
    stage = SwinStage(8, heads=2, window=4).eval()
    x = torch.randn(2, 8, 9, 10)
    with torch.no_grad():
        full = stage(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = stage(x).float()
    assert torch.isfinite(half).all()
    torch.testing.assert_close(half, full, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attending_equals_its_formula_in_every_precision(dtype):
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, 9, 5, generator=generator)
    bias = torch.randn(4, 9, 9, generator=generator)
    wanted = (query @ key.transpose(-1, -2) / 5**0.5 + bias).softmax(dim=-1) @ value
    found = attend(*(term.to(dtype) for term in (query, key, value, bias)))
    assert found.dtype == dtype
    near = 1e-5 if dtype == torch.float32 else 0.04
    torch.testing.assert_close(found.float(), wanted, rtol=near, atol=near)


def test_heads_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(ModelOptionError, match="8 channels cannot be split among 3"):
        WindowAttention(8, heads=3, window=4)


@pytest.mark.parametrize(("window", "shift"), [(0, 0), (4, 4), (4, -1)])
def test_an_impossible_window_is_refused(window, shift):
    with pytest.raises(ModelOptionError, match=f"Window {window} with shift {shift}"):
        WindowAttention(8, heads=2, window=window, shift=shift)
