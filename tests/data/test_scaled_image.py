"""Images at another pixel size: which pixels are read, and where points lie."""

import pickle

import numpy as np
import pytest

from napari_segmoe.data.scaled_image import ScaledImage, check_spacing, scale_to
from napari_segmoe.data.slides.resampling import resample
from napari_segmoe.errors import ImageReadError
from napari_segmoe.types import Box, Click, Prompts, Stroke


class CountingSource:
    """A smooth image without end, which remembers what was read."""

    def __init__(self, shape):
        self.shape = shape
        self.read_pixels = 0

    def read(self, box, shape=None):
        y0, x0, y1, x1 = box
        height, width = shape or (y1 - y0, x1 - x0)
        self.read_pixels += height * width
        y = y0 + (np.arange(height) + 0.5) * (y1 - y0) / height
        x = x0 + (np.arange(width) + 0.5) * (x1 - x0) / width
        grey = (y[:, None] + x[None, :]) % 4096 / 16
        return np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=2)


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)


def test_the_same_pixel_size_gives_the_same_pixels(pixels):
    same = scale_to(pixels, (0.5, 0.5), wanted_um=0.5)
    assert same.is_same_grid
    assert same.shape == (60, 80)
    assert (same.read((10, 20, 30, 50)) == pixels[10:30, 20:50]).all()


def test_sizes_apart_along_each_axis(pixels):
    scaled = scale_to(pixels, (0.5, 0.25), wanted_um=1.0)
    assert scaled.step_yx == (2.0, 4.0)
    assert scaled.shape == (30, 20)
    means = pixels.reshape(30, 2, 20, 4, 3).mean((1, 3))
    assert np.abs(scaled.read((0, 0, 30, 20)) - means).max() <= 0.5


def test_a_window_is_the_part_of_the_whole(pixels):
    scaled = scale_to(pixels, (0.62, 0.62), wanted_um=1.0)
    whole = scaled.read((0, 0, *scaled.shape)).astype(int)
    part = scaled.read((7, 11, 30, 40)).astype(int)
    assert np.abs(part - whole[7:30, 11:40]).max() <= 1


def test_beyond_the_border_an_array_is_mirrored(pixels):
    same = ScaledImage(pixels, (1.0, 1.0))
    wide = same.read((-60, -80, 120, 160))
    assert (wide[60:120, 80:160] == pixels).all()
    assert (wide[:60, 80:160] == pixels[::-1]).all()
    assert (wide[60:120, :80] == pixels[:, ::-1]).all()
    tiny = ScaledImage(pixels[:3, :2], (1.0, 1.0))
    assert tiny.read((-50, -50, 50, 50)).shape == (100, 100, 3)


def test_grey_images_get_three_channels():
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert (ScaledImage(grey, (1.0, 1.0)).read((0, 0, 8, 8))[..., 2] == grey).all()


def test_finer_pixels_are_interpolated_alike_in_any_window(pixels):
    finer = scale_to(pixels, (2.0, 2.0), wanted_um=1.0)
    assert finer.shape == (120, 160)
    whole = finer.read((0, 0, 120, 160)).astype(int)
    part = finer.read((33, 41, 60, 90)).astype(int)
    assert np.abs(part - whole[33:60, 41:90]).max() <= 1


def test_an_overview_of_a_source_reads_little():
    source = CountingSource((40_000, 30_000))
    scaled = scale_to(source, (0.25, 0.25), wanted_um=1.0)
    assert scaled.shape == (10_000, 7_500)
    assert scaled.read((0, 0, 10_000, 7_500), (64, 64)).shape == (64, 64, 3)
    assert source.read_pixels < 100**2
    scaled.read((100, 100, 356, 356))
    assert source.read_pixels < 100**2 + 300**2


def test_a_source_and_its_array_look_alike():
    source = CountingSource((400, 300))
    array = source.read((0, 0, 400, 300))
    for um in (0.5, 1.0, 1.7):
        lazy = scale_to(source, (0.62, 0.62), wanted_um=um).read((20, 30, 84, 94))
        eager = scale_to(array, (0.62, 0.62), wanted_um=um).read((20, 30, 84, 94))
        assert np.abs(lazy.astype(int) - eager).max() <= 2


def test_points_boxes_and_strokes_keep_their_place(pixels):
    scaled = ScaledImage(pixels, (2.0, 4.0))
    prompts = Prompts(
        clicks=(Click(0.5, 1.5), Click(59.5 - 0.001, 3.0, positive=False)),
        box=Box(10, 20, 30, 40),
        strokes=(Stroke(((0.5, 1.5), (2.5, 5.5))),),
    )
    found = scaled.prompts_to_scaled(prompts)
    assert (found.clicks[0].y, found.clicks[0].x) == (0, 0)
    assert found.clicks[1].y < 29.5
    assert not found.clicks[1].positive
    assert found.box == Box(5, 5, 15, 10)
    assert found.strokes[0].points == ((0, 0), (1, 1))


def test_it_can_be_sent_to_another_process(pixels):
    scaled = scale_to(pixels, (0.62, 0.62), wanted_um=1.0)
    again = pickle.loads(pickle.dumps(scaled))
    assert (again.read((0, 0, 9, 9)) == scaled.read((0, 0, 9, 9))).all()


@pytest.mark.parametrize("spacing", [(0, 1), (1, -2), (1001, 1), (float("nan"), 1)])
def test_sizes_that_nothing_has_are_one_sentence(spacing):
    with pytest.raises(ImageReadError, match="cannot be"):
        check_spacing(spacing)


def test_no_size_and_usual_sizes_are_fine():
    check_spacing(None)
    check_spacing((0.25, 0.25))
    check_spacing((1000, 50))


def test_scaling_agrees_with_resampling_the_whole(pixels):
    scaled = scale_to(pixels, (0.5, 0.5), wanted_um=0.8)
    whole = resample(pixels, start_yx=(0, 0), step_yx=(1.6, 1.6), shape=(37, 50))
    assert np.abs(scaled.read((0, 0, 37, 50)).astype(int) - whole).max() <= 1
