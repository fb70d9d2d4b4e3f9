"""Crops around corrections: at the weights' pixel size, or the whole image."""

import numpy as np
import pytest

from napari_segmoe.models.card import WeightsCard
from napari_segmoe.training.finetune.views import (
    Correction,
    draw_partial,
    make_source,
    plain_view,
    sight_of,
    with_ids,
)
from napari_segmoe.types import Modality


def make_card(**values):
    return WeightsCard(name="x", model="x", input_px=64, **values)


def make_disc(side, radius):
    rows, columns = np.ogrid[:side, :side]
    middle = (side - 1) / 2
    ids = np.full((side, side), -1, np.int32)
    away = (rows - middle) ** 2 + (columns - middle) ** 2
    ids[away < (radius * 1.4) ** 2] = 0
    ids[away < radius**2] = 4
    pixels = np.where(ids == 4, 200, 40).astype(np.uint8)
    return np.repeat(pixels[..., None], 3, axis=2), ids


def make_correction(sight, *, side, radius, spacing=None):
    pixels, ids = make_disc(side, radius)
    source = make_source("a", pixels, sight, sight.pixel_um(spacing))
    source = with_ids(source, ids, {4: 1})
    return Correction(source, source.objects[0], 0.8)


@pytest.mark.parametrize("pixel_um", [0.25, 0.5, 1.0])
def test_an_object_has_the_same_size_at_any_pixel_size_of_the_file(pixel_um):
    sight = sight_of(make_card(spacing_um=1.0, modality=Modality.HISTOLOGY))
    side, radius = round(100 / pixel_um), 12 / pixel_um
    one = make_correction(sight, side=side, radius=radius, spacing=(pixel_um, pixel_um))
    image, ids = plain_view(one.source, one.box.centre_yx, sight)
    assert image.shape == (3, 64, 64)
    assert (ids == 4).sum() == pytest.approx(np.pi * 12**2, rel=0.05)
    assert image[0][ids == 4].mean() > 0.7


def test_images_without_pixel_size_are_seen_whole():
    sight = sight_of(make_card())
    one = make_correction(sight, side=200, radius=40)
    _, ids = plain_view(one.source, (0.0, 0.0), sight)
    assert (ids == 4).mean() == pytest.approx(np.pi * 40**2 / 200**2, rel=0.05)


def test_an_image_that_states_no_pixel_size_has_the_assumed_one():
    sight = sight_of(make_card(spacing_um=1.0, assumed_spacing_um=0.5))
    assert sight.pixel_um(None) == 0.5
    assert sight.pixel_um((0.2, 0.8)) == pytest.approx(0.4)


@pytest.mark.parametrize("spacing", [None, 1.0])
def test_without_a_prompt_the_unknown_stays_unknown(spacing, rng):
    sight = sight_of(make_card(spacing_um=spacing))
    one = make_correction(sight, side=120, radius=15, spacing=(1.0, 1.0))
    for _ in range(10):
        drawn = draw_partial([one], rng, sight=sight, prompted=False)
        assert set(np.unique(drawn.ids)) <= {-1, 0, 4}
        assert (drawn.ids == 4).any()
        assert (drawn.ids == -1).any()
        assert not drawn.prompts
        assert drawn.weight == 0.8


@pytest.mark.parametrize("spacing", [None, 1.0])
def test_a_click_asks_for_its_object_and_all_else_is_background(spacing, rng):
    sight = sight_of(make_card(spacing_um=spacing))
    one = make_correction(sight, side=120, radius=15, spacing=(1.0, 1.0))
    asked = [draw_partial([one], rng, sight=sight, prompted=True) for _ in range(20)]
    assert all(drawn.prompts for drawn in asked)
    assert all((drawn.ids >= 0).all() for drawn in asked)
    assert any(drawn.previous is not None for drawn in asked)
    for drawn in asked:
        for click in drawn.prompts.clicks[:1]:
            if drawn.previous is None and click.positive:
                y, x = round(click.y), round(click.x)
                near = drawn.ids[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
                assert near.any()


def test_the_same_seed_draws_the_same_crop():
    sight = sight_of(make_card(spacing_um=1.0))
    one = make_correction(sight, side=120, radius=15, spacing=(1.0, 1.0))
    first, second = (
        draw_partial([one], np.random.default_rng(3), sight=sight, prompted=True)
        for _ in range(2)
    )
    assert (first.image == second.image).all()
    assert np.array_equal(first.ids, second.ids)
    assert first.prompts == second.prompts
