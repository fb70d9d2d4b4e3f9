import numpy as np
import pytest

from napari_segmoe.training.config import make_config
from napari_segmoe.training.run_data import load_run_data
from napari_segmoe.training.samples import SampleOptions, draw_sample, plain_sample


@pytest.fixture(scope="module")
def data(tiny_folder, tmp_path_factory):
    config = make_config(
        data=tiny_folder,
        out=tmp_path_factory.mktemp("out"),
        empty_class="normal",
        validation_fraction=0.3,
    )
    return load_run_data(config)


def _draw(source, seed, *, prompts, background=0.0):
    options = SampleOptions(
        output_px=64, prompt_share=prompts, background_share=background
    )
    return draw_sample(source, np.random.default_rng(seed), options=options)


def _with_lesion(data):
    return next(source for source in data.train if source.objects)


def test_no_group_is_trained_and_validated_on(data):
    assert not {s.name for s in data.train} & {s.name for s in data.validation}
    assert data.object_classes == ("benign", "malignant")


def test_a_sample_without_prompt_asks_for_everything(data):
    source = _with_lesion(data)
    sample = _draw(source, 1, prompts=0.0)
    assert not sample.prompts
    assert not sample.maps().any()
    assert sample.truth.any()
    assert sample.image.shape == (3, 64, 64)


@pytest.mark.parametrize("seed", range(12))
def test_a_positive_click_lies_on_what_is_asked_for(data, seed):
    sample = _draw(_with_lesion(data), seed, prompts=1.0)
    assert sample.prompts
    for click in sample.prompts.clicks:
        if click.positive and sample.previous is None:
            assert sample.truth[round(click.y), round(click.x)]


def test_a_background_click_asks_for_an_empty_mask_and_no_class(data):
    sample = _draw(_with_lesion(data), 0, prompts=1.0, background=1.0)
    assert sample.prompts.clicks[0].positive
    assert not sample.truth.any()
    assert (sample.image_class, sample.object_class) == (-1, -1)


def test_the_same_seed_draws_the_same_sample(data):
    one, two = (_draw(_with_lesion(data), 5, prompts=0.5) for _ in range(2))
    assert (one.image == two.image).all()
    assert (one.maps() == two.maps()).all()


def test_after_an_answer_the_next_click_falls_on_the_error(data):
    sample = plain_sample(_with_lesion(data), output_px=64)
    nothing = np.zeros(sample.truth.shape, np.float32)
    after = sample.answered(nothing, np.random.default_rng(0))
    click = after.prompts.clicks[-1]
    assert click.positive
    assert sample.truth[round(click.y), round(click.x)]
    perfect = sample.truth.astype(np.float32)
    assert sample.answered(perfect, np.random.default_rng(0)) is sample
