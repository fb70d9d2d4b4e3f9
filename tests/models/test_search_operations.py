import pytest
import torch
from torch.nn import functional

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.genotypes import DOWN_OPS, EXTRA_OPS, NORMAL_OPS, UP_OPS
from napari_segmoe.models.search_cells import SearchedCell
from napari_segmoe.models.search_operations import (
    ChannelAttention,
    build_operation,
    group_norm,
)

CHANNELS = 16
# Worked out by hand for C = 16: a norm has 2 C, squeeze and excite C + 1 + C + C.
CONVOLUTION, NORM, ATTENTION = 9 * 16 * 16, 32, 49
SEPARABLE = 9 * 16 + 16 * 16
PARAMETERS = {
    "none": 0,
    "identity": 0,
    "cweight": ATTENTION,
    "dil_conv": CONVOLUTION + NORM,
    "dep_conv": SEPARABLE + NORM,
    "shuffle_conv": CONVOLUTION + NORM,
    "conv": CONVOLUTION + NORM,
    "avg_pool": 0,
    "max_pool": 0,
    "down_cweight": ATTENTION + CONVOLUTION + NORM,
    "down_dil_conv": CONVOLUTION + NORM,
    "down_dep_conv": SEPARABLE + NORM,
    "down_conv": CONVOLUTION + NORM,
    "up_cweight": ATTENTION + CONVOLUTION + NORM,
    "up_dep_conv": SEPARABLE + NORM,
    "up_conv": CONVOLUTION + NORM,
    "up_dil_conv": CONVOLUTION + NORM,
    "group_shuffle_conv": CONVOLUTION // 4 + NORM,
}


def _map(height=6, width=8, *, channels=CHANNELS, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, channels, height, width, generator=generator)


def test_there_are_seven_six_and_four_operations():
    assert (len(NORMAL_OPS), len(DOWN_OPS), len(UP_OPS)) == (7, 6, 4)


@pytest.mark.parametrize("name", [*NORMAL_OPS, *EXTRA_OPS])
def test_normal_operations_keep_the_size(name):
    assert build_operation(name, CHANNELS)(_map()).shape == (2, CHANNELS, 6, 8)


@pytest.mark.parametrize("name", DOWN_OPS)
def test_down_operations_halve_the_size(name):
    assert build_operation(name, CHANNELS)(_map()).shape == (2, CHANNELS, 3, 4)


@pytest.mark.parametrize("name", UP_OPS)
@pytest.mark.parametrize(("padding", "size"), [(0, (11, 15)), (1, (12, 16))])
def test_up_operations_double_the_size_less_one_or_exactly(name, padding, size):
    operation = build_operation(name, CHANNELS, up_padding=padding)
    assert operation(_map()).shape == (2, CHANNELS, *size)


@pytest.mark.parametrize(("name", "expected"), PARAMETERS.items())
def test_operations_have_the_worked_number_of_parameters(name, expected):
    operation = build_operation(name, CHANNELS)
    assert sum(p.numel() for p in operation.parameters()) == expected


def test_norms_of_the_search_learn_nothing():
    learned = build_operation("conv", CHANNELS, affine=False)
    assert sum(p.numel() for p in learned.parameters()) == CONVOLUTION


def test_none_gives_zeros_and_identity_its_input():
    x = _map()
    assert not build_operation("none", CHANNELS)(x).any()
    assert torch.equal(build_operation("identity", CHANNELS)(x), x)


def test_channel_attention_multiplies_each_channel_by_one_share():
    x = _map()
    share = ChannelAttention(CHANNELS)(x) / x
    assert share.min() > 0
    assert share.max() < 1
    torch.testing.assert_close(share, share[:, :, :1, :1].expand_as(share))


@pytest.mark.parametrize(
    ("channels", "groups"), [(16, 1), (64, 4), (12, 1), (24, 1), (48, 3)]
)
def test_a_norm_has_sixteen_channels_a_group_or_one_group(channels, groups):
    assert group_norm(channels).num_groups == groups


def test_the_published_shuffle_convolution_is_an_ordinary_one():
    shuffled = build_operation("shuffle_conv", CHANNELS)
    ordinary = build_operation("conv", CHANNELS)
    ordinary.load_state_dict(shuffled.state_dict())
    assert torch.equal(shuffled(_map()), ordinary(_map()))


def test_the_group_shuffle_convolution_shuffles():
    operation = build_operation("group_shuffle_conv", CHANNELS)
    weight = operation[0].weight
    x = _map()
    grouped = functional.conv2d(x, weight, padding=1, groups=4)
    grouped = functional.relu(functional.group_norm(grouped, 1))
    result = operation(x)
    # Channel 1 of the result is the first of the second group, channel 4 of 16.
    torch.testing.assert_close(result[:, 1], grouped[:, 4])
    torch.testing.assert_close(result[:, 4], grouped[:, 1])


def test_channels_that_do_not_split_in_four_are_refused():
    with pytest.raises(ModelOptionError, match="cannot split 6 channels"):
        build_operation("group_shuffle_conv", 6)


def test_an_unknown_operation_is_refused_with_the_known_ones():
    with pytest.raises(ModelOptionError, match=r"'warp'.*up_dep_conv"):
        build_operation("warp", CHANNELS)


# Two pixels are the least that can be pooled.
@pytest.mark.parametrize("name", sorted(PARAMETERS.keys() - {"avg_pool", "max_pool"}))
def test_one_pixel_gives_finite_values(name):
    assert build_operation(name, CHANNELS)(_map(1, 1)).isfinite().all()


IDENTITIES = (
    (("identity", 0), ("identity", 1)),
    (("identity", 0), ("identity", 2)),
    (("identity", 2), ("identity", 3)),
    (("identity", 1), ("identity", 4)),
)


def test_a_cell_sums_two_edges_a_node_and_joins_its_nodes():
    cell = SearchedCell(IDENTITIES, channels=16, same_channels=32, other_channels=48)
    same, other = _map(channels=32), _map(channels=48, seed=1)
    s, o = cell.enter_same(same), cell.enter_other(other)
    result = cell(same, other, (6, 8))
    nodes = [s + o, 2 * s + o, 3 * s + 2 * o, 3 * s + 3 * o]
    torch.testing.assert_close(result, torch.cat(nodes, dim=1))


def test_a_cell_without_its_first_input_leaves_those_edges_out():
    cell = SearchedCell(IDENTITIES, channels=16, same_channels=None, other_channels=48)
    other = _map(channels=48)
    o = cell.enter_other(other)
    torch.testing.assert_close(
        cell(None, other, (6, 8)), torch.cat([o, o, 2 * o, 3 * o], dim=1)
    )
    assert "0_2" not in cell.operations


def test_dead_operations_are_kept_only_when_asked_for():
    edges = ((("conv", 0), ("conv", 1)), *IDENTITIES[1:])
    sizes = {"channels": 16, "same_channels": None, "other_channels": 16}
    kept = SearchedCell(edges, **sizes, keeps_dead=True)
    left_out = SearchedCell(edges, **sizes)
    spared = _count(kept) - _count(left_out)
    assert spared == CONVOLUTION + NORM


def test_an_up_cell_resizes_what_its_transposed_convolutions_lack():
    edges = ((("identity", 0), ("up_conv", 1)), *IDENTITIES[1:3], IDENTITIES[1])
    cell = SearchedCell(edges, channels=16, same_channels=16, other_channels=16)
    result = cell(_map(12, 16, channels=16), _map(channels=16), (12, 16))
    assert result.shape == (2, 64, 12, 16)


def _count(module):
    return sum(p.numel() for p in module.parameters())
