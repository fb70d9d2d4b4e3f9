import numpy as np
import pytest
from scipy import ndimage

from napari_segmoe.inference.merging import (
    component_under,
    merge_click,
    pull_outline,
    reach_of_pull,
)
from napari_segmoe.types import Click


def _squares(*corners, size=10, shape=(64, 64)):
    mask = np.zeros(shape, bool)
    for y, x in corners:
        mask[y : y + size, x : x + size] = True
    return mask


def test_only_the_component_under_the_point_is_taken():
    both = _squares((5, 5), (40, 40))
    assert (component_under(both, 44, 44) == _squares((40, 40))).all()


def test_a_near_component_is_taken_within_reach_only():
    mask = _squares((20, 20))
    assert component_under(mask, 25, 18, reach_px=3).any()
    assert not component_under(mask, 25, 10, reach_px=3).any()


def test_a_click_changes_only_the_difference_under_it():
    previous = _squares((5, 5))
    answer = _squares((40, 40), (50, 20))
    merged = merge_click(previous, answer, Click(44, 44))
    assert (merged == _squares((5, 5), (40, 40))).all()


def test_locked_pixels_never_change():
    locked = _squares((40, 40), size=5)
    answer = _squares((40, 40))
    merged = merge_click(np.zeros_like(answer), answer, Click(48, 48), locked=locked)
    assert not (merged & locked).any()
    assert merged[48, 48]


def _disk(y, x, radius, shape=(96, 96)):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def _overlap(a, b):
    return (a & b).sum() / (a | b).sum()


def test_a_click_in_the_middle_of_what_is_missing_moves_the_outline_past_it():
    previous, truth = _disk(48, 42, 20), _disk(48, 48, 26)
    click = Click(48, 68)  # missing there: columns 63 to 74
    merged = merge_click(previous, previous, click)
    assert merged[48, 71]
    assert not merged[48, 76]
    assert _overlap(merged, truth) > _overlap(previous, truth) + 0.05
    assert (merged[:, :40] == previous[:, :40]).all()  # nothing on the far side


def test_a_click_in_the_middle_of_what_is_too_much_moves_the_outline_back():
    previous, truth = _disk(48, 48, 26), _disk(48, 42, 20)
    merged = merge_click(previous, previous, Click(48, 68, positive=False))
    assert not merged[48, 65]
    assert merged[48, 58]
    assert _overlap(merged, truth) > _overlap(previous, truth) + 0.05


def test_a_click_that_agrees_changes_nothing():
    previous = _disk(48, 48, 20)
    assert (merge_click(previous, previous, Click(50, 50)) == previous).all()
    outside = Click(5, 5, positive=False)
    assert (merge_click(previous, previous, outside) == previous).all()


def test_a_disobedient_answer_far_away_gets_a_disk_no_larger_than_the_object():
    previous = _disk(20, 20, 6)
    merged = merge_click(previous, previous, Click(70, 70), obey_px=3)
    assert merged[70, 70]
    assert merged[70, 74]
    assert not merged[70, 78]
    assert merged[20, 20]


def test_a_click_on_the_border_or_into_an_empty_mask_is_obeyed():
    nothing = np.zeros((40, 40), bool)
    for place in ((0, 0), (39, 39), (20, 0)):
        assert merge_click(nothing, nothing, Click(*place), obey_px=3)[place]
    everything = ~nothing
    click = Click(0, 39, positive=False)
    assert not merge_click(everything, everything, click)[0, 39]


def test_the_outline_never_moves_into_locked_pixels():
    previous, locked = _disk(48, 42, 20), _disk(48, 74, 8)
    merged = merge_click(previous, previous, Click(48, 65), locked=locked)
    assert merged[48, 64]
    assert not (merged & locked).any()


def _pulled_in_the_whole_image(previous, merged, click, least_px):
    """Return what `pull_outline` says, computed over all pixels at once."""
    row, column = round(click.y), round(click.x)
    if previous[row, column] == click.positive:
        return merged
    inside = ndimage.distance_transform_edt(previous)
    outside = ndimage.distance_transform_edt(~previous)
    size = np.sqrt(max(previous.sum(), 1) / np.pi)
    found = (outside if click.positive else inside)[row, column]
    if found > size and merged[row, column] == click.positive:
        return merged
    d = max(min(found, size), least_px, 1.0)
    y, x = np.ogrid[: merged.shape[0], : merged.shape[1]]
    away = (y - click.y) ** 2 + (x - click.x) ** 2
    move = 2 * d * np.exp(-away / (4.5 * d**2))
    if click.positive:
        pulled = merged | (inside - outside + move > 0) | (away <= d**2)
    else:
        pulled = merged & (inside - outside - move > 0) & (away > d**2)
    blurred = ndimage.gaussian_filter(pulled.astype(np.float32), max(0.06 * size, 0.5))
    smoothed = np.where(away <= (3 * d) ** 2, blurred > 0.5, pulled)
    smoothed[row, column] = click.positive
    return smoothed


@pytest.mark.parametrize("seed", range(10))
def test_pulling_looks_no_further_than_it_must(seed):
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.random((2, 300, 260)), (0, 9, 9))
    previous, merged = noise > np.median(noise)
    for _ in range(6):
        y, x = rng.integers(0, (300, 260))
        click = Click(float(y), float(x), positive=bool(rng.random() < 0.5))
        least_px = float(rng.choice([0, 4, 15]))
        found = pull_outline(previous, merged, click, least_px=least_px)
        expected = _pulled_in_the_whole_image(previous, merged, click, least_px)
        assert (found == expected).all()


@pytest.mark.parametrize("seed", range(6))
def test_a_pull_ends_where_it_is_said_to(seed):
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.random((300, 260)), 12)
    previous = noise > np.median(noise)
    y, x = rng.integers(0, (300, 260))
    click = Click(float(y), float(x), positive=not previous[y, x])
    reach = reach_of_pull(previous, click.y, click.x, least_px=5)
    changed = np.argwhere(
        pull_outline(previous, previous, click, least_px=5) != previous
    )
    assert len(changed)
    assert np.abs(changed - (y, x)).max() <= reach


def test_a_click_where_nothing_was_moves_no_distant_pixel():
    nothing = np.zeros((200, 200), bool)
    click = Click(4.0, 4.0)
    found = pull_outline(nothing, nothing, click, least_px=6)
    assert found[4, 4]
    rows, columns = np.nonzero(found)
    assert np.hypot(rows - 4, columns - 4).max() < 25


def test_a_small_object_does_not_leap_past_its_outline():
    """A nucleus of radius 7 doubled with each correction beside it before."""
    y, x = np.ogrid[:64, :64]
    nucleus = (y - 32) ** 2 + (x - 32) ** 2 <= 49
    beside = Click(32.0, 40.0)
    grown = pull_outline(nucleus, nucleus, beside, least_px=5.0)
    assert grown[32, 40]
    assert nucleus.sum() < grown.sum() < 1.3 * nucleus.sum()
