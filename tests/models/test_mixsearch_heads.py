"""Our heads on searched networks: a signed distance, and a finer map to read."""

import pytest
import torch

from napari_segmoe.models.fine_head import FineMap
from napari_segmoe.models.genotypes import load_genotype
from napari_segmoe.models.mixsearch import MixSearchNet
from napari_segmoe.models.registry import create_model
from napari_segmoe.models.weaved_lattice import LatticeShape


def _image(height=64, width=64, *, batch=1):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, height, width, generator=generator)


def _network(**heads):
    torch.manual_seed(0)
    return MixSearchNet(
        load_genotype("k4_mu05"),
        shape=LatticeShape(layers=7, channels=4),
        stem=(8, 1),
        in_channels=3,
        classes=1,
        image_classes=0,
        object_classes=0,
        prompts=False,
        **heads,
    ).eval()


def test_our_heads_cost_what_they_hold_and_the_rest_stays_as_published():
    with torch.device("meta"):
        published, with_distance, fine = (
            create_model("mixsearch", genotype="k3_mu1", parity="code", **options)
            for options in ({}, {"distance_head": True}, {"fine_channels": 8})
        )
    names = {name for name, _ in published.named_parameters()}
    added = dict(with_distance.named_parameters())
    assert added.keys() - names == {"distance_head.1.weight"}
    assert added["distance_head.1.weight"].shape == (1, 64, 1, 1)
    new = {name for name, _ in fine.named_parameters()} - names
    assert all(name.startswith("fine_map.") for name in new)
    assert fine.heads["8_0"][1].weight.shape == (1, 8, 1, 1)
    assert fine.heads["6_0"][1].weight.shape == (1, 64, 1, 1)


@pytest.mark.parametrize("fine_channels", [0, 8])
def test_the_distance_has_the_size_of_the_input_and_the_range_of_tanh(fine_channels):
    network = _network(distance_head=True, fine_channels=fine_channels)
    with torch.no_grad():
        network.distance_head[1].weight.mul_(1000)
        output = network(_image(33, 47))
    assert output.distance.shape == output.logits.shape == (1, 1, 33, 47)
    assert output.distance.abs().max() <= 1
    assert output.distance.abs().max() > 0.99


def test_there_is_no_distance_unless_asked_for_nor_without_the_last_diagonal():
    network = _network(distance_head=True)
    network.progressive = 1
    with torch.no_grad():
        assert _network()(_image()).distance is None
        assert network(_image()).distance is None


def test_a_fine_map_leaves_the_earlier_heads_as_they_are():
    plain, fine = _network(), _network(fine_channels=8)
    missing, unknown = fine.load_state_dict(_but_last_head(plain), strict=False)
    assert not unknown
    assert {name.split(".")[0] for name in missing} == {"fine_map", "heads"}
    with torch.no_grad():
        expected, found = plain(_image(50, 70)), fine(_image(50, 70))
    for one, other in zip(expected.auxiliary, found.auxiliary, strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(expected.logits, found.logits)


def _but_last_head(network):
    return {
        name: value
        for name, value in network.state_dict().items()
        if not name.startswith("heads.6_0")
    }


def test_a_fine_map_tells_pixels_apart_that_the_lattice_does_not():
    """Move one pixel by one: what the lattice sees at a quarter changes but little."""
    torch.manual_seed(0)
    fine = FineMap(16, 8, 16).eval()
    lattice = torch.zeros(1, 16, 8, 8)
    stem = torch.zeros(1, 8, 16, 16)
    stem[..., 7, 7] = 1
    moved = stem.roll(1, dims=3)
    with torch.no_grad():
        one, other = fine(lattice, stem), fine(lattice, moved)
    assert one.shape == (1, 16, 16, 16)
    torch.testing.assert_close(one.roll(1, dims=3)[..., 3:13], other[..., 3:13])
    assert (one - other).abs().amax() > 0.1


def test_all_of_our_heads_learn():
    network = _network(distance_head=True, fine_channels=8).train()
    output = network(_image(batch=2))
    (output.logits.square().mean() + output.distance.square().mean()).backward()
    ours = [
        value
        for name, value in network.named_parameters()
        if name.startswith(("fine_map", "distance_head", "heads.6_0"))
    ]
    assert len(ours) == 8
    assert all(value.grad.abs().max() > 0 for value in ours)


def test_explaining_again_gives_the_same_distance():
    network = _network(distance_head=True, fine_channels=8)
    with torch.no_grad():
        state = network.encode(_image(33, 47))
        once, again = network.decode(state), network.decode(state, True)
    assert torch.equal(once.distance, again.distance)
