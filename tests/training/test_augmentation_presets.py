import numpy as np
import pytest
import torch

from napari_segmoe.training.augmentation import augment_scan, random_warp
from napari_segmoe.training.augmentation_presets import (
    augment_endoscopy,
    augmentation_for,
)
from napari_segmoe.training.config import make_config
from napari_segmoe.training.draws import sample_options
from napari_segmoe.types import Modality


def _up_is_up(modality, seed):
    """Whether the first row of a drawn window lies above the last one."""
    warp = random_warp(
        np.random.default_rng(seed),
        centre_yx=(50.0, 50.0),
        side=100.0,
        output_px=32,
        strength=augmentation_for(modality).strength,
    )
    return warp.source_yx[0, 0].mean() < warp.source_yx[0, -1].mean()


def test_scans_are_never_turned_upside_down_or_on_their_side():
    assert augmentation_for(Modality.OCT).strength.rotation_deg <= 15
    assert all(_up_is_up(Modality.OCT, seed) for seed in range(40))


def test_endoscopy_turns_anyhow():
    turned = [_up_is_up(Modality.ENDOSCOPY, seed) for seed in range(40)]
    assert 8 < sum(turned) < 32


def test_the_reach_multiplies_all_but_a_rotation_by_anything():
    small = augmentation_for(Modality.OCT, reach=0.5).strength
    assert (
        small.rotation_deg == augmentation_for(Modality.OCT).strength.rotation_deg / 2
    )
    endoscopy = augmentation_for(Modality.ENDOSCOPY, reach=0.5).strength
    assert endoscopy.rotation_deg == 180
    assert endoscopy.scale < augmentation_for(Modality.ENDOSCOPY).strength.scale
    assert augmentation_for(Modality.ENDOSCOPY, reach=0.0).strength.rotation_deg == 0


def test_other_modalities_are_changed_as_before(tmp_path):
    config = make_config(data=tmp_path, out=tmp_path)
    assert sample_options(config).augment.__name__ == "augment_intensity"
    assert sample_options(config).strength.rotation_deg == 12
    oct_config = config.model_copy(update={"modality": Modality.OCT})
    assert sample_options(oct_config).augment is augment_scan


@pytest.mark.parametrize("augment", [augment_scan, augment_endoscopy])
def test_intensities_stay_in_range_and_black_stays_black(augment):
    torch.manual_seed(0)
    image = torch.rand(3, 40, 50)
    image[:, :10] = 0
    changed = 0
    for seed in range(12):
        found = augment(image, np.random.default_rng(seed))
        assert found.shape == image.shape
        assert found.dtype == torch.float32
        assert found.min() >= 0
        assert found.max() <= 1
        assert not found[:, :10].any()
        changed += not torch.equal(found, image)
        again = augment(image, np.random.default_rng(seed))
        assert torch.equal(found, again)
    assert changed >= 9


def test_endoscopy_gets_white_highlights_and_other_colours():
    image = torch.full((3, 64, 64), 0.4)
    image[0] = 0.5
    brightest, hues = [], []
    for seed in range(40):
        found = augment_endoscopy(image, np.random.default_rng(seed))
        brightest.append(float(found.amin(dim=0).max()))
        hues.append(float((found[0] / found[2].clamp_min(1e-3)).median()))
    assert max(brightest) > 0.85
    assert np.std(hues) > 0.03


def test_grey_scans_stay_grey():
    image = torch.rand(1, 32, 32).expand(3, -1, -1)
    for seed in range(6):
        found = augment_scan(image, np.random.default_rng(seed))
        assert torch.allclose(found[0], found[1])
