"""Oracle 11: weights of mixtures, and the loss on a mixture."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from napari_segmoe.training.search.config import SearchConfig, Weighting
from napari_segmoe.training.search.images import SearchSet
from napari_segmoe.training.search.mixing import (
    draw_mixture,
    mixed_loss,
    mixing_weights,
    normalise,
)


def _config(**values):
    return SearchConfig(data=("a",), out="o", batch_size=16, **values)


def _set(name, value, count=3):
    images = torch.full((count, 3, 8, 8), value, dtype=torch.uint8)
    masks = torch.zeros(count, 1, 8, 8, dtype=torch.bool)
    masks[..., : value // 32] = True  # the set can be told from the mask
    return SearchSet(name, images, masks, tuple(f"{name}{i}" for i in range(count)))


@pytest.mark.parametrize(
    ("k", "low", "high"), [(2, 0.268, 0.732), (3, 0.155, 0.576), (4, 0.109, 0.475)]
)
@pytest.mark.parametrize("mu", [0.5, 1.0])
def test_softmax_weights_sum_to_one_and_stay_near_the_mean(rng, k, low, high, mu):
    weights = mixing_weights(rng, 4000, k=k, mu=mu)
    assert weights.shape == (4000, k)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert low <= weights.min() < low + 0.05  # the bounds are the true ones
    assert high - 0.1 < weights.max() <= high
    np.testing.assert_allclose(weights.mean(axis=0), 1 / k, atol=0.02)


def test_dirichlet_weights_are_ordinary_mixup(rng):
    weights = mixing_weights(rng, 4000, k=2, mu=0.5, weighting=Weighting.DIRICHLET)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    # Beta(.5, .5) has mean 1/2 and variance 1/8; a softmax would have far less.
    assert weights[:, 0].var() == pytest.approx(1 / 8, abs=0.01)


def test_one_image_is_not_mixed(rng):
    assert (mixing_weights(rng, 5, k=1, mu=0.5) == 1).all()


def test_cross_entropy_on_the_mixed_mask_is_the_weighted_cross_entropy(rng):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(4, 1, 6, 6, generator=generator)
    masks = (torch.rand(3, 4, 1, 6, 6, generator=generator) < 0.4).float()
    weights = torch.from_numpy(mixing_weights(rng, 4, k=3, mu=0.5).T).float()
    found = mixed_loss(logits, masks, weights, cross_entropy_weight=1, dice_weight=0)
    entropy = functional.binary_cross_entropy_with_logits
    by_mask = sum(
        weights[part, row] * entropy(logits[row], masks[part, row]) / 4
        for part in range(3)
        for row in range(4)
    )
    assert found.item() == pytest.approx(by_mask.item(), rel=1e-5)


def test_dice_is_weighted_by_image_and_zero_for_a_perfect_answer():
    masks = torch.zeros(2, 1, 1, 4, 4)
    masks[0, 0, 0, :2], masks[1, 0, 0, 2:] = 1, 1
    sure = 40 * (masks[0] - 0.5)

    def loss(*weights):
        return mixed_loss(
            sure,
            masks,
            torch.tensor(weights)[:, None],
            cross_entropy_weight=0,
            dice_weight=1,
        ).item()

    assert loss(1.0, 0.0) == pytest.approx(0, abs=1e-4)
    other = 1 - 1 / 17  # nothing shared, 8 + 8 pixels, smoothed by 1
    assert loss(0.0, 1.0) == pytest.approx(other, abs=1e-4)
    assert loss(0.7, 0.3) == pytest.approx(0.3 * other, abs=1e-4)


def test_a_mixture_is_the_weighted_sum_of_images_of_different_sets(rng):
    sets = (_set("dark", 32), _set("bright", 192))
    batch = draw_mixture(sets, rng, _config(k=2, clean_share=0.0))
    assert batch.masks.shape == (2, 16, 1, 8, 8)
    torch.testing.assert_close(batch.weights.sum(dim=0), torch.ones(16))
    widths = batch.masks.sum(dim=(2, 3, 4)) / 8  # 1 of dark, 6 of bright
    assert set(widths.sum(dim=0).tolist()) == {7.0}  # always one of each
    values = torch.where(widths == 1, 32.0, 192.0)
    expected = normalise((batch.weights * values).sum(dim=0))
    torch.testing.assert_close(batch.image[:, 0, 0, 0], expected)


def test_a_share_of_the_samples_stays_unmixed(rng):
    sets = (_set("dark", 32), _set("bright", 192))
    assert (draw_mixture(sets, rng, _config(clean_share=1.0)).weights[0] == 1).all()
    half = draw_mixture(sets, rng, _config(clean_share=0.5)).weights[0] == 1
    assert 0 < half.sum() < 16


def test_one_set_gives_all_partners_and_the_seed_decides():
    alone = (_set("dark", 32),)
    batch = draw_mixture(alone, np.random.default_rng(3), _config(k=3))
    again = draw_mixture(alone, np.random.default_rng(3), _config(k=3))
    assert batch.masks.shape[0] == 3
    torch.testing.assert_close(batch.image, again.image, rtol=0, atol=0)
    torch.testing.assert_close(batch.weights, again.weights, rtol=0, atol=0)
