import numpy as np
import pytest

from napari_segmoe.training.config import make_config
from napari_segmoe.training.run_data import load_run_data
from napari_segmoe.training.spaced_samples import (
    draw_spaced_sample,
    object_at,
    plain_crop,
    spaced_options,
)
from tests.training.tissue import touching_glands, write_folder

SIDE = 96


def _config(folder, **changes):
    values = {
        "data": folder,
        "out": folder,
        "input_px": SIDE,
        "spacing_um": 1.0,
        "data_spacing_um": 0.8,
        "modality": "histology",
        "image_head": False,
        "validation_fraction": 0.3,
    }
    return make_config(**(values | changes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("tissue") / "d"
    return write_folder(root, [touching_glands()] * 4)


@pytest.fixture(scope="module")
def source(folder):
    return load_run_data(_config(folder)).train[0]


def _draw(source, folder, seed, *, prompts, background=0.0):
    config = _config(folder, prompt_share=prompts, background_share=background)
    return draw_spaced_sample(
        source, np.random.default_rng(seed), options=spaced_options(config)
    )


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_sample_is_a_function_of_seed_epoch_and_index(source, folder, share):
    for seed in ([0, 1, 2], [0, 2, 2]):
        one, two = (_draw(source, folder, seed, prompts=share) for _ in range(2))
        assert (one.image == two.image).all()
        assert (one.truth == two.truth).all()
        assert (one.maps() == two.maps()).all()
    other = _draw(source, folder, [0, 1, 3], prompts=share)
    assert not (one.image == other.image).all()


@pytest.mark.parametrize("seed", range(8))
def test_an_automatic_sample_asks_for_all_and_keeps_ids(source, folder, seed):
    sample = _draw(source, folder, seed, prompts=0.0)
    assert not sample.prompts
    assert sample.image.shape == (3, SIDE, SIDE)
    assert ((sample.ids > 0) == sample.truth).all()
    assert set(np.unique(sample.ids)) <= {0, 1, 2, 3, 4}
    if sample.pooled is not None:
        assert len(np.unique(sample.ids[sample.pooled])) == 1
        assert sample.object_class == source.object_class
    else:
        assert sample.object_class == -1


@pytest.mark.parametrize("seed", range(40))
def test_a_prompt_asks_for_one_gland_alone(source, folder, seed):
    sample = _draw(source, folder, seed, prompts=1.0)
    assert sample.prompts
    assert sample.ids is None
    assert sample.truth.sum() >= 20
    assert sample.truth.sum() < 50 * 60 / 0.8 * 1.3  # never both that touch
    for click in sample.prompts.clicks:
        if sample.previous is None:
            row, column = round(click.y), round(click.x)
            assert sample.truth[row, column] == click.positive
    assert sample.object_class == source.object_class


def test_clicks_need_not_be_in_the_middle_and_all_prompts_occur(source, folder):
    samples = [_draw(source, folder, seed, prompts=1.0) for seed in range(60)]
    away = [
        max(abs(click.y - SIDE / 2), abs(click.x - SIDE / 2))
        for sample in samples
        for click in sample.prompts.clicks[:1]
    ]
    assert max(away) > 15
    assert np.median(away) < 20
    assert any(sample.prompts.box for sample in samples)
    assert any(sample.prompts.strokes for sample in samples)
    assert any(sample.previous is not None for sample in samples)


@pytest.mark.parametrize("seed", range(6))
def test_a_background_click_asks_for_nothing_and_no_class(source, folder, seed):
    sample = _draw(source, folder, seed, prompts=1.0, background=1.0)
    if not sample.prompts:  # no background was within reach
        return
    assert sample.prompts.clicks[0].positive
    assert not sample.truth.any()
    assert sample.object_class == -1


def test_beyond_the_border_the_image_is_mirrored(source):
    """Gland 4 lies at the lower border: its mirror image makes it twice as high."""
    image, ids = plain_crop(
        source, centre_yx=(199.5, 180), output_px=SIDE, spacing_um=0.8
    )
    assert (ids == ids[::-1]).all()
    assert (image - image.flip(1)).abs().max() < 1e-5
    assert (ids == 4).any(axis=1).sum() == 60


def test_a_mirrored_copy_is_not_the_object():
    ids = np.zeros((20, 20), np.int32)
    ids[2:8, 2:8] = 7
    ids[12:18, 2:8] = 7
    found = object_at(ids, 7, (14, 4))
    assert found[12:18, 2:8].all()
    assert found.sum() == 36
    assert not object_at(ids, 3, (14, 4)).any()


def test_ultrasound_at_a_pixel_size_never_turns_upside_down(folder):
    options = spaced_options(_config(folder, modality="ultrasound"))
    assert options.strength.rotation_deg < 45
    assert options.augment.__name__ == "augment_intensity"
    assert spaced_options(_config(folder)).strength.rotation_deg == 180
