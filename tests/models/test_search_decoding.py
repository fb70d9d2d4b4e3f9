"""Oracles of the decoding, and genotypes at random."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_segmoe.models.genotypes import (
    CELL_KINDS,
    NORMAL_OPS,
    UP_OPS,
    load_genotype,
    parse_genotype,
)
from napari_segmoe.models.search_decoding import (
    decode_genotype,
    mean_entropies,
    random_genotype,
)
from napari_segmoe.models.search_space import EDGES, TABLES, SearchSpace, softmax

FULL = SearchSpace()


def _alphas(space=FULL, *, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    return {
        name: spread * rng.standard_normal((14, space.size(name))) for name in TABLES
    }


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.booleans())
def test_a_genotype_never_has_none_and_always_two_edges_a_node(seed, second_stage):
    space = FULL.halved(_alphas(seed=seed + 1)) if second_stage else FULL
    alphas = _alphas(space, seed=seed, spread=3.0)
    if not second_stage:
        alphas["normal"][:, NORMAL_OPS.index("none")] += 5.0  # "none" wins everywhere
    genotype = decode_genotype(space, alphas, name="found")
    for kind in CELL_KINDS:
        for node in genotype.cell(kind):
            assert len(node) == 2
            assert len({source for _, source in node}) == 2
            assert all(op != "none" for op, _ in node)


def test_the_smaller_table_is_scaled_before_edges_are_ranked():
    """In an up cell 4 operations compete with 7: their weights count 4/7."""
    alphas = {name: np.zeros((14, FULL.size(name))) for name in TABLES}
    # Node 3: inputs 0 (row 2), 1 (row 3, up) and 2 (row 4).
    conv = NORMAL_OPS.index("conv")
    for row in (2, 4):
        alphas["normal"][row, conv] = np.log(6 * 0.4 / 0.6)  # weight 0.4
    alphas["up"][3, UP_OPS.index("up_conv")] = np.log(3 * 0.6 / 0.4)  # weight 0.6
    assert softmax(alphas["normal"])[2, conv] == pytest.approx(0.4)
    assert softmax(alphas["up"])[3].max() == pytest.approx(0.6)
    # 0.6 x 4/7 = 0.343 is below 0.4 twice: unscaled it would be the best edge
    up = decode_genotype(FULL, alphas, name="found").cell("up")
    assert up[1] == (("conv", 0), ("conv", 2))
    trace = decode_genotype(FULL, alphas, name="found").trace
    edge = next(e for e in trace.up if (e.source, e.node) == (1, 3))
    assert edge.score == pytest.approx(0.6 * 4 / 7)
    assert not edge.kept


def test_edge_weights_multiply_the_rank():
    alphas = {name: np.zeros((14, FULL.size(name))) for name in TABLES}
    even = {kind: np.ones(14) for kind in CELL_KINDS}
    plain = decode_genotype(FULL, alphas, name="found", edge_weights=even)
    assert {source for _, source in plain.normal[3]} == {0, 1}  # ties: the earlier
    even["normal"][EDGES.index((4, 5))] = 2.0
    changed = decode_genotype(FULL, alphas, name="found", edge_weights=even)
    assert changed.normal[3][0][1] == 4


def test_cells_share_what_they_share_in_the_published_genotypes():
    """Edges that keep the resolution have one set of scores for all cells."""
    trace = decode_genotype(FULL, _alphas(), name="found").trace
    for row, (source, _) in enumerate(EDGES):
        same = trace.normal[row].operations == trace.up[row].operations
        assert same == (source != 1)


@pytest.mark.parametrize(("table", "left"), [("normal", 4), ("down", 4), ("up", 2)])
def test_halving_keeps_the_best_operations_of_each_edge(table, left):
    alphas = _alphas(seed=4)
    halved = FULL.halved(alphas)
    assert halved.size(table) == left
    for row, kept in enumerate(halved.table(table)):
        names = FULL.table(table)[row]
        best = np.argsort(-alphas[table][row])[:left]
        assert set(kept) == {names[i] for i in best}
        assert list(kept) == [name for name in names if name in kept]


def test_a_space_of_none_alone_cannot_come_about():
    space = FULL
    for _ in range(4):
        alphas = _alphas(space)
        for row, names in enumerate(space.normal):
            if "none" in names:
                alphas["normal"][row, names.index("none")] = 9.0
        space = space.halved(alphas)
    assert all(set(row) - {"none"} for row in space.normal)


def test_entropy_is_one_without_and_zero_with_a_decision():
    even = {name: np.zeros((14, FULL.size(name))) for name in TABLES}
    assert mean_entropies(even) == pytest.approx(dict.fromkeys(TABLES, 1.0))
    sure = {name: np.zeros((14, FULL.size(name))) for name in TABLES}
    for name in TABLES:
        sure[name][:, 0] = 50.0
    assert mean_entropies(sure) == pytest.approx(dict.fromkeys(TABLES, 0.0), abs=1e-9)


def test_a_trace_tells_what_decided_and_survives_the_file(tmp_path):
    genotype = decode_genotype(
        FULL,
        _alphas(),
        name="found",
        betas={"4_0": {"normal": 0.4, "up": 0.6}},
        entropies=({"normal": 1.0},),
        search={"seed": 3},
    )
    path = tmp_path / "genotype.json"
    path.write_text(genotype.to_json(), encoding="utf-8")
    again = load_genotype(path)
    assert again == genotype
    kept = [edge for edge in again.trace.down if edge.kept]
    assert len(kept) == 8
    for edge in again.trace.normal:
        weights = [weight for _, weight in edge.operations]
        assert weights == sorted(weights, reverse=True)
        assert sum(weights) == pytest.approx(1)
    plain = json.loads(genotype.without_trace().to_json())
    assert "trace" not in plain
    assert parse_genotype(plain).down == genotype.down


def test_random_genotypes_are_valid_differ_and_repeat():
    drawn = [
        random_genotype(np.random.default_rng([0, n]), name=f"random_{n}")
        for n in (1, 2, 1)
    ]
    assert drawn[0] == drawn[2]
    assert drawn[0].down != drawn[1].down
    used = {
        op
        for n in range(40)
        for cell in [random_genotype(np.random.default_rng(n), name="x").normal]
        for node in cell
        for op, _ in node
    }
    assert used == set(NORMAL_OPS) - {"none"}
