import numpy as np
import pytest
import torch

from napari_segmoe.training.stain import augment_stain, jitter_stain


def _tissue(rng):
    image = torch.from_numpy(rng.random((3, 48, 48), dtype=np.float32))
    image[:, :, :12] = 1  # glass
    return image


@pytest.mark.parametrize("seed", range(8))
def test_white_stays_white_and_tissue_changes(rng, seed):
    image = _tissue(rng)
    found = jitter_stain(image, np.random.default_rng(seed))
    assert torch.allclose(found[:, :, :12], image[:, :, :12], atol=1e-6)
    assert (found[:, :, 12:] - image[:, :, 12:]).abs().mean() > 0.005
    assert found.min() >= 0
    assert found.max() <= 1


def test_the_same_seed_draws_the_same_stain_and_another_a_different_one(rng):
    image = _tissue(rng)
    one, two, other = (
        augment_stain(image, np.random.default_rng(seed)) for seed in (4, 4, 5)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_a_pure_dye_stays_of_about_its_colour():
    eosin = np.array([0.07, 0.99, 0.11], np.float32)
    image = torch.from_numpy(np.exp(-0.8 * eosin))[:, None, None].expand(3, 8, 8)
    for seed in range(20):
        found = jitter_stain(image, np.random.default_rng(seed))
        density = -found[:, 0, 0].log().numpy()
        alike = density @ eosin / np.linalg.norm(density) / np.linalg.norm(eosin)
        assert alike > 0.98
        assert 0.5 < np.linalg.norm(density) / 0.8 < 1.5


@pytest.mark.parametrize("seed", range(12))
def test_augmented_tissue_stays_in_range(rng, seed):
    found = augment_stain(_tissue(rng), np.random.default_rng(seed))
    assert found.shape == (3, 48, 48)
    assert found.min() >= 0
    assert found.max() <= 1
