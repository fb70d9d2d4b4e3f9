"""Slides that OpenSlide reads, against OpenSlide's and tifffile's own values."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from napari_segmoe.data.slides.colour import to_srgb
from napari_segmoe.data.slides.opening import open_slide
from napari_segmoe.data.slides.openslide_source import open_with_openslide
from napari_segmoe.errors import SlideError
from tests.data.slides.made_slides import copy_writable, swapped_profile, tissue
from tests.data.slides.made_tiffs import (
    damage,
    outside_is_white,
    pyramid_of,
    write_leica,
    write_pages,
)

SVS = ["CMU-1-Small-Region.svs", "TCGA-CR-7395-01A-01-TS1.svs"]
TILED = {"tile": (64, 64), "photometric": "rgb"}


def _boxes(rng, shape, count=6, side=300):
    for _ in range(count):
        y, x = (int(rng.integers(0, length - side)) for length in shape)
        yield y, x, y + int(rng.integers(1, side)), x + int(rng.integers(1, side))


@pytest.fixture
def two_levels(tmp_path):
    """A generic TIFF whose second level is half as large, to the pixel."""
    levels = pyramid_of(tissue(320, 448), 2)
    path = write_pages(
        tmp_path / "a.tif", levels, **TILED, resolution=(20_000, 25_000),
        resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path, levels


@pytest.mark.parametrize("name", SVS)
def test_sizes_and_spacing_are_openslides_own(wsi_samples, name):
    source = open_with_openslide(wsi_samples / name)
    with openslide.OpenSlide(wsi_samples / name) as slide:
        sizes = [(h, w) for w, h in slide.level_dimensions]
        assert [level.shape for level in source.levels] == sizes
        downs = [level.downsample_yx for level in source.levels]
        expected = [(d, d) for d in slide.level_downsamples]
        np.testing.assert_allclose(downs, expected, rtol=1e-3)
        mpp = [slide.properties.get(f"openslide.mpp-{axis}") for axis in "yx"]
    expected_um = None if None in mpp else tuple(float(value) for value in mpp)
    assert source.spacing_um == expected_um
    assert source.origin_yx == (0, 0)
    assert source.backend == f"OpenSlide {openslide.__library_version__}"


@pytest.mark.parametrize("name", SVS)
def test_level_0_is_what_tifffile_decodes(wsi_samples, name, rng):
    source = open_with_openslide(wsi_samples / name)
    pixels = tifffile.imread(wsi_samples / name, level=0)
    for y0, x0, y1, x1 in _boxes(rng, pixels.shape[:2]):
        read = source.read(0, (y0, x0, y1, x1))
        np.testing.assert_array_equal(read, pixels[y0:y1, x0:x1])


def test_a_level_of_a_step_that_is_not_whole_is_the_same_whatever_box(wsi_samples, rng):
    source = open_with_openslide(wsi_samples / SVS[1])
    pixels = tifffile.imread(wsi_samples / SVS[1], level=1).astype(int)
    whole = source.read(1, (0, 0, *source.levels[1].shape))
    # OpenSlide's level-0 locations lie up to a quarter of its pixels beside them.
    assert np.abs(whole.astype(int) - pixels).mean() < 5
    assert source.levels[1].downsample_yx == (2.0, 2.0)
    for y0, x0, y1, x1 in _boxes(rng, pixels.shape[:2]):
        fresh = open_with_openslide(wsi_samples / SVS[1])
        np.testing.assert_array_equal(
            fresh.read(1, (y0, x0, y1, x1)), whole[y0:y1, x0:x1]
        )


def test_every_level_is_where_openslide_has_it(two_levels, rng):
    path, levels = two_levels
    source = open_with_openslide(path)
    with openslide.OpenSlide(path) as slide:
        for number, level in enumerate(levels):
            for y0, x0, y1, x1 in _boxes(rng, level.shape[:2], side=100):
                down = 2**number
                own = slide.read_region(
                    (x0 * down, y0 * down), number, (x1 - x0, y1 - y0)
                )
                read = source.read(number, (y0, x0, y1, x1))
                np.testing.assert_array_equal(read, np.asarray(own.convert("RGB")))
                np.testing.assert_array_equal(read, level[y0:y1, x0:x1])


def test_outside_is_white(two_levels):
    path, levels = two_levels
    source = open_with_openslide(path)
    for number, level in enumerate(levels):
        inside = outside_is_white(
            lambda box, number=number: source.read(number, box), level.shape[:2]
        )
        np.testing.assert_array_equal(inside, level)
    assert (source.read(0, (-50, -50, -10, -10)) == 255).all()
    assert source.read(0, (5, 5, 5, 9)).shape == (0, 4, 3)


def test_the_frame_begins_at_the_bounds(tmp_path):
    path = tmp_path / "a.scn"
    levels = write_leica(
        path, tissue(300, 421), origin_yx=(100, 151), collection_yx=(1200, 1000)
    )
    source = open_with_openslide(path)
    assert source.metadata["vendor"] == "leica"
    assert source.origin_yx == (100, 151)
    assert [level.shape for level in source.levels] == [(300, 421), (150, 210)]
    for number, level in enumerate(levels):
        inside = outside_is_white(
            lambda box, number=number: source.read(number, box),
            source.levels[number].shape,
        )
        np.testing.assert_allclose(inside, level[: inside.shape[0]], atol=1)
    assert any("20x" in note for note in source.notes)


def test_bounds_beyond_the_slide_are_told_and_left(two_levels, monkeypatch):
    class Odd(openslide.OpenSlide):
        @property
        def properties(self):
            numbers = {"x": "9", "y": "9", "width": "448", "height": "320"}
            bounds = {f"openslide.bounds-{name}": n for name, n in numbers.items()}
            return dict(super().properties) | bounds

    monkeypatch.setattr(openslide, "OpenSlide", Odd)
    source = open_with_openslide(two_levels[0])
    assert source.origin_yx == (0, 0)
    assert source.levels[0].shape == (320, 448)
    assert any("bounds" in note for note in source.notes)


def test_pixel_height_and_width_are_kept_apart(two_levels):
    # tifffile's resolution is (x, y): 20 000 and 25 000 pixels a centimetre.
    assert open_with_openslide(two_levels[0]).spacing_um == pytest.approx((0.4, 0.5))


@pytest.mark.parametrize(
    ("resolution", "unit"),
    [
        ((72, 72), "INCH"),
        ((300, 300), "INCH"),
        ((50, 50), "CENTIMETER"),
        ((20_000_000, 20_000_000), "CENTIMETER"),
        ((20_000, 2_000), "CENTIMETER"),
        ((20_000, 20_000), "NONE"),
    ],
)
def test_absurd_and_placeholder_resolutions_are_no_spacing(tmp_path, resolution, unit):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, tissue(), **TILED, resolution=resolution, resolutionunit=unit
    )
    source = open_with_openslide(path)
    assert source.spacing_um is None
    assert any("pixel" in note for note in source.notes)


def test_colours_follow_the_profile_in_the_file(tmp_path):
    profile, pixels = swapped_profile(), tissue()
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, **TILED, iccprofile=profile)
    read = open_with_openslide(path).read(0, (0, 0, 300, 420))
    np.testing.assert_array_equal(read, to_srgb(pixels, profile))
    assert np.abs(read.astype(int) - pixels).max() > 20


def test_transparent_pixels_are_white(two_levels, monkeypatch):
    source = open_with_openslide(two_levels[0])

    def half_there(_self, _location, _level, size):
        image = Image.new("RGBA", size, (0, 0, 0, 0))
        image.putpixel((0, 0), (100, 50, 0, 255))
        image.putpixel((1, 0), (100, 50, 0, 51))
        return image

    monkeypatch.setattr(openslide.OpenSlide, "read_region", half_there)
    read = source.read(0, (0, 0, 1, 3))[0].tolist()
    assert read == [[100, 50, 0], [224, 214, 204], [255, 255, 255]]


def test_label_and_macro_are_never_read(wsi_samples, monkeypatch):
    def refuse(_self):
        raise AssertionError

    monkeypatch.setattr(openslide.OpenSlide, "associated_images", property(refuse))
    source = open_with_openslide(wsi_samples / SVS[0])
    source.read(0, (0, 0, 64, 64))
    told = " ".join([*source.notes, *source.metadata.values()])
    assert "CMU" not in told
    assert "b414003d" not in told  # the user's number in the file


def test_threads_read_what_one_thread_reads(wsi_samples, rng):
    source = open_with_openslide(wsi_samples / SVS[0])
    boxes = list(_boxes(rng, source.levels[0].shape, count=24))
    alone = [source.read(0, box) for box in boxes]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda box: source.read(0, box), boxes))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_handle_that_failed_is_replaced_once(two_levels, monkeypatch):
    path, levels = two_levels
    source = open_with_openslide(path)
    original, calls = openslide.OpenSlide.read_region, []

    def fail_once(self, *place):
        calls.append(self)
        if len(calls) == 1:
            raise openslide.OpenSlideError("network drive gone")
        return original(self, *place)

    monkeypatch.setattr(openslide.OpenSlide, "read_region", fail_once)
    np.testing.assert_array_equal(source.read(0, (0, 0, 9, 9)), levels[0][:9, :9])
    assert len(calls) == 2
    assert calls[0] is not calls[1]


def test_a_damaged_tile_costs_only_itself(wsi_samples, tmp_path):
    path = copy_writable(wsi_samples / SVS[0], tmp_path / "a.svs")
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        offset, count = page.dataoffsets[0], page.databytecounts[0]
    damage(path, offset, b"\0" * count)
    source = open_with_openslide(path)
    with pytest.raises(SlideError, match=r"a\.svs cannot be read at level 0, box"):
        source.read(0, (10, 10, 30, 30))
    expected = open_with_openslide(wsi_samples / SVS[0]).read(0, (900, 900, 950, 950))
    np.testing.assert_array_equal(source.read(0, (900, 900, 950, 950)), expected)


def test_a_deleted_slide_gives_one_sentence(wsi_samples, tmp_path):
    path = copy_writable(wsi_samples / SVS[1], tmp_path / "a.svs")
    source = open_with_openslide(path)
    path.unlink()
    # So much that it does not all come from OpenSlide's memory.
    with pytest.raises(SlideError, match=r"a\.svs .*not there"):
        source.read(0, (0, 0, 3000, 4000))


def test_reading_after_closing_is_told(two_levels):
    source = open_with_openslide(two_levels[0])
    source.close()
    with pytest.raises(SlideError, match="closed"):
        source.read(0, (0, 0, 5, 5))


def test_what_openslide_does_not_know_is_one_sentence(tmp_path):
    path = tmp_path / "a.svs"
    path.write_bytes(b"no slide")
    with pytest.raises(SlideError, match="no slide that OpenSlide knows"):
        open_with_openslide(path)
    with pytest.raises(SlideError, match="not there"):
        open_with_openslide(tmp_path / "b.svs")


def test_without_openslide_the_command_to_install_it_is_named(two_levels, monkeypatch):
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(SlideError, match=r'pip install "napari-segmoe\[slides\]"'):
        open_with_openslide(two_levels[0])


def test_a_scanners_tiff_opens_with_openslide(wsi_samples):
    assert open_slide(wsi_samples / SVS[1]).backend.startswith("OpenSlide")
