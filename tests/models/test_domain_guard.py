"""The domain guard: how strange a pooled map is, and how it travels with weights."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_segmoe.models.card import DomainCard, WeightsCard, read_card
from napari_segmoe.models.domain_guard import DomainGuard, pool_maps
from napari_segmoe.models.registry import create_model
from napari_segmoe.models.weights import (
    load_tensors,
    load_weights,
    replace_guard,
    save_weights,
)

LITE = "decoder_interaction_lite"
DOMAIN = DomainCard(features=6, components=2, limit=1.5, images=40, false_alarms=0.05)


def cloud(count, seed=0):
    """Points that vary along two directions of six, and a little along all."""
    rng = np.random.default_rng(seed)
    along = rng.normal(size=(count, 2)) @ np.array(
        [[3, 1, 0, 0, 2, 0], [0, 0, 2, 2, 0, 1]]
    )
    return torch.from_numpy(5 + along + 0.1 * rng.normal(size=(count, 6))).float()


def filled(count=200, components=2):
    guard = DomainGuard(6, components)
    guard.fill(cloud(count))
    return guard


def test_ordinary_images_score_about_one():
    scores = filled()(cloud(300, seed=1))
    assert scores.square().mean().item() == pytest.approx(1, abs=0.1)


def test_a_stranger_off_the_usual_directions_scores_far_more():
    guard = filled()
    usual = cloud(50, seed=2)
    far_along = usual + torch.tensor([3.0, 1, 0, 0, 2, 0])
    off = usual + torch.tensor([1.0, -3, 0, 0, 0, 0])
    assert guard(off).min() > 3 * guard(usual).max()
    assert guard(far_along).mean() < guard(off).mean() / 3


def test_scores_are_mahalanobis_distances_by_hand():
    guard = DomainGuard(2, 1)
    guard.basis.copy_(torch.tensor([[1.0, 0.0]]))
    guard.variances.copy_(torch.tensor([3.0]))
    guard.rest.copy_(torch.tensor([1.0]))
    score = guard(torch.tensor([[2.0, 3.0]]))
    assert score.item() == pytest.approx(((4 / (3 + 1) + 9 / 1) / 2) ** 0.5)


def test_fewer_images_than_components_still_make_a_guard():
    guard = DomainGuard(6, 5)
    guard.fill(cloud(4))
    assert torch.isfinite(guard(cloud(3, seed=3))).all()


def test_numbers_survive_half_precision_unchanged():
    guard = filled()
    for name, value in guard.state_dict().items():
        assert torch.equal(value, value.half().float()), name


def test_pooling_leaves_padding_out():
    found = torch.zeros(1, 1, 2, 2)
    found[0, 0] = torch.tensor([[1.0, 3.0], [100.0, 100.0]])
    inside = torch.ones(1, 1, 4, 4)
    inside[:, :, 2:] = 0
    pooled = pool_maps([found], inside)
    assert pooled.tolist() == [[2.0, 1.0]]  # mean and deviation of 1 and 3


def test_maps_are_pooled_one_after_the_other():
    maps = [torch.full((2, 3, 4, 4), 1.0), torch.full((2, 5, 2, 2), 2.0)]
    pooled = pool_maps(maps, torch.ones(2, 1, 8, 8))
    assert pooled.shape == (2, 16)
    assert pooled[0, :3].tolist() == [1, 1, 1]
    assert pooled[0, 6:11].tolist() == [2] * 5


@pytest.fixture
def weights(tmp_path):
    """A file of weights without a guard."""
    torch.manual_seed(0)
    path = tmp_path / "w.safetensors"
    model = create_model(LITE).eval()
    save_weights(path, model, WeightsCard(name="w", model=LITE), half=True)
    return path


def test_weights_without_a_guard_load_as_before(weights):
    model, card = load_weights(weights)
    assert card.domain is None
    assert model.domain_guard is None


def test_a_guard_is_added_and_nothing_else_changes(weights):
    before, guard = load_file(weights), filled()
    replace_guard(weights, guard, DOMAIN)
    model, card = load_weights(weights)
    assert card == read_card(weights)
    assert card.domain == DOMAIN
    points = cloud(5, seed=4)
    assert torch.equal(model.domain_guard(points), guard(points))
    after = load_file(weights)
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_newer_guard_takes_the_place_of_the_old_one(weights):
    replace_guard(weights, filled(), DOMAIN)
    newer = DOMAIN.model_copy(update={"components": 3, "limit": 2.0})
    replace_guard(weights, filled(components=3), newer)
    model, card = load_weights(weights)
    assert card.domain.limit == 2.0
    assert model.domain_guard.basis.shape == (3, 6)


def test_another_run_starts_from_guarded_weights_without_their_guard(weights):
    replace_guard(weights, filled(), DOMAIN)
    start, card = load_weights(weights)
    fresh = create_model(LITE)
    load_tensors(fresh, start.state_dict(), source=card.name)
    assert fresh.domain_guard is None
    assert torch.equal(fresh.encoder.stem.weight, start.encoder.stem.weight)


SMALL = {
    "decoder_interaction_lite": {},
    "mixsearch_lite": {},
    "resformer_lite": {},
    "semi_moe": {"widths": (4, 8, 8, 8, 8), "prompts": True},
    "semi_moe_lite": {},
    "utanet_lite": {},
}


@pytest.mark.parametrize("name", SMALL)
def test_every_network_looks_at_an_eighth_and_a_sixteenth_without_prompts(name):
    model = create_model(name, **SMALL[name]).eval()
    with torch.inference_mode():
        maps = model.look(torch.rand(2, 3, 64, 64))
    assert [tuple(one.shape[-2:]) for one in maps] == [(8, 8), (4, 4)]


@pytest.mark.parametrize("name", ["decoder_interaction_lite", "semi_moe_lite"])
def test_a_look_sees_what_the_whole_forward_sees(name):
    """The encoder's own tap is the expansion of what enters its sixth stage."""
    model = create_model(name).eval()
    encoder = next(m for m in model.modules() if hasattr(m, "stage_starts"))
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        deep = model.look(image)[1]
        tap = encoder(image)[3]
        again = encoder.blocks[encoder.stage_starts[5]].expanded(deep)
    torch.testing.assert_close(again, tap)
