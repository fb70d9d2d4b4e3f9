import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.genotypes import DOWN_OPS, NORMAL_OPS, UP_OPS
from napari_segmoe.models.mixed_cells import MixedCell
from napari_segmoe.models.parallel_operations import build_parallel
from napari_segmoe.models.search_network import SearchNetwork, SearchShape
from napari_segmoe.models.search_operations import build_operation
from napari_segmoe.models.search_space import (
    EDGES,
    STRIDED_EDGES,
    TABLES,
    SearchSpace,
    table_of,
)

COPIES = 3
MIXED_OPS = [op for op in (*NORMAL_OPS, *DOWN_OPS, *UP_OPS) if op != "none"]
SMALL = SearchShape(layers=5, channels=4, stem_channels=4)


def _map(channels, side=8, *, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, channels, side, side, generator=generator)


def _one_copy(parallel, name, channels, copy):
    """The operation on its own that has the weights of one copy."""
    operation = build_operation(name, channels, affine=False, up_padding=1)
    copies = next(
        (part.copies for part in parallel.modules() if hasattr(part, "copies")), 1
    )
    # depth-wise weights stand in another order of modules, but of the same shapes
    for own, many in zip(operation.parameters(), parallel.parameters(), strict=True):
        alone = many.detach()
        if alone.ndim == own.ndim + 1:
            alone = alone.squeeze(-1)
        axis = 0 if alone.shape[0] == own.shape[0] * copies else 1
        own.data.copy_(alone.chunk(copies, dim=axis)[copy])
    return operation


@pytest.mark.parametrize("channels", [4, 16])
@pytest.mark.parametrize("name", MIXED_OPS)
def test_copies_computed_together_are_the_operation_copy_by_copy(name, channels):
    torch.manual_seed(0)
    parallel = build_parallel(name, channels, COPIES)
    x = _map(channels)
    together = parallel(x)
    assert together.shape[1] in (1, COPIES)
    for copy in range(together.shape[1]):
        alone = _one_copy(parallel, name, channels, copy)(x)
        torch.testing.assert_close(together[:, copy], alone)


def test_an_operation_that_cannot_be_mixed_is_named():
    with pytest.raises(ModelOptionError, match="cannot mix an operation 'none'"):
        build_parallel("none", 4, 2)


def test_the_strided_edges_are_the_paper_s():
    assert STRIDED_EDGES == (1, 3, 6, 10)
    assert len(EDGES) == 14


def _mixed_by_hand(cell, space, same, other, weights):
    """Eq. (6), edge by edge and operation by operation."""
    states = {1: cell.enter_other(other)}
    if same is not None:
        states[0] = cell.enter_same(same)
    for node in range(2, 6):
        total = 0
        for row, (source, end) in enumerate(EDGES):
            if end != node or source not in states:
                continue
            table = table_of(cell.kind, row)
            mixed = cell.sources[str(source)]
            edge = mixed.rows.index(row)
            for column, name in enumerate(space.table(table)[row]):
                if name == "none":
                    continue
                copy = [place[0] for place in mixed.places[name]].index(edge)
                alone = _one_copy(mixed.operations[name], name, cell.channels, copy)
                total = total + weights[table][row, column] * alone(states[source])
        states[node] = total
    return torch.cat([states[node] for node in range(2, 6)], dim=1)


@pytest.mark.parametrize("kind", ["down", "normal", "up"])
@pytest.mark.parametrize("halved", [False, True])
@pytest.mark.parametrize("has_same", [False, True])
def test_a_mixed_cell_is_the_weighted_sum_of_all_operations(kind, halved, has_same):
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    space = SearchSpace()
    if halved:
        space = space.halved(
            {name: rng.random((14, space.size(name))) for name in TABLES}
        )
    cell = MixedCell(
        kind,
        space,
        channels=4,
        same_channels=6 if has_same else None,
        other_channels=5,
    )
    weights = {
        name: torch.from_numpy(rng.random((14, space.size(name)), np.float32))
        for name in TABLES
    }
    side = {"down": 16, "normal": 8, "up": 4}[kind]
    same, other = _map(6) if has_same else None, _map(5, side, seed=1)
    found = cell(same, other, weights)
    assert found.shape == (2, 16, 8, 8)
    by_hand = _mixed_by_hand(cell, space, same, other, weights)
    torch.testing.assert_close(found, by_hand, rtol=1e-4, atol=1e-5)


def test_edge_normalisation_multiplies_each_edge():
    torch.manual_seed(2)
    space = SearchSpace()
    cell = MixedCell("normal", space, channels=4, same_channels=4, other_channels=4)
    weights = {name: torch.full((14, space.size(name)), 0.2) for name in TABLES}
    x, y = _map(4), _map(4, seed=1)
    plain = cell(x, y, weights)
    torch.testing.assert_close(cell(x, y, weights, torch.ones(14)), plain)
    without_second = torch.ones(14)
    without_second[1] = 0.0  # the edge from input 1 to node 2
    first_only = cell(x, y, weights, without_second)[:, :4]
    given = cell.sources["0"](cell.enter_same(x), weights["normal"])[:, 0]
    torch.testing.assert_close(first_only, given)


@pytest.mark.parametrize("kind", ["down", "normal", "up"])
def test_partial_channels_pass_most_channels_by(kind):
    torch.manual_seed(3)
    space = SearchSpace()
    whole, partial = (
        MixedCell(
            kind,
            space,
            channels=8,
            same_channels=8,
            other_channels=8,
            partial_channels=parts,
        )
        for parts in (1, 4)
    )
    weights = {name: torch.full((14, space.size(name)), 0.2) for name in TABLES}
    side = {"down": 16, "normal": 8, "up": 4}[kind]
    assert partial(_map(8), _map(8, side), weights).shape == (2, 32, 8, 8)
    assert _numbers(partial.sources) < _numbers(whole.sources) / 4


def test_channels_that_pass_by_keep_their_values():
    space = SearchSpace()
    cell = MixedCell(
        "normal",
        space,
        channels=4,
        same_channels=4,
        other_channels=4,
        partial_channels=2,
    )
    x = _map(4)
    given = cell.sources["0"](x, torch.zeros(14, 7))  # nothing is mixed in
    # two of four channels pass by; the shuffle puts them at the odd places
    torch.testing.assert_close(given[:, 0, 1::2], x[:, 2:])
    assert not given[:, 0, 0::2].any()


def _numbers(module: nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


@pytest.mark.parametrize(("layers", "heads"), [(5, 2), (7, 3), (9, 3)])
def test_a_super_network_gives_a_mask_a_head(layers, heads):
    shape = SearchShape(layers=layers, channels=4, stem_channels=4)
    network = SearchNetwork(SearchSpace(), shape)
    image = torch.zeros(1, 3, shape.stride, 2 * shape.stride)
    output = network(image)
    assert len(output.auxiliary) + 1 == heads == len(shape.exits)
    for logits in (output.logits, *output.auxiliary):
        assert logits.shape == (1, 1, shape.stride, 2 * shape.stride)


def test_tables_have_the_published_shapes_and_norms_learn_nothing():
    network = SearchNetwork(SearchSpace(), SearchShape(layers=9, channels=4))
    alphas = network.architecture.alphas
    assert {name: tuple(alphas[name].shape) for name in TABLES} == {
        "normal": (14, 7),
        "down": (14, 6),
        "up": (14, 4),
    }
    assert network.architecture.betas.shape == (9, 5, 3)
    assert all(value.abs().max() < 0.01 for value in network.architecture_parameters())
    norms = [part for part in network.modules() if isinstance(part, nn.GroupNorm)]
    assert norms
    assert all(norm.weight is None for norm in norms)


def test_weights_and_architecture_are_all_parameters_and_share_none():
    network = SearchNetwork(SearchSpace(), SMALL)
    weights = {id(value) for value in network.weight_parameters()}
    searched = {id(value) for value in network.architecture_parameters()}
    assert not weights & searched
    assert weights | searched == {id(value) for value in network.parameters()}


@pytest.mark.parametrize("edge_normalisation", [False, True])
def test_all_that_is_searched_gets_a_gradient(edge_normalisation):
    shape = SearchShape(
        layers=5, channels=4, stem_channels=4, edge_normalisation=edge_normalisation
    )
    network = SearchNetwork(SearchSpace(), shape)
    output = network(_map(3, 32))
    truth = torch.ones_like(output.logits)
    functional.binary_cross_entropy_with_logits(output.logits, truth).backward()
    searched = network.architecture
    assert searched.alphas["normal"].grad.any(dim=1).all()
    strided = list(STRIDED_EDGES)
    for table in ("down", "up"):
        used = searched.alphas[table].grad.any(dim=1)
        assert used[strided].all()
        assert used.sum() == len(strided)  # the other rows are never read
    assert searched.betas.grad[4, 0, 1:].all()  # the mask's map has two branches
    assert not searched.betas.grad[4, 0, 0]
    if edge_normalisation:
        assert all(value.grad.any() for value in searched.edges.values())
        assert searched.edge_weights("up").sum().item() == pytest.approx(4)


def test_branch_weights_of_what_is_there_sum_to_one():
    network = SearchNetwork(SearchSpace(), SMALL)
    assert network.architecture.branch_weights((1, 1), ("down",)).tolist() == [1.0]
    pair = network.architecture.branch_weights((4, 0), ("normal", "up"))
    assert pair.sum().item() == pytest.approx(1)


def test_the_seed_decides_the_first_numbers():
    first, again, other = (
        SearchNetwork(SearchSpace(), SMALL, seed=seed).state_dict()
        for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(
        first["architecture.alphas.normal"], other["architecture.alphas.normal"]
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"layers": 6}, "6 layers"), ({"layers": 3}, "3 layers")],
)
def test_impossible_layers_are_refused(options, expected):
    with pytest.raises(ModelOptionError, match=expected):
        SearchShape(**options)


def test_partial_channels_must_divide_the_width():
    with pytest.raises(ModelOptionError, match="8 channels cannot be divided"):
        SearchShape(channels=8, partial_channels=3)
