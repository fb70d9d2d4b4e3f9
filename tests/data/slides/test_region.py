"""Regions of slides: coordinates, the level that is read, what comes back."""

import pickle

import numpy as np
import pytest

from napari_segmoe.data.slides.opening import open_slide
from napari_segmoe.data.slides.region import (
    SlideRegion,
    level_for,
    read_area,
    region_at,
)
from napari_segmoe.data.slides.source import SlideLevel
from tests.data.slides.made_slides import tissue
from tests.data.slides.made_tiffs import pyramid_of, write_subifds
from tests.data.slides.test_resampling import area_means

MICRONS = {
    "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm",
    "PhysicalSizeY": 0.25, "PhysicalSizeYUnit": "µm",
}  # fmt: skip


class Levels:
    """A slide of which only the levels are asked."""

    def __init__(self, *downsamples):
        self.levels = tuple(
            SlideLevel((int(8000 / down), int(8000 / down)), (down, down))
            for down in downsamples
        )


class Recording:
    """A slide that notes what is read of it."""

    def __init__(self, source):
        self.source, self.boxes = source, []
        self.levels, self.path = source.levels, source.path

    def read(self, level, box):
        self.boxes.append((level, box))
        return self.source.read(level, box)


@pytest.fixture
def slide(tmp_path):
    levels = pyramid_of(tissue(800, 1000), 3)
    path = write_subifds(
        tmp_path / "a.ome.tif", levels, metadata=MICRONS, tile=(64, 64),
        photometric="rgb",
    )  # fmt: skip
    return open_slide(path), levels


@pytest.mark.parametrize("point", [(0.0, 0.0), (17.25, 3.0), (-4.0, 512.5)])
def test_points_come_back_from_the_slide(tmp_path, point):
    region = SlideRegion(tmp_path, (100.0, 37.5), (2.5, 4.0), (64, 64))
    assert region.from_slide(*region.to_slide(*point)) == pytest.approx(point)


def test_corners_of_region_and_slide_meet(tmp_path):
    region = SlideRegion(tmp_path, (100.0, 40.0), (2.0, 4.0), (64, 32))
    assert region.box == (100.0, 40.0, 228.0, 168.0)
    # Pixel centres are whole: pixel 0 covers level-0 pixels 100 and 101.
    assert region.to_slide(0, 0) == (100.5, 41.5)
    assert region.to_slide(-0.5, -0.5) == (99.5, 39.5)
    assert region.to_slide(63.5, 31.5) == (227.5, 167.5)


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0.5, 0), (1.0, 0), (1.9, 0), (1.99, 1), (2.0, 1), (3.9, 1), (8.0, 3), (99.0, 3)],
)
def test_the_coarsest_level_that_is_fine_enough_is_read(step, expected):
    assert level_for(Levels(1.0, 2.0, 4.0, 8.0), step) == expected


def test_a_region_has_the_pixel_size_asked_for(slide):
    source, _ = slide
    region = region_at(
        source, (100, 200, 500, 600), spacing_um=1.0, slide_spacing_um=source.spacing_um
    )
    assert region.step_yx == (4.0, 4.0)
    assert region.shape == (100, 100)
    assert region.origin_yx == (100, 200)


def test_a_region_is_cut_to_the_slide(slide):
    source, _ = slide
    region = region_at(
        source, (-50, 900, 300, 2000), spacing_um=0.5, slide_spacing_um=(0.25, 0.125)
    )
    assert region.box == (0.0, 900.0, 300.0, 1000.0)
    assert region.step_yx == (2.0, 4.0)
    assert region.shape == (150, 25)


@pytest.mark.parametrize(("spacing", "own"), [(None, (0.25, 0.25)), (1.0, None)])
def test_without_a_pixel_size_a_region_has_level_0_pixels(slide, spacing, own):
    region = region_at(
        slide[0], (0, 0, 50, 60), spacing_um=spacing, slide_spacing_um=own
    )
    assert region.step_yx == (1.0, 1.0)
    assert region.shape == (50, 60)


def test_at_level_0_a_region_is_the_slide(slide):
    source, levels = slide
    region = SlideRegion(source.path, (30.0, 50.0), (1.0, 1.0), (200, 300))
    np.testing.assert_array_equal(
        region.read((10, 20, 110, 170)), levels[0][40:140, 70:220]
    )


def test_a_region_at_a_levels_step_is_that_level(slide):
    source, levels = slide
    region = SlideRegion(source.path, (40.0, 80.0), (4.0, 4.0), (150, 180))
    np.testing.assert_array_equal(
        region.read((0, 0, 150, 180)), levels[2][10:160, 20:200]
    )


def test_between_levels_pixels_are_means_over_area_of_the_finer_one(slide):
    source, levels = slide
    recording = Recording(source)
    pixels = read_area(
        recording, start_yx=(33.3, 51.7), step_yx=(3.1, 3.1), shape=(90, 100)
    )
    assert [level for level, _ in recording.boxes] == [1]
    exact = area_means(levels[1], (33.3 / 2, 51.7 / 2), (1.55, 1.55), (90, 100))
    assert np.abs(pixels - exact).max() <= 0.5 + 1e-2


def test_no_more_is_read_than_the_box_needs(slide):
    recording = Recording(slide[0])
    read_area(recording, start_yx=(40.0, 80.0), step_yx=(4.0, 4.0), shape=(32, 64))
    assert recording.boxes == [(2, (10, 20, 42, 84))]


@pytest.mark.parametrize("step", [0.7, 1.0, 1.6, 2.0, 2.9, 4.0, 5.3])
def test_a_pixel_is_the_same_whatever_box_it_is_read_in(slide, step, rng):
    source, _ = slide
    side = int(600 / step)
    region = SlideRegion(source.path, (101.3, 77.9), (step, step), (side, side))
    whole = region.read((0, 0, side, side)).astype(int)
    for _ in range(8):
        y0, x0 = (int(v) for v in rng.integers(0, side - 20, 2))
        y1, x1 = y0 + int(rng.integers(1, 20)), x0 + int(rng.integers(1, 20))
        part = region.read((y0, x0, y1, x1))
        assert np.abs(part - whole[y0:y1, x0:x1]).max() <= 1


def test_beyond_a_region_the_slide_goes_on_and_beyond_the_slide_all_is_white(slide):
    source, levels = slide
    region = SlideRegion(source.path, (0.0, 400.0), (2.0, 2.0), (100, 100))
    read = region.read((-20, -30, 130, 150))
    np.testing.assert_array_equal(read[:20], 255)
    np.testing.assert_array_equal(read[20:], levels[1][:130, 170:350])


def test_a_box_is_brought_to_the_shape_asked_for(slide):
    source, levels = slide
    region = SlideRegion(source.path, (0.0, 0.0), (1.0, 1.0), (800, 1000))
    np.testing.assert_array_equal(
        region.read((0, 0, 400, 800), (100, 200)), levels[2][:100, :200]
    )


def test_a_region_is_small_when_it_travels_and_reads_alike(slide):
    region = SlideRegion(slide[0].path, (10.0, 20.0), (2.0, 2.0), (100, 100))
    packed = pickle.dumps(region)
    assert len(packed) < 1000
    box = (0, 0, 50, 50)
    np.testing.assert_array_equal(pickle.loads(packed).read(box), region.read(box))


def test_the_same_tissue_from_other_levels_looks_alike(slide):
    """At one pixel size, level 0 alone and the pyramid agree but for rounding."""
    source, levels = slide
    alone = levels[0][:768, :768].reshape(192, 4, 192, 4, 3).mean((1, 3))
    read = SlideRegion(source.path, (0.0, 0.0), (4.0, 4.0), (192, 192)).read(
        (0, 0, 192, 192)
    )
    assert np.abs(read - alone).max() <= 1.5
