"""The simulated clicker."""

import numpy as np
import pytest

from napari_segmoe.data.click_simulation import (
    background_click,
    border_click,
    distance_inside,
    first_clicks,
    next_click,
    simulate_stroke,
)


@pytest.fixture
def lesion():
    mask = np.zeros((64, 64), bool)
    mask[20:41, 10:31] = True
    return mask


def test_first_click_is_the_middle_of_the_lesion(lesion):
    click = next_click(np.zeros_like(lesion), lesion)
    assert (click.y, click.x, click.positive) == (30, 20, True)


def test_click_goes_to_the_deeper_error_and_is_negative_there(lesion):
    predicted = lesion.copy()
    predicted[20:22, 10:31] = False  # a thin miss
    predicted[44:53, 40:49] = True  # a thick excess
    click = next_click(predicted, lesion)
    assert (click.y, click.x, click.positive) == (48, 44, False)


def test_no_click_where_the_prediction_is_perfect(lesion):
    assert next_click(lesion, lesion) is None
    assert border_click(lesion, lesion, np.random.default_rng(0)) is None


def test_no_click_falls_on_unknown_pixels(lesion):
    known = np.ones_like(lesion)
    known[:, :25] = False
    click = next_click(np.zeros_like(lesion), lesion, known=known)
    assert click.x >= 25


def test_image_border_counts_as_an_edge():
    mask = np.ones((11, 11), bool)
    click = next_click(np.zeros_like(mask), mask)
    assert (click.y, click.x) == (5, 5)


def test_noisy_click_repeats_with_its_seed_and_stays_deep(lesion):
    empty = np.zeros_like(lesion)
    depth = distance_inside(lesion)
    clicks = [next_click(empty, lesion, rng=np.random.default_rng(s)) for s in range(9)]
    again = [next_click(empty, lesion, rng=np.random.default_rng(s)) for s in range(9)]
    assert clicks == again
    assert len(set(clicks)) > 1
    assert all(depth[int(c.y), int(c.x)] > depth.max() / 2 for c in clicks)


def test_border_click_lies_at_the_rim(lesion):
    click = border_click(np.zeros_like(lesion), lesion, np.random.default_rng(1))
    assert 0 < distance_inside(lesion)[int(click.y), int(click.x)] <= 2


def test_shapes_must_agree(lesion):
    with pytest.raises(ValueError, match="must be equal"):
        next_click(lesion[:10], lesion)


@pytest.mark.parametrize("seed", range(20))
def test_opening_clicks_lie_on_their_side(lesion, seed):
    clicks = first_clicks(lesion, np.random.default_rng(seed))
    assert clicks[0].positive
    assert all(lesion[int(c.y), int(c.x)] == c.positive for c in clicks)


def test_an_empty_truth_gets_no_opening_clicks_and_no_stroke(lesion):
    empty = np.zeros_like(lesion)
    rng = np.random.default_rng(0)
    assert first_clicks(empty, rng) == ()
    assert simulate_stroke(empty, rng) is None


def test_background_click_keeps_its_distance(lesion):
    rng = np.random.default_rng(0)
    for _ in range(30):
        click = background_click(lesion, rng, min_distance_px=12)
        gap_y = max(20 - click.y, click.y - 40, 0)
        gap_x = max(10 - click.x, click.x - 30, 0)
        assert np.hypot(gap_y, gap_x) >= 12
        assert click.positive


def test_background_click_stays_on_the_tissue(lesion):
    tissue = np.zeros_like(lesion)
    tissue[60:, 60:] = True
    click = background_click(lesion, np.random.default_rng(0), allowed=tissue)
    assert click.y >= 60
    assert click.x >= 60


def test_no_background_click_where_everything_is_lesion():
    mask = np.ones((16, 16), bool)
    assert background_click(mask, np.random.default_rng(0)) is None


@pytest.mark.parametrize("seed", range(10))
def test_stroke_stays_inside_and_has_length(lesion, seed):
    stroke = simulate_stroke(lesion, np.random.default_rng(seed))
    points = np.asarray(stroke.points)
    assert len(points) >= 2
    assert all(lesion[round(y), round(x)] for y, x in stroke.points)
    assert np.hypot(*np.diff(points, axis=0).T).sum() >= 5


def test_depth_of_a_single_pixel_is_one():
    mask = np.zeros((5, 5), bool)
    mask[2, 2] = True
    assert distance_inside(mask)[2, 2] == 1
    assert distance_inside(mask).sum() == 1
