"""What the networks share: choosing experts, padding, batches, heads."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.network import ImageHead, SegmentationNetwork, steer_weights
from napari_segmoe.models.outputs import SegmentationOutput
from napari_segmoe.types import Steering

EXPERTS = ("a", "b", "c", "d")
SUBSETS = [
    subset
    for size in range(len(EXPERTS) + 1)
    for subset in itertools.combinations(EXPERTS, size)
]


class TinyNetwork(SegmentationNetwork):
    """One convolution after the stem; normalises one number a channel an image."""

    def __init__(self, **options):
        super().__init__(in_channels=2, stride=8, stem_channels=4, stem_stride=2)
        self.stem = torch.nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.norm = torch.nn.BatchNorm1d(4)
        self.head = torch.nn.ConvTranspose2d(4, 1, 2, stride=2)

    def encode(self, image, prompts=None):
        size = image.shape[-2:]
        padded, addition = self.prepare(image, prompts)
        x = self.stem(padded)
        return {"map": x if addition is None else x + addition, "size": size}

    def decode(self, state, explain=False, steering=None):
        x, (height, width) = state["map"], state["size"]
        return SegmentationOutput(
            logits=self.head(x)[..., :height, :width],
            features=(x,),
            embedding=self.norm(x.mean(dim=(2, 3))),
        )


def _gates(rows):
    return torch.tensor(rows, dtype=torch.float32).softmax(dim=1)


def _steer(gates, *, most=4, steering=None, stage="O1"):
    return steer_weights(
        gates, stage=stage, experts=EXPERTS, most=most, steering=steering
    )


scores = st.lists(
    st.lists(st.floats(-200, 200, width=32), min_size=4, max_size=4),
    min_size=1,
    max_size=3,
)


@settings(deadline=None, max_examples=60)
@given(rows=scores, most=st.integers(1, 6))
def test_weights_sum_to_one_and_top_k_keeps_k(rows, most):
    gates = _gates(rows)
    weights, chosen = _steer(gates, most=most)
    kept = min(most, 4)
    assert chosen.shape == (len(rows), kept)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(len(rows)))
    assert (weights >= 0).all()
    for row, columns, gate in zip(weights, chosen, gates, strict=True):
        assert len(set(columns.tolist())) == kept
        left_out = sorted(set(range(4)) - set(columns.tolist()))
        assert (row[left_out] == 0).all()
        if left_out:
            assert gate[left_out].max() <= gate[columns].min()
        assert (row[columns].diff() <= 0).all()


@settings(deadline=None, max_examples=60)
@given(
    rows=scores,
    most=st.integers(1, 4),
    pinned=st.sampled_from(SUBSETS),
    vetoed=st.sampled_from(SUBSETS[:-1]),
    stage=st.sampled_from(["*", "O1"]),
)
def test_steering_is_obeyed_and_what_remains_is_renormalised(
    rows, most, pinned, vetoed, stage
):
    steering = Steering(pinned={stage: pinned}, vetoed={stage: vetoed})
    weights, chosen = _steer(_gates(rows), most=most, steering=steering)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(len(rows)))
    banned = [EXPERTS.index(name) for name in vetoed]
    assert (weights[:, banned] == 0).all()
    assert not set(chosen.flatten().tolist()) & set(banned)
    asked = set(pinned) - set(vetoed)
    if asked:
        allowed = {EXPERTS.index(name) for name in asked}
        assert set(chosen.flatten().tolist()) <= allowed


def test_top_two_of_four_are_renormalised():
    gates = torch.tensor([[0.85, 0.10, 0.04, 0.01]])
    weights, chosen = _steer(gates, most=2)
    assert chosen.tolist() == [[0, 1]]
    torch.testing.assert_close(weights, torch.tensor([[0.8947368, 0.1052632, 0, 0]]))


def test_a_veto_hands_the_weight_to_the_next():
    gates = torch.tensor([[0.5, 0.3, 0.2, 0.0]])
    steering = Steering(vetoed={"O1": ("a",)})
    weights, chosen = _steer(gates, most=2, steering=steering)
    assert chosen.tolist() == [[1, 2]]
    torch.testing.assert_close(weights, torch.tensor([[0.0, 0.6, 0.4, 0.0]]))


def test_a_pinned_expert_is_asked_alone_however_small_its_gate():
    gates = torch.tensor([[0.9, 0.1, 0.0, 0.0]])
    weights, chosen = _steer(gates, most=3, steering=Steering(pinned={"*": ("d",)}))
    assert chosen.tolist() == [[3]]
    assert weights.tolist() == [[0, 0, 0, 1]]


def test_steering_of_another_stage_changes_nothing():
    gates = torch.tensor([[0.4, 0.3, 0.2, 0.1]])
    weights, _ = _steer(gates, steering=Steering(vetoed={"O2": EXPERTS}))
    torch.testing.assert_close(weights, gates)


def test_weights_keep_the_gates_type_and_gradient():
    rows = torch.randn(2, 4, dtype=torch.bfloat16, requires_grad=True)
    weights, _ = _steer(rows.softmax(dim=1), most=2)
    assert weights.dtype == torch.bfloat16
    weights[:, 0].sum().backward()
    assert rows.grad.isfinite().all()


@pytest.mark.parametrize("stage", ["*", "O1"])
def test_vetoing_every_expert_is_refused_in_a_sentence(stage):
    with pytest.raises(ModelOptionError, match=r"Every expert of stage O1 is vetoed\."):
        _steer(_gates([[0, 0, 0, 0]]), steering=Steering(vetoed={stage: EXPERTS}))


@pytest.mark.parametrize("kind", ["pinned", "vetoed"])
def test_an_unknown_expert_is_named(kind):
    with pytest.raises(ModelOptionError, match="no expert 'z'"):
        _steer(_gates([[0, 0, 0, 0]]), steering=Steering(**{kind: {"O1": ("z",)}}))


@pytest.mark.parametrize("size", [(8, 8), (9, 16), (1, 1), (1, 23)])
def test_images_are_padded_at_the_bottom_and_right(size):
    network = TinyNetwork()
    image = torch.ones(1, 2, *size)
    padded = network.pad(image)
    assert [side % 8 for side in padded.shape[-2:]] == [0, 0]
    assert [
        0 <= new - old < 8 for new, old in zip(padded.shape[-2:], size, strict=True)
    ] == [True, True]
    assert torch.equal(padded[..., : size[0], : size[1]], image)
    assert padded.sum() == image.sum()
    with torch.no_grad():
        assert network.eval()(image).logits.shape[-2:] == size


def test_a_batch_too_small_for_its_statistics_is_refused_in_a_sentence():
    network = TinyNetwork().train()
    assert network(torch.zeros(2, 2, 8, 8)).logits.isfinite().all()
    with pytest.raises(ModelOptionError, match="two or more images"):
        network(torch.zeros(1, 2, 8, 8))


def test_other_errors_of_a_network_are_not_swallowed(monkeypatch):
    network = TinyNetwork()

    def fail(*_):
        raise ValueError("something else")

    monkeypatch.setattr(network, "decode", fail)
    with pytest.raises(ValueError, match="something else"):
        network(torch.zeros(2, 2, 8, 8))


@pytest.mark.parametrize("shape", [(0, 2, 8, 8), (1, 2, 0, 8), (1, 2, 8, 0)])
def test_an_image_without_pixels_is_refused(shape):
    with pytest.raises(ModelOptionError, match="at least one pixel"):
        TinyNetwork()(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(2, 8, 8), (1, 3, 8, 8)])
def test_an_image_of_another_shape_is_refused(shape):
    with pytest.raises(ModelOptionError, match=r"expected \(B, 2, H, W\)"):
        TinyNetwork()(torch.zeros(shape))


def test_the_region_head_reads_the_network_s_own_maps():
    network = TinyNetwork().eval()
    network.attach_region_head((4,), embedding_channels=4, classes=3)
    with torch.no_grad():
        output = network(torch.randn(2, 2, 13, 9))
        scores = network.classify_region(output, torch.ones(2, 1, 13, 9))
    assert scores.shape == (2, 3)
    assert scores.isfinite().all()


def test_the_image_head_averages_the_map():
    head = ImageHead(4, 3, width=5).eval()
    deep = torch.randn(2, 4, 6, 7)
    scores, embedding = head(deep)
    assert (scores.shape, embedding.shape) == ((2, 3), (2, 5))
    shuffled = deep.flatten(2).flip(2).unflatten(2, (6, 7))
    torch.testing.assert_close(head(shuffled)[0], scores)
