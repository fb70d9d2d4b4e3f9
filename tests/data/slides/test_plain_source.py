"""Pictures of one resolution as slides, and the overview made for them."""

import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_segmoe.data.slides import plain_source, pyramid_cache, pyramid_slide
from napari_segmoe.data.slides.colour import to_srgb
from napari_segmoe.data.slides.opening import open_slide
from napari_segmoe.data.slides.plain_source import open_plain_slide
from napari_segmoe.data.slides.pyramid_slide import with_pyramid
from napari_segmoe.errors import SlideError
from tests.data.slides.made_slides import swapped_profile, tissue
from tests.data.slides.made_tiffs import damage, outside_is_white

TILED = {"tile": (128, 128), "photometric": "rgb"}


def _whole(source, level=0):
    return source.read(level, (0, 0, *source.levels[level].shape))


def _fourth(pixels):
    """Means of 4 x 4 pixels, the border repeated."""
    lacking = [(0, -side % 4) for side in pixels.shape[:2]]
    padded = np.pad(pixels, (*lacking, (0, 0)), mode="edge").astype(float)
    height, width = padded.shape[:2]
    blocks = padded.reshape(height // 4, 4, width // 4, 4, 3)
    return np.floor(blocks.mean((1, 3)) + 0.5).astype(np.uint8)


@pytest.fixture
def small_steps(monkeypatch, tmp_path):
    """Let pictures of some hundred pixels be large; give them a cache of their own."""
    monkeypatch.setenv("SEGMOE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pyramid_slide, "_SMALL_PX", 256)
    monkeypatch.setattr(pyramid_slide, "_CHUNK_PX", 64)
    monkeypatch.setattr(plain_source, "_HELD_PX", 1000)
    return tmp_path / "cache" / "pyramids"


@pytest.fixture
def one_level(tmp_path, small_steps):
    """A tiled TIFF of one level, its path and pixels."""
    pixels = tissue(701, 1030)
    tifffile.imwrite(tmp_path / "a.tif", pixels, **TILED)
    return tmp_path / "a.tif", pixels


@pytest.mark.parametrize("suffix", ["png", "bmp", "webp"])
def test_pictures_are_read_as_they_are(tmp_path, suffix):
    pixels = tissue()
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}", lossless=True)
    source = open_slide(tmp_path / f"a.{suffix}")
    assert source.backend.startswith("Pillow")
    assert [level.shape for level in source.levels] == [(300, 420)]
    inside = outside_is_white(lambda box: source.read(0, box), (300, 420))
    np.testing.assert_array_equal(inside, pixels)


def test_a_jpeg_is_what_pillow_decodes(tmp_path):
    Image.fromarray(tissue()).save(tmp_path / "a.jpg", quality=80)
    with Image.open(tmp_path / "a.jpg") as image:
        own = np.asarray(image)
    np.testing.assert_array_equal(_whole(open_plain_slide(tmp_path / "a.jpg")), own)


def test_grey_palette_and_deep_pictures_become_rgb(tmp_path):
    grey = tissue()[..., 0]
    Image.fromarray(grey).save(tmp_path / "g.png")
    assert (_whole(open_plain_slide(tmp_path / "g.png")) == grey[..., None]).all()
    palette = Image.fromarray(tissue()).quantize(17)
    palette.save(tmp_path / "p.png")
    np.testing.assert_array_equal(
        _whole(open_plain_slide(tmp_path / "p.png")), np.asarray(palette.convert("RGB"))
    )
    deep = grey.astype(np.uint16) * 16
    Image.fromarray(deep).save(tmp_path / "d.png")
    read = _whole(open_plain_slide(tmp_path / "d.png"))
    np.testing.assert_array_equal(read[..., 1], np.rint(deep * (255 / 4095)))


def test_transparency_is_put_over_white(tmp_path):
    rgba = np.dstack([tissue(), np.full((300, 420), 255, np.uint8)])
    rgba[:50, :60, 3] = 0
    Image.fromarray(rgba).save(tmp_path / "a.png")
    read = _whole(open_plain_slide(tmp_path / "a.png"))
    assert (read[:50, :60] == 255).all()
    np.testing.assert_array_equal(read[50:], rgba[50:, :, :3])


def test_a_turned_photo_stands_upright(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(tissue()).save(tmp_path / "a.png", exif=exif)
    source = open_plain_slide(tmp_path / "a.png")
    assert source.levels[0].shape == (420, 300)
    np.testing.assert_array_equal(_whole(source), np.rot90(tissue(), -1))


def test_colours_follow_the_profile(tmp_path):
    profile = swapped_profile()
    Image.fromarray(tissue()).save(tmp_path / "a.png", icc_profile=profile)
    np.testing.assert_array_equal(
        _whole(open_plain_slide(tmp_path / "a.png")), to_srgb(tissue(), profile)
    )


@pytest.mark.parametrize(
    ("dpi", "spacing"), [((50_800, 25_400), (1.0, 0.5)), ((72, 72), None)]
)
def test_a_resolution_is_a_spacing_unless_it_is_a_placeholder(tmp_path, dpi, spacing):
    Image.fromarray(tissue()).save(tmp_path / "a.png", dpi=dpi)
    found = open_plain_slide(tmp_path / "a.png").spacing_um
    assert found == (None if spacing is None else pytest.approx(spacing, rel=1e-3))


def test_what_would_fill_memory_is_refused_in_one_sentence(tmp_path, monkeypatch):
    Image.fromarray(tissue()).save(tmp_path / "a.png")
    monkeypatch.setattr(plain_source, "_LARGEST_DECODED_BYTES", 500_000)
    with pytest.raises(SlideError, match=r"300 x 420 px .* Save it as a tiled TIFF"):
        open_plain_slide(tmp_path / "a.png")


def test_damaged_pictures_are_one_sentence(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(tissue()).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(SlideError, match=r"a\.png is damaged"):
        _whole(open_plain_slide(path))
    path.write_bytes(b"nothing")
    with pytest.raises(SlideError, match=r"a\.png is damaged or no picture"):
        open_plain_slide(path)
    with pytest.raises(SlideError, match=r"b\.png"):
        open_plain_slide(tmp_path / "b.png")


@pytest.mark.parametrize(
    "options", [TILED, {"rowsperstrip": 17}, {"rowsperstrip": 701}]
)
def test_coarser_levels_are_means_of_the_finer_ones(tmp_path, small_steps, options):
    pixels = tissue(701, 1030)
    tifffile.imwrite(tmp_path / "a.tif", pixels, **({"photometric": "rgb"} | options))
    source = open_slide(tmp_path / "a.tif")
    assert [level.shape for level in source.levels] == [
        (701, 1030),
        (176, 258),
        (44, 65),
    ]
    assert [level.downsample_yx[0] for level in source.levels] == [1, 4, 16]
    fourth = _fourth(pixels)
    for level, expected in enumerate([pixels, fourth, _fourth(fourth)]):
        inside = outside_is_white(
            lambda box, level=level: source.read(level, box), expected.shape[:2]
        )
        np.testing.assert_array_equal(inside, expected)


def test_a_large_picture_is_decoded_once_and_let_go(tmp_path, small_steps, monkeypatch):
    pixels = tissue(701, 1030)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    decoded = []
    original = plain_source.PlainSlide._loaded

    def counted(self):
        if self._picture is None:
            decoded.append(self)
        return original(self)

    monkeypatch.setattr(plain_source.PlainSlide, "_loaded", counted)
    source = open_slide(tmp_path / "a.png")
    np.testing.assert_array_equal(_whole(source), pixels)
    np.testing.assert_array_equal(_whole(source, 1), _fourth(pixels))
    assert len(decoded) == 1
    assert decoded[0]._picture is None
    np.testing.assert_array_equal(_whole(open_slide(tmp_path / "a.png")), pixels)
    assert len(decoded) == 1  # the second source found it in the cache


def test_a_tiff_in_one_compressed_piece_is_kept_in_the_cache(
    tmp_path, small_steps, monkeypatch
):
    monkeypatch.setattr("napari_segmoe.data.slides.tiff_source._KEPT_BYTES", 1000)
    pixels = tissue(701, 1030)
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, rowsperstrip=701, compression="deflate",
        photometric="rgb",
    )  # fmt: skip
    source = open_slide(tmp_path / "a.tif")
    np.testing.assert_array_equal(_whole(source), pixels)
    assert (small_steps / next(small_steps.iterdir()) / "level-0").is_dir()


def test_one_piece_that_would_fill_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "napari_segmoe.data.slides.tiff_source._LARGEST_TILE_BYTES", 1000
    )
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, tissue(), rowsperstrip=300, compression="deflate")
    with pytest.raises(SlideError, match="in one piece"):
        open_slide(path)


def test_what_was_made_is_found_again(one_level, monkeypatch):
    path, pixels = one_level
    expected = _whole(open_slide(path), 1)

    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr(pyramid_slide.PyramidSlide, "_make", refuse)
    np.testing.assert_array_equal(_whole(open_slide(path), 1), expected)
    np.testing.assert_array_equal(expected, _fourth(pixels))


def test_a_changed_file_gets_an_overview_of_its_own(one_level):
    path, pixels = one_level
    _whole(open_slide(path), 1)
    time.sleep(0.02)
    tifffile.imwrite(path, 255 - pixels, **TILED)
    np.testing.assert_array_equal(_whole(open_slide(path), 1), _fourth(255 - pixels))


def test_only_the_bands_that_are_read_are_made(one_level, small_steps):
    path, _ = one_level
    source = open_slide(path)
    source.read(1, (70, 0, 100, 30))
    made = [marker.name for marker in small_steps.glob("*/level-1-*")]
    assert made == ["level-1-00001"]


def test_a_cache_that_was_emptied_is_made_again(one_level, small_steps):
    path, pixels = one_level
    source = open_slide(path)
    _whole(source, 1)
    for marker in small_steps.glob("*/level-1-*"):
        marker.unlink()
    for chunk in small_steps.glob("*/level-1/c/*/*/*"):
        chunk.unlink()
    np.testing.assert_array_equal(_whole(source, 1), _fourth(pixels))


def test_threads_make_an_overview_once(one_level, monkeypatch):
    path, pixels = one_level
    source, made = open_slide(path), []
    original = pyramid_slide.PyramidSlide._make

    def counted(self, level, band):
        made.append((level.name, band))
        return original(self, level, band)

    monkeypatch.setattr(pyramid_slide.PyramidSlide, "_make", counted)
    with ThreadPoolExecutor(6) as pool:
        read = list(pool.map(lambda _: _whole(source, 2), range(6)))
    assert len(made) == len(set(made))
    for one in read:
        np.testing.assert_array_equal(one, _fourth(_fourth(pixels)))


def test_making_all_tells_how_far_it_is(one_level):
    source = open_slide(one_level[0])
    shares = list(source.make_all())
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert len(shares) == 3 + 1


def test_a_damaged_tile_leaves_the_rest_of_the_overview(one_level):
    path, pixels = one_level
    tifffile.imwrite(path, pixels, **TILED, compression="deflate")
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[-1]
    damage(path, offset, b"\0" * 40)
    source = open_slide(path)
    overview = _whole(source, 1)
    assert (overview[-1, -1] == 255).all()
    np.testing.assert_array_equal(overview[:128], _fourth(pixels)[:128])
    assert any("white in the overview" in note for note in source.notes)
    with pytest.raises(SlideError, match=r"a\.tif cannot be read at level 0"):
        source.read(0, (690, 1020, 700, 1029))


def test_small_slides_and_pyramids_stay_as_they_are(wsi_samples):
    source = open_slide(wsi_samples / "CMU-1-derived-pyramid.ome.tif")
    assert with_pyramid(source) is source
    assert len(source.levels) == 3


def test_old_overviews_leave_when_there_are_too_many(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGMOE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pyramid_cache, "_IN_USE_S", 0)
    folders = []
    for number in range(4):
        (tmp_path / str(number)).write_bytes(bytes([number]) * 100)
        folder = pyramid_cache.cache_folder(tmp_path / str(number), limit_bytes=2500)
        (folder / "chunk").write_bytes(b"0" * 1000)
        folders.append(folder)
        time.sleep(0.02)
    assert [folder.exists() for folder in folders] == [False, True, True, True]


def test_without_a_place_to_write_a_temporary_folder_serves(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"x")
    monkeypatch.setenv("SEGMOE_CACHE", str(tmp_path / "file"))
    folder = pyramid_cache.cache_folder(tmp_path / "file")
    assert folder.is_dir()
    assert tmp_path not in folder.parents


@pytest.mark.parametrize(
    "layout", ["tiled", pytest.param("strips", marks=pytest.mark.slow)]
)
def test_a_giant_tiff_of_one_level_is_read_in_little_memory(tmp_path, layout):
    """20 000 x 20 000 px, 1.2 GB decoded: the overview and a box in 500 MB."""
    side, block = 20_000, tissue(512, 512)
    path = tmp_path / "giant.tif"
    options = {"shape": (side, side, 3), "dtype": np.uint8, "photometric": "rgb"}
    if layout == "tiled":
        tile = zlib.compress(np.repeat(block[:, :1], 512, axis=1).tobytes(), 1)
        count = (-(-side // 512)) ** 2
        tifffile.imwrite(
            path, (tile for _ in range(count)), tile=(512, 512),
            compression="deflate", **options,
        )  # fmt: skip
    else:  # the pixels as they are, left out by the file system
        tifffile.memmap(path, **options).flush()
    code = f"""
import resource
from napari_segmoe.data.slides.opening import open_slide
source = open_slide({str(path)!r})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
last = len(source.levels) - 1
overview = source.read(last, (0, 0, *source.levels[last].shape))
source.read(0, (9000, 9000, 10024, 10024))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) // 1024, overview.shape[0])
"""
    answer = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    megabytes, height = (int(word) for word in answer.stdout.split())
    assert height == 1250
    assert megabytes < 500
