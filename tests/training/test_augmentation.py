import numpy as np
import pytest
import torch

from napari_segmoe.training.augmentation import (
    WarpStrength,
    augment_intensity,
    plain_warp,
    random_warp,
)

STRENGTH = WarpStrength()


def _warp(seed, strength=STRENGTH):
    return random_warp(
        np.random.default_rng(seed),
        centre_yx=(49.5, 49.5),
        side=100,
        output_px=64,
        strength=strength,
    )


def test_a_plain_warp_of_the_same_size_returns_the_image(rng):
    image = torch.from_numpy(rng.random((1, 32, 32), dtype=np.float32))
    warp = plain_warp(centre_yx=(15.5, 15.5), side=32, output_px=32)
    assert torch.allclose(warp.read(image, scale_yx=(1, 1)), image, atol=1e-5)


def test_a_coarser_level_is_read_at_the_same_place():
    image = torch.zeros((1, 50, 50))
    image[0, 20:25, 30:35] = 1  # full-resolution 40:50, 60:70
    warp = plain_warp(centre_yx=(49.5, 49.5), side=100, output_px=100)
    found = np.argwhere(warp.read(image, scale_yx=(0.5, 0.5))[0].numpy() > 0.5)
    assert found.min(0).tolist() == [40, 60]
    assert found.max(0).tolist() == [49, 69]


@pytest.mark.parametrize("seed", range(6))
def test_points_move_with_the_mask(seed):
    y, x = np.mgrid[:100, :100]
    disk = (((y - 40) ** 2 + (x - 60) ** 2) <= 36).astype(np.float32)
    warp = _warp(seed)
    moved = warp.read(torch.from_numpy(disk)[None], scale_yx=(1, 1))[0].numpy() > 0.5
    centre = np.argwhere(moved).mean(0)
    assert warp.locate(40, 60) == pytest.approx(tuple(centre), abs=1.0)


def test_a_point_outside_the_output_is_nowhere():
    warp = plain_warp(centre_yx=(20, 20), side=10, output_px=16)
    assert warp.locate(80, 80) is None


def test_the_same_seed_draws_the_same_warp_and_another_a_different_one():
    assert (_warp(3).source_yx == _warp(3).source_yx).all()
    assert not (_warp(3).source_yx == _warp(4).source_yx).all()


def test_the_probe_stays_on_top():
    for seed in range(20):
        source_y = _warp(seed).source_yx[0]
        assert source_y[0].mean() < source_y[-1].mean()


def test_intensities_stay_in_range_and_the_black_margin_black(rng):
    image = torch.from_numpy(rng.random((3, 32, 32), dtype=np.float32))
    image[:, :, :5] = 0
    for seed in range(10):
        found = augment_intensity(image, np.random.default_rng(seed))
        assert found.min() >= 0
        assert found.max() <= 1
        assert not found[:, :, :5].any()
