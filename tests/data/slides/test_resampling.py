"""Resampling between grids: exact area means, interpolation, borders."""

import numpy as np
import pytest

from napari_segmoe.data.slides.resampling import resample


def area_means(pixels, start_yx, step_yx, shape):
    """Means over area, pixel by pixel, from integrals along both axes."""
    weights = []
    for start, step, count, length in zip(
        start_yx, step_yx, shape, pixels.shape[:2], strict=True
    ):
        edges = np.arange(length)
        low = start + np.arange(count)[:, None] * step
        share = np.minimum(low + step, edges + 1) - np.maximum(low, edges)
        weights.append(np.clip(share, 0, None) / step)
    return np.einsum("ay,bx,yxc->abc", *weights, pixels.astype(float))


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (97, 113, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("start", "step", "shape"),
    [
        ((0.0, 0.0), (2.0, 2.0), (48, 56)),
        ((1.0, 3.0), (4.0, 4.0), (24, 27)),
        ((5.0, 0.0), (8.0, 16.0), (11, 7)),
        ((0.0, 0.0), (3.0, 3.0), (32, 37)),
        ((0.25, 0.5), (2.0, 2.0), (48, 56)),
        ((0.3, 0.7), (1.37, 2.004), (70, 56)),
        ((10.0, 7.0), (1.0, 1.5), (80, 70)),
        ((0.5, 0.5), (1.0, 1.0), (96, 112)),
        ((0.0, 0.0), (97.0, 113.0), (1, 1)),
    ],
)
def test_means_over_area_are_exact(pixels, start, step, shape):
    new = resample(pixels, start_yx=start, step_yx=step, shape=shape)
    exact = area_means(pixels, start, step, shape)
    assert new.dtype == np.uint8
    assert np.abs(new - exact).max() <= 0.5 + 1e-3


def test_whole_and_general_grids_round_alike(pixels):
    whole = resample(pixels, start_yx=(0, 0), step_yx=(2, 2), shape=(40, 40))
    general = resample(pixels, start_yx=(0, 0), step_yx=(2, 2 + 1e-5), shape=(40, 40))
    far_from_half = np.abs(area_means(pixels, (0, 0), (2, 2), (40, 40)) % 1 - 0.5) > 0.1
    np.testing.assert_array_equal(whole[far_from_half], general[far_from_half])
    halves = resample(
        np.array([[0, 1]], np.uint8), start_yx=(0, 0), step_yx=(1, 2), shape=(1, 1)
    )
    assert halves.tolist() == [[1]]


def test_the_same_grid_gives_the_same_pixels(pixels):
    new = resample(pixels, start_yx=(3, 5), step_yx=(1, 1), shape=(40, 50))
    np.testing.assert_array_equal(new, pixels[3:43, 5:55])


def test_between_pixels_values_are_linear():
    ramp = np.repeat(np.arange(0, 200, 20, dtype=np.uint8)[None], 4, axis=0)
    new = resample(ramp, start_yx=(0, 1), step_yx=(0.5, 0.25), shape=(8, 30))
    # The centre of new pixel k lies at 1 + (k + 0.5) / 4 - 0.5 of the old ones.
    exact = 20 * (0.5 + (np.arange(30) + 0.5) / 4)
    assert np.abs(new - exact).max() <= 0.5 + 1e-3


def test_beyond_the_border_the_border_is_repeated(pixels):
    new = resample(pixels, start_yx=(-4, -6), step_yx=(2, 2), shape=(52, 62))
    padded = np.pad(pixels, ((4, 4), (6, 6), (0, 0)), mode="edge")
    exact = area_means(padded, (0, 0), (2, 2), (52, 62))
    inside = np.s_[:50, :59]
    assert np.abs(new[inside] - exact[inside]).max() <= 0.5 + 1e-3


def test_grey_pictures_stay_grey(pixels):
    grey = pixels[..., 0]
    for step in (2.0, 2.3, 0.7):
        new = resample(grey, start_yx=(0, 0), step_yx=(step, step), shape=(20, 21))
        full = resample(pixels, start_yx=(0, 0), step_yx=(step, step), shape=(20, 21))
        np.testing.assert_array_equal(new, full[..., 0])


def test_a_part_of_a_grid_is_the_part_of_its_result(rng):
    pixels = rng.integers(0, 256, (400, 700, 3), dtype=np.uint8)
    whole = resample(pixels, start_yx=(0.2, 0.4), step_yx=(1.7, 1.9), shape=(200, 300))
    part = resample(
        pixels, start_yx=(0.2 + 30 * 1.7, 0.4 + 50 * 1.9), step_yx=(1.7, 1.9),
        shape=(64, 90),
    )  # fmt: skip
    assert np.abs(part.astype(int) - whole[30:94, 50:140]).max() <= 1
    assert np.mean(part != whole[30:94, 50:140]) < 1e-3
