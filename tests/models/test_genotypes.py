import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.genotypes import (
    CELL_KINDS,
    CELL_NODES,
    FIRST_NODE,
    Genotype,
    allowed_ops,
    list_genotypes,
    load_genotype,
    parse_genotype,
)

PUBLISHED = (
    "chaos",
    "cvc",
    "isic",
    "k2_mu05",
    "k2_mu1",
    "k3_mu05",
    "k3_mu1",
    "k4_mu05",
    "k4_mu1",
    "union",
)


def _content(name="k3_mu1"):
    return json.loads(load_genotype(name).to_json())


@st.composite
def _genotypes(draw):
    def cell(kind):
        nodes = []
        for node in range(FIRST_NODE, FIRST_NODE + CELL_NODES):
            inputs = draw(
                st.lists(st.integers(0, node - 1), min_size=2, max_size=2, unique=True)
            )
            nodes.append(
                tuple((draw(st.sampled_from(allowed_ops(kind, i))), i) for i in inputs)
            )
        return tuple(nodes)

    cells = {kind: cell(kind) for kind in CELL_KINDS}
    return Genotype(name=draw(st.text(min_size=1)), title=draw(st.text()), **cells)


def test_the_ten_published_genotypes_are_there():
    assert list_genotypes() == PUBLISHED


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_genotype_knows_its_name_and_its_authors_name(name):
    genotype = load_genotype(name)
    assert genotype.name == name
    assert genotype.title
    assert genotype.reference_name


def test_the_best_genotype_on_isic_is_as_published():
    genotype = load_genotype("k3_mu1")
    assert genotype.reference_name == "alpha1_stage1_double_deep_ep80_3mixup"
    assert genotype.normal == (
        (("cweight", 1), ("dep_conv", 0)),
        (("dil_conv", 2), ("conv", 0)),
        (("dil_conv", 3), ("conv", 1)),
        (("conv", 4), ("shuffle_conv", 3)),
    )


@settings(deadline=None, max_examples=30)
@given(_genotypes())
def test_a_genotype_survives_json(genotype):
    assert parse_genotype(genotype.to_json()) == genotype
    assert parse_genotype(genotype.model_dump(mode="json")) == genotype


def test_a_genotype_is_read_from_a_file(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(load_genotype("union").to_json(), encoding="utf-8")
    assert load_genotype(path) == load_genotype("union")
    assert load_genotype(str(path)) == load_genotype("union")


@pytest.mark.parametrize("name", ["k9", "", "no/such.json", "nul\0byte"])
def test_an_unknown_genotype_is_refused_with_the_known_ones(name):
    with pytest.raises(ModelOptionError, match=r"No genotype .*chaos, cvc"):
        load_genotype(name)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "picture.json"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ModelOptionError, match="No genotype"):
        load_genotype(path)


def test_text_that_is_no_json_is_refused_in_one_sentence():
    with pytest.raises(ModelOptionError, match="not valid at its text") as caught:
        parse_genotype("{")
    assert "\n" not in str(caught.value)


def test_a_missing_cell_is_named():
    content = _content()
    del content["up"]
    with pytest.raises(ModelOptionError, match="not valid at up"):
        parse_genotype(content)


def test_an_edge_from_a_later_node_is_a_cycle():
    content = _content()
    content["normal"][0][0] = ["conv", 4]
    with pytest.raises(
        ModelOptionError,
        match=r"Node 2 of the normal cell of genotype 'k3_mu1' reads node 4.*cycle",
    ):
        parse_genotype(content)


@pytest.mark.parametrize("source", [2, -1])
def test_a_node_cannot_read_itself_or_what_is_not_there(source):
    content = _content()
    content["normal"][0][0] = ["conv", source]
    with pytest.raises(ModelOptionError, match="expected one of 0 to 1"):
        parse_genotype(content)


def test_an_unknown_operation_is_refused_with_the_known_ones():
    content = _content()
    content["down"][1][0] = ["warp", 2]
    with pytest.raises(ModelOptionError, match=r"operation 'warp' .*dil_conv"):
        parse_genotype(content)


@pytest.mark.parametrize(
    ("kind", "op", "source"),
    [
        ("down", "conv", 1),
        ("up", "down_conv", 1),
        ("normal", "up_conv", 1),
        ("down", "max_pool", 0),
        ("normal", "none", 0),
    ],
)
def test_an_operation_that_does_not_suit_its_edge_is_refused(kind, op, source):
    content = _content()
    content[kind][3] = [[op, source], [*content[kind][3][0][:1], 4]]
    with pytest.raises(ModelOptionError, match=f"operation '{op}' on input {source}"):
        parse_genotype(content)


@pytest.mark.parametrize("edges", [[], [["conv", 0]], [["conv", 0]] * 3])
def test_a_wrong_number_of_edges_is_refused(edges):
    content = _content()
    content["normal"][2] = edges
    with pytest.raises(ModelOptionError, match=f"has {len(edges)} edges; expected 2"):
        parse_genotype(content)


def test_a_wrong_number_of_nodes_is_refused():
    content = _content()
    content["up"].pop()
    with pytest.raises(ModelOptionError, match="has 3 nodes; expected 4"):
        parse_genotype(content)


def test_two_edges_from_one_input_are_refused():
    content = _content()
    content["normal"][1] = [["conv", 0], ["dil_conv", 0]]
    with pytest.raises(ModelOptionError, match="reads input 0 twice"):
        parse_genotype(content)


def test_reading_genotypes_loads_no_torch():
    code = (
        "import sys; from napari_segmoe.models.genotypes import load_genotype;"
        "load_genotype('cvc'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
