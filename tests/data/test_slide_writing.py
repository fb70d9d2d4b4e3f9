import errno
import hashlib
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import tifffile
import zarr

from napari_segmoe.data import slide_writing
from napari_segmoe.data.slide_writing import (
    finished_files,
    ome_xml,
    write_pixels,
    write_pyramid,
)
from napari_segmoe.data.slide_writing_tiles import (
    SlideFormat,
    TileCodec,
    TiledLevel,
    TiledPyramid,
    cut_tiles,
    format_of,
    halve,
    level_shapes,
)
from napari_segmoe.data.slides.opening import open_slide
from napari_segmoe.errors import SlideError

SPACING = (0.5, 0.25)


@pytest.fixture
def pixels(rng):
    coarse = rng.integers(60, 240, (24, 32, 3)).astype(np.uint8)
    return np.kron(coarse, np.ones((31, 29, 1), np.uint8))[:701, :903]


def levels_of(path):
    with tifffile.TiffFile(path) as tiff:
        return [level.asarray() for level in tiff.series[0].levels]


def test_halving_gives_rounded_means_and_drops_an_odd_border():
    small = np.array([[0, 1, 9], [2, 4, 9], [9, 9, 9]], np.uint8)[..., None]
    assert halve(np.repeat(small, 3, 2)).tolist() == [[[2, 2, 2]]]


def test_a_pyramid_ends_where_one_level_fits():
    assert level_shapes((1000, 701), 256) == [(1000, 701), (500, 350), (250, 175)]
    assert level_shapes((100, 20), 256) == [(100, 20)]


def test_tiles_at_the_border_repeat_its_pixels(pixels):
    tiles = list(cut_tiles(pixels, 256))
    assert len(tiles) == 3 * 4
    assert all(tile.shape == (256, 256, 3) for tile in tiles)
    assert (tiles[-1][700 - 512 :, 902 - 768 :] == pixels[-1, -1]).all()


def test_a_lossless_tiff_keeps_every_value_at_every_level(tmp_path, pixels):
    write_pixels(tmp_path / "a.ome.tif", pixels, SPACING, quality=None)
    levels = levels_of(tmp_path / "a.ome.tif")
    expected = pixels
    for level in levels:
        assert np.array_equal(level, expected)
        expected = halve(expected)
    assert len(levels) == 3


def test_a_jpeg_tiff_is_close_and_small(tmp_path, pixels):
    write_pixels(tmp_path / "a.ome.tif", pixels, SPACING)
    finest = levels_of(tmp_path / "a.ome.tif")[0]
    assert np.abs(finest.astype(int) - pixels).mean() < 6  # noise in colour
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tiff:
        page = tiff.pages[0]
        assert page.compression.name == "JPEG"
        assert page.tile == (256, 256)
        assert len(page.subifds) == 2


def test_ome_xml_states_size_and_spacing(tmp_path, pixels):
    write_pixels(tmp_path / "tissue.ome.tif", pixels, SPACING)
    with tifffile.TiffFile(tmp_path / "tissue.ome.tif") as tiff:
        assert tiff.is_ome
        root = ET.fromstring(tiff.ome_metadata)
    space = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"
    image = root.find(f"{space}Image")
    facts = image.find(f"{space}Pixels").attrib
    assert image.get("Name") == "tissue"
    assert (facts["SizeY"], facts["SizeX"], facts["SizeC"]) == ("701", "903", "3")
    assert (facts["PhysicalSizeY"], facts["PhysicalSizeX"]) == ("0.5", "0.25")
    assert facts["PhysicalSizeXUnit"] == "µm"


def test_openslide_reads_the_tiff_and_its_spacing(tmp_path, pixels):
    openslide = pytest.importorskip("openslide")
    write_pixels(tmp_path / "a.ome.tif", pixels, SPACING)
    with openslide.OpenSlide(tmp_path / "a.ome.tif") as slide:
        assert slide.dimensions == (903, 701)
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.25)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["a.ome.tif", "a.ome.zarr"])
def test_our_reader_finds_levels_and_spacing(tmp_path, pixels, name):
    write_pixels(tmp_path / name, pixels, SPACING)
    source = open_slide(tmp_path / name)
    assert source.levels[0].shape == (701, 903)
    assert len(source.levels) == 3
    assert source.spacing_um == pytest.approx(SPACING)
    part = source.read(0, (300, 300, 400, 420)).astype(int)
    assert np.abs(part - pixels[300:400, 300:420]).mean() < 6
    source.close()


def test_an_ome_zarr_keeps_every_value_and_states_its_scale(tmp_path, pixels):
    write_pixels(tmp_path / "a.ome.zarr", pixels, SPACING)
    root = zarr.open_group(tmp_path / "a.ome.zarr", mode="r")
    expected = pixels
    for number in range(3):
        level = root[str(number)]
        assert np.array_equal(np.moveaxis(level[:], 0, -1), expected)
        expected = halve(expected)
    datasets = root.attrs["multiscales"][0]["datasets"]
    scale = datasets[1]["coordinateTransformations"][0]["scale"]
    assert scale == [1.0, 1.0, 0.5]
    assert root.attrs["omero"]["channels"][0]["label"] == "Red"


def test_without_spacing_none_is_written(tmp_path, pixels):
    write_pixels(tmp_path / "a.ome.tif", pixels, None)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tiff:
        assert "PhysicalSize" not in tiff.ome_metadata
    assert open_slide(tmp_path / "a.ome.tif").spacing_um is None


@pytest.mark.parametrize("name", ["a.ome.tif", "a.ome.zarr"])
def test_the_same_pixels_give_the_same_bytes(tmp_path, pixels, name):
    digests = []
    for folder in ("one", "two"):
        written = write_pixels(tmp_path / folder / name, pixels, SPACING)
        files = sorted(p for p in (written, *written.rglob("*")) if p.is_file())
        digests.append([hashlib.sha256(p.read_bytes()).hexdigest() for p in files])
    assert digests[0] == digests[1]


@pytest.mark.parametrize(("size", "is_big"), [(10**9, False), (5 * 10**9, True)])
def test_bigtiff_is_written_when_the_tiles_ask_for_it(tmp_path, size, is_big):
    codec = TileCodec(SlideFormat.OME_TIFF)
    tile = codec.encode(np.full((256, 256, 3), 200, np.uint8))
    level = TiledLevel((256, 256), lambda: iter([tile]))
    pyramid = TiledPyramid((level,), 256, SPACING, "a", codec, size)
    list(write_pyramid(tmp_path / "a.ome.tif", pyramid))
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tiff:
        assert tiff.is_bigtiff == is_big


def test_a_name_with_markup_stays_valid_xml():
    level = TiledLevel((256, 256), lambda: iter([]))
    codec = TileCodec(SlideFormat.OME_TIFF)
    pyramid = TiledPyramid((level,), 256, None, 'a"<&b', codec, 0)
    assert ET.fromstring(ome_xml(pyramid))[0].get("Name") == 'a"<&b'


@pytest.mark.parametrize("name", ["a.svs", "a.tif", "a", "a.zarr"])
def test_an_unknown_ending_gives_a_sentence(tmp_path, name):
    with pytest.raises(SlideError, match=r"\.ome\.tif"):
        format_of(tmp_path / name)


def test_an_existing_file_is_not_overwritten(tmp_path, pixels):
    path = tmp_path / "a.ome.tif"
    path.write_text("precious")
    with pytest.raises(SlideError, match="exists already"):
        write_pixels(path, pixels, SPACING)
    assert path.read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["a.ome.tif"]


def test_a_crash_leaves_nothing_behind(tmp_path):
    def crash():
        with finished_files(tmp_path / "a.ome.tif", tmp_path / "a.csv") as names:
            names[0].write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crash()
    assert list(tmp_path.iterdir()) == []


def test_all_files_get_their_names_at_the_end(tmp_path):
    with finished_files(tmp_path / "a.ome.tif", tmp_path / "a.csv") as names:
        for name in names:
            name.write_text("whole")
        assert not (tmp_path / "a.ome.tif").exists()
    assert {p.name for p in tmp_path.iterdir()} == {"a.ome.tif", "a.csv"}


def test_a_full_disk_gives_a_sentence_and_no_file(tmp_path, pixels, monkeypatch):
    def fill(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")
        yield

    monkeypatch.setattr(slide_writing, "write_pyramid", fill)
    with pytest.raises(SlideError, match="disk is full"):
        write_pixels(tmp_path / "a.ome.tif", pixels, SPACING)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_gives_a_sentence(tmp_path, pixels):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SlideError, match="Choose a folder"):
        write_pixels(tmp_path / "file" / "a.ome.tif", pixels, SPACING)
