"""Which files are slides, which library opens them, and what is said otherwise."""

import os
import shutil
import sys
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_segmoe.data.images import read_image
from napari_segmoe.data.slides import openslide_source
from napari_segmoe.data.slides.opening import (
    is_slide,
    list_backends,
    open_shared,
    open_slide,
)
from napari_segmoe.errors import SlideError
from tests.data.slides.made_slides import tissue, write_zarr

INSTALL = r'pip install "napari-segmoe\[slides\]"'


@pytest.fixture
def svs(wsi_samples):
    return wsi_samples / "CMU-1-Small-Region.svs"


@pytest.fixture
def pyramid(wsi_samples):
    return wsi_samples / "CMU-1-derived-pyramid.ome.tif"


@pytest.fixture
def without_openslide(monkeypatch):
    for name in [n for n in sys.modules if n.split(".")[0] == "openslide"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "openslide", None)


def read_all(path):
    source = open_slide(path)
    for number, level in enumerate(source.levels):
        source.read(number, (0, 0, *level.shape))


def sentence_of(path):
    with pytest.raises(SlideError) as error:
        read_all(path)
    text = str(error.value)
    assert text
    assert "\n" not in text
    return text


@pytest.mark.parametrize("name", ["slide.jpg", "slide.dcm", "slide", "slide.zarr"])
def test_the_name_does_not_matter(svs, pyramid, tmp_path, name):
    for original in (svs, pyramid):
        copy = tmp_path / name
        shutil.copyfile(original, copy)
        assert is_slide(copy)
        expected, found = open_slide(original), open_slide(copy)
        assert found.backend == expected.backend
        assert found.levels == expected.levels
        assert found.spacing_um == expected.spacing_um
        box = (1000, 900, 1200, 1100)
        assert np.array_equal(found.read(0, box), expected.read(0, box))


def test_a_scanner_file_goes_to_openslide_and_an_ome_tiff_to_tifffile(svs, pyramid):
    assert open_slide(svs).backend.startswith("OpenSlide 4")
    assert open_slide(pyramid).backend.startswith("tifffile 20")


def test_a_folder_of_any_name_can_be_an_ome_zarr(tmp_path):
    write_zarr(tmp_path / "liver.tif", tissue())
    assert is_slide(tmp_path / "liver.tif")
    assert open_slide(tmp_path / "liver.tif").levels[0].shape == (300, 420)


def test_small_pictures_stay_images(tmp_path, dicom_samples):
    picture = Image.fromarray(tissue(64, 80))
    for name in ("a.png", "a.jpg", "a.bmp"):
        picture.save(tmp_path / name)
    tifffile.imwrite(tmp_path / "a.tif", tissue(64, 80))
    tifffile.imwrite(tmp_path / "tiled.tif", tissue(512, 600), tile=(256, 256))
    tifffile.imwrite(tmp_path / "pages.tif", np.stack([tissue(64, 80)] * 3))
    tifffile.imwrite(tmp_path / "one.ome.tif", tissue(64, 80))
    for file in tmp_path.iterdir():
        assert not is_slide(file), file.name
        assert read_image(file).pixels.shape[2] == 3
    assert not any(is_slide(file) for file in dicom_samples.iterdir())
    assert not is_slide(dicom_samples)


def test_pyramids_and_large_tiled_files_are_slides(tmp_path):
    small = tissue(128, 128)
    with tifffile.TiffWriter(tmp_path / "sub.tif") as tiff:
        tiff.write(small, tile=(64, 64), subifds=1)
        tiff.write(small[::2, ::2], tile=(64, 64), subfiletype=1)
    with tifffile.TiffWriter(tmp_path / "pages.tif") as tiff:
        tiff.write(small, tile=(64, 64))
        tiff.write(small[::2, ::2], tile=(64, 64), subfiletype=1)
    shape = (16, 8208, 3)
    tifffile.imwrite(tmp_path / "long.tif", np.zeros(shape, "u1"), tile=(16, 16))
    for file in tmp_path.iterdir():
        assert is_slide(file), file.name
    tifffile.imwrite(tmp_path / "strips.tif", np.zeros(shape, "u1"))
    assert not is_slide(tmp_path / "strips.tif")


def test_pictures_too_large_for_images_are_slides(tmp_path):
    Image.new("L", (30_000, 2)).save(tmp_path / "long.png")
    Image.new("L", (29_999, 2)).save(tmp_path / "almost.png")
    Image.new("1", (14_000, 13_000)).save(tmp_path / "many.png")
    tifffile.imwrite(tmp_path / "long.tif", np.zeros((2, 30_000), "u1"))
    slides = {file.name for file in tmp_path.iterdir() if is_slide(file)}
    assert slides == {"long.png", "many.png", "long.tif"}
    assert open_slide(tmp_path / "long.png").levels[0].shape == (2, 30_000)


def test_one_giant_level_opens_and_is_read_in_part(tmp_path):
    path = tmp_path / "giant.tif"
    shape, tile = (30_000, 40_000, 3), tissue(512, 512)
    first, other = (zlib.compress(t.tobytes()) for t in (tile, np.full_like(tile, 9)))
    tiles = (other if number else first for number in range(59 * 79))
    tifffile.imwrite(
        path, tiles, shape=shape, dtype="u1", tile=(512, 512), compression="zlib"
    )
    assert is_slide(path)
    source = open_slide(path)
    assert source.levels[0].shape == shape[:2]
    assert np.array_equal(source.read(0, (0, 0, 512, 512)), tile)
    corner = source.read(0, (29_900, 39_900, 30_100, 40_100))
    assert (corner[:100, :100] == 9).all()
    assert (corner[100:] == 255).all()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.svs", b"", "empty"),
        ("a.svs", b"once upon a time", "no slide"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(50), "damaged"),
        ("a.tif", b"II*\0" + bytes(200), "no picture"),
        ("a.dcm", bytes(128) + b"DICM" + bytes(100), "damaged"),
        ("a.ndpi", bytes(range(256)) * 20, "no slide"),
        ("a.mrxs", b"{}", "no slide"),
    ],
)
def test_empty_and_foreign_files_are_one_sentence(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    assert words in sentence_of(tmp_path / name)
    assert not is_slide(tmp_path / name)


def test_missing_files_and_folders_without_a_slide_are_one_sentence(tmp_path):
    assert "no file or folder" in sentence_of(tmp_path / "nowhere.svs")
    assert "holds no slide" in sentence_of(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    assert "holds no slide" in sentence_of(tmp_path)
    assert not is_slide(tmp_path)
    assert not is_slide(tmp_path / "nowhere.svs")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.svs")
    assert not is_slide(tmp_path / "pipe.svs")
    assert not is_slide(tmp_path)
    assert "no file or folder" in sentence_of(tmp_path / "pipe.svs")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_one_sentence(tmp_path):
    (tmp_path / "a.svs").write_bytes(b"II*\0")
    (tmp_path / "a.svs").chmod(0)
    assert "rights" in sentence_of(tmp_path / "a.svs")


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.3, 0.6])
@pytest.mark.parametrize("name", ["svs", "pyramid"])
def test_slides_cut_short_are_one_sentence(tmp_path, request, name, share):
    original = request.getfixturevalue(name)
    content = original.read_bytes()
    copy = tmp_path / original.name
    copy.write_bytes(content[: int(share * len(content))])
    assert original.name in sentence_of(copy)


def test_a_slide_that_lost_only_its_label_is_read_with_a_note(svs, tmp_path, capfd):
    copy = tmp_path / svs.name
    copy.write_bytes(svs.read_bytes()[: int(0.95 * svs.stat().st_size)])
    source = open_slide(copy)
    assert "a part of the file may be missing" in source.notes[0]
    box = (2000, 1500, 2300, 1800)
    expected = open_slide(svs).read(0, box).astype(int)
    assert np.abs(source.read(0, box) - expected).mean() < 2
    assert not capfd.readouterr().err


def test_without_openslide_tifffile_reads_what_it_can_and_says_so(
    svs, without_openslide
):
    source = open_slide(svs)
    assert source.backend.startswith("tifffile")
    assert "OpenSlide is not installed" in source.notes[0]
    assert source.levels[0].shape == (2967, 2220)
    assert source.spacing_um == pytest.approx((0.499, 0.499))
    assert source.read(0, (1000, 1000, 1100, 1100)).mean() < 250
    assert is_slide(svs)


def test_without_openslide_other_formats_name_the_command(tmp_path, without_openslide):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Slidedat.ini").write_text("[GENERAL]")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").rename(tmp_path / "a.mrxs")
    for path in (tmp_path / "a.mrxs", tmp_path / "a"):
        assert is_slide(path)
        with pytest.raises(SlideError, match=INSTALL):
            open_slide(path)


def test_what_openslide_refuses_goes_to_tifffile_with_a_note(svs, monkeypatch):
    def refuse(path):
        raise SlideError("Unsupported compression.")

    expected = open_slide(svs).read(0, (500, 500, 600, 600))
    monkeypatch.setattr(openslide_source, "open_with_openslide", refuse)
    source = open_slide(svs)
    assert source.backend.startswith("tifffile")
    assert "Unsupported compression." in source.notes[0]
    found = source.read(0, (500, 500, 600, 600))
    assert np.abs(found.astype(int) - expected).mean() < 2


def test_a_missing_codec_is_named(pyramid, monkeypatch):
    monkeypatch.setitem(vars(tifffile.TIFF), "DECOMPRESSORS", {})
    with pytest.raises(SlideError, match=r"JPEG.*pip install imagecodecs"):
        open_slide(pyramid)


def test_the_data_folder_of_a_mirax_slide_needs_its_file(tmp_path):
    (tmp_path / "scan").mkdir()
    (tmp_path / "scan" / "Slidedat.ini").write_text("[GENERAL]")
    assert "scan.mrxs is missing" in sentence_of(tmp_path / "scan")


def test_a_damaged_mirax_slide_is_one_sentence(tmp_path):
    (tmp_path / "scan").mkdir()
    (tmp_path / "scan" / "Slidedat.ini").write_text("[GENERAL]\nSLIDE_VERSION = 1")
    Image.new("RGB", (8, 8)).save(tmp_path / "scan.jpg")
    (tmp_path / "scan.jpg").rename(tmp_path / "scan.mrxs")
    assert "scan.mrxs" in sentence_of(tmp_path / "scan.mrxs")


def test_an_open_slide_is_shared_until_its_file_changes(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, tissue(600, 700), tile=(256, 256))
    first = open_shared(path)
    assert open_shared(path) is first
    tifffile.imwrite(path, tissue(500, 700, seed=9), tile=(256, 256))
    second = open_shared(path)
    assert second is not first
    assert second.levels[0].shape == (500, 700)
    assert np.array_equal(second.read(0, (0, 0, 500, 700)), tissue(500, 700, seed=9))


def test_a_slide_deleted_while_open_is_one_sentence(svs, tmp_path):
    copy = tmp_path / "copy.svs"
    shutil.copyfile(svs, copy)
    open_shared(copy)
    copy.unlink()
    with pytest.raises(SlideError, match="no longer there"):
        open_shared(copy)


def test_a_slide_cut_while_open_is_one_sentence(svs, pyramid, tmp_path):
    for original in (svs, pyramid):
        copy = tmp_path / original.name
        shutil.copyfile(original, copy)
        held = open_slide(copy)
        os.truncate(copy, 2000)
        with pytest.raises(SlideError):
            held.read(0, (0, 0, *held.levels[0].shape))


def test_backends_say_version_formats_and_how_to_install_them(without_openslide):
    backends = {backend.name: backend for backend in list_backends()}
    assert backends["OpenSlide"].version is None
    assert "napari-segmoe[slides]" in backends["OpenSlide"].install
    assert "mrxs" in backends["OpenSlide"].formats
    assert backends["tifffile"].version == tifffile.__version__
    assert {"wsidicom", "zarr", "Pillow"} <= set(backends)
