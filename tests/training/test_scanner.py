"""What slides and scanners do to tissue, in training samples."""

import numpy as np
import pytest
import torch
from skimage.color import hed2rgb, rgb2hed

from napari_segmoe.training.config import make_config
from napari_segmoe.training.run_data import load_run_data
from napari_segmoe.training.scanner import add_glass, augment_section, compress
from napari_segmoe.training.spaced_samples import draw_spaced_sample, spaced_options
from napari_segmoe.training.stain import augment_stain, mix_stains
from tests.training.tissue import touching_glands, write_folder

SIDE = 64
MAGENTA = torch.tensor([0.6, 0.2, 0.6])[:, None, None]


def _checks():
    """Return a magenta image and ids that cover all of it, 16 squares."""
    rows, columns = np.mgrid[:SIDE, :SIDE] // 16
    return MAGENTA.expand(3, SIDE, SIDE), (1 + 4 * rows + columns).astype(np.int32)


@pytest.mark.parametrize("seed", range(12))
def test_objects_end_where_glass_begins(seed):
    image, ids = _checks()
    found, kept = add_glass(image, ids, np.random.default_rng(seed))
    # Green is 0.2 in tissue and at least 0.85 in glass: half way is half glass.
    green = found[1].numpy()
    assert (green[kept == 0] > 0.5).all()
    assert (green[kept > 0] < 0.61).all()
    assert 0.25 <= (kept > 0).mean() <= 0.96
    assert np.array_equal(kept[kept > 0], ids[kept > 0])


def test_glass_is_near_white_and_at_times_sharp_and_at_times_soft():
    image, ids = _checks()
    mixed = []
    for seed in range(20):
        found, kept = add_glass(image, ids, np.random.default_rng(seed))
        farthest = found[:, kept == 0].amin(dim=0).max()
        assert farthest > 0.8
        between = (found[1] > 0.3) & (found[1] < 0.75)
        mixed.append(float(between.float().mean()))
    assert min(mixed) < 0.02 < 0.05 < max(mixed)


def test_glass_leaves_the_inputs_alone():
    image, ids = _checks()
    before = image.clone(), ids.copy()
    add_glass(image, ids, np.random.default_rng(0))
    assert torch.equal(image, before[0])
    assert np.array_equal(ids, before[1])


def _dots():
    """Return dark dots on pink, (3, 64, 64), and where they are."""
    image = torch.tensor([0.92, 0.75, 0.85])[:, None, None].repeat(1, SIDE, SIDE)
    truth = np.zeros((SIDE, SIDE), bool)
    for y, x in ((12, 12), (12, 48), (40, 30)):
        image[:, y : y + 9, x : x + 9] = torch.tensor([0.3, 0.15, 0.5])[:, None, None]
        truth[y : y + 9, x : x + 9] = True
    return image, truth


@pytest.mark.parametrize("seed", range(20))
def test_intensities_change_and_nothing_moves(seed):
    image, truth = _dots()
    found = augment_section(image, np.random.default_rng(seed))
    assert found.shape == image.shape
    assert found.min() >= 0
    assert found.max() <= 1
    dark = found.mean(dim=0).numpy()
    middle = (dark[truth].mean() + dark[~truth].mean()) / 2
    assert ((dark < middle) == truth).mean() > 0.97


def test_a_scan_keeps_its_border():
    image = torch.full((3, SIDE, SIDE), 0.7)
    for seed in range(40):
        found = augment_section(image, np.random.default_rng(seed))
        edge = torch.cat([found[:, 0], found[:, -1]], dim=1).mean()
        assert abs(float(edge - found[:, 8:-8, 8:-8].mean())) < 0.02


def test_the_same_seed_draws_the_same_scan():
    image, _ = _dots()
    one, two, other = (
        augment_section(image, np.random.default_rng(seed)) for seed in (4, 4, 5)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_a_lower_quality_changes_more():
    image, _ = _dots()
    errors = [
        float((compress(image, quality=q) - image).abs().mean()) for q in (90, 30)
    ]
    assert 0 < errors[0] < errors[1] < 0.05


@pytest.mark.parametrize("amounts", [(1.3, 1.0, 1.0), (0.8, 1.25, 1.0), (1, 1, 0.7)])
def test_stains_are_mixed_as_in_the_hed_space_of_scikit_image(rng, amounts):
    # Few of the colours that a screen shows are mixtures of three dyes: start there.
    hed = rng.uniform(0.02, 0.06, (16, 16, 3))
    image = hed2rgb(hed)
    np.testing.assert_allclose(rgb2hed(image), hed, atol=1e-6)
    expected = hed2rgb(hed * amounts)
    tensor = torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32))
    found = mix_stains(tensor, np.array(amounts))
    np.testing.assert_allclose(found.numpy().transpose(1, 2, 0), expected, atol=2e-3)


@pytest.fixture(scope="module")
def tissue(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("t") / "d", [touching_glands()] * 4)
    config = make_config(
        data=folder,
        out=folder,
        input_px=96,
        spacing_um=1.0,
        data_spacing_um=0.8,
        modality="histology",
        image_head=False,
        validation_fraction=0.3,
    )
    return config, load_run_data(config).train[0]


def test_it_is_off_unless_asked_for(tissue):
    config, _ = tissue
    options = spaced_options(config)
    assert options.augment is augment_stain
    assert (options.glass_share, options.largest_zoom) == (0.0, 1.25)
    asked = config.model_copy(update={"scanner_augmentation": True})
    assert spaced_options(asked).augment is augment_section
    assert spaced_options(asked).glass_share > 0


def test_ultrasound_never_sees_glass(tissue):
    config, _ = tissue
    changes = {"scanner_augmentation": True, "modality": "ultrasound"}
    options = spaced_options(make_config(**(config.model_dump() | changes)))
    assert options.glass_share == 0
    assert options.augment is not augment_section


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_samples_stay_aligned_and_are_functions_of_their_seed(tissue, share):
    config, source = tissue
    changed = {"scanner_augmentation": True, "prompt_share": share, "largest_zoom": 1.5}
    options = spaced_options(config.model_copy(update=changed))
    agree = []
    for seed in range(30):
        one, two = (
            draw_spaced_sample(source, np.random.default_rng(seed), options=options)
            for _ in range(2)
        )
        assert torch.equal(one.image, two.image)
        assert np.array_equal(one.truth, two.truth)
        for click in one.prompts.clicks:
            on_object = one.truth[round(click.y), round(click.x)]
            assert on_object == click.positive or not one.truth.any()
        if share or not 0.05 < one.truth.mean() < 0.95:
            continue
        grey = one.image.mean(dim=0).numpy()
        agree.append(grey[one.truth].mean() < grey[~one.truth].mean())
    assert all(agree)
    assert share or len(agree) > 10
