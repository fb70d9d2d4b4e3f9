"""DICOM slides: sizes and scale as pydicom says, tissue only, damage in a sentence."""

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pydicom
import pytest

from napari_segmoe.data.images import read_image
from napari_segmoe.data.slides import dicom_series
from napari_segmoe.data.slides.dicom_source import open_dicom_slide
from napari_segmoe.data.slides.opening import is_slide, open_slide
from napari_segmoe.errors import ImageReadError, SlideError
from tests.data.slides.made_slides import copy_writable, volume_file
from tests.data.slides.made_slides import write_dicom as write


@pytest.fixture
def folder(wsi_samples):
    return wsi_samples / "CMU-1-Small-Region_dicom"


@pytest.fixture
def copy(folder, tmp_path):
    return copy_writable(folder, tmp_path / "copy")


def header(path):
    return pydicom.dcmread(path, stop_before_pixels=True)


def whole(source, level=0):
    return source.read(level, (0, 0, *source.levels[level].shape))


def test_size_and_scale_are_those_of_pydicom(folder):
    source = open_slide(folder)
    stated = header(volume_file(folder))
    measures = stated.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert source.backend.startswith("wsidicom")
    assert source.levels[0].shape == (
        stated.TotalPixelMatrixRows,
        stated.TotalPixelMatrixColumns,
    )
    assert source.levels[0].tile_yx == (stated.Rows, stated.Columns)
    assert source.spacing_um == pytest.approx(
        [mm * 1000 for mm in measures.PixelSpacing]
    )
    assert source.notes == ()


def test_pixels_are_those_that_openslide_decodes(folder):
    openslide = pytest.importorskip("openslide")
    ours = open_dicom_slide(folder)
    theirs = openslide.OpenSlide(volume_file(folder))
    height, width = ours.levels[0].shape
    for y, x in [(0, 0), (1000, 900), (height - 300, width - 300)]:
        expected = np.asarray(theirs.read_region((x, y), 0, (300, 300)).convert("RGB"))
        found = ours.read(0, (y, x, y + 300, x + 300))
        assert np.abs(found.astype(int) - expected).max() <= 3


def test_any_file_of_the_series_stands_for_the_slide(folder):
    expected = open_dicom_slide(folder).read(0, (100, 100, 200, 220))
    for file in sorted(folder.glob("*.dcm")):
        assert is_slide(file)
        source = open_slide(file)
        assert source.path == file
        assert np.array_equal(source.read(0, (100, 100, 200, 220)), expected)


def test_label_overview_and_thumbnail_are_never_opened_by_wsidicom(folder, monkeypatch):
    from wsidicom.file import WsiDicomFileSource

    opened = []
    real = WsiDicomFileSource.open
    monkeypatch.setattr(
        WsiDicomFileSource,
        "open",
        lambda files, *rest: opened.extend(files) or real(files, *rest),
    )
    source = open_dicom_slide(folder)
    assert opened == [volume_file(folder)]
    assert len(source.levels) == 1


def test_a_folder_of_label_and_overview_only_holds_no_tissue(copy):
    volume_file(copy).unlink()
    with pytest.raises(SlideError, match="no tissue"):
        open_slide(copy)


def test_several_levels_are_one_pyramid(tmp_path):
    levels = write(tmp_path / "d", shapes=[(500, 700), (250, 350), (125, 175)])
    source = open_slide(tmp_path / "d")
    assert [level.shape for level in source.levels] == [p.shape[:2] for p in levels]
    assert [level.downsample_yx for level in source.levels] == [(1, 1), (2, 2), (4, 4)]
    assert source.spacing_um == pytest.approx((0.25, 0.5))
    for number, expected in enumerate(levels):
        assert np.array_equal(whole(source, number), expected)


def test_levels_need_not_be_steps_of_two_nor_have_equal_tiles(tmp_path):
    levels = write(tmp_path / "d", shapes=[(600, 900), (200, 300)], tiles=[128, 64])
    source = open_slide(tmp_path / "d")
    assert [level.downsample_yx for level in source.levels] == [(1, 1), (3, 3)]
    assert np.array_equal(whole(source, 1), levels[1])


def test_concatenated_files_are_one_level(tmp_path):
    (pixels,) = write(tmp_path / "d", shapes=[(500, 700)], parts=3)
    assert len(list((tmp_path / "d").iterdir())) == 3
    source = open_slide(tmp_path / "d")
    assert len(source.levels) == 1
    assert np.array_equal(whole(source), pixels)


def test_tiles_left_out_of_a_sparse_level_are_background(tmp_path):
    (pixels,) = write(tmp_path / "d", shapes=[(256, 256)], sparse_without={(0, 1)})
    found = whole(open_slide(tmp_path / "d"))
    assert (found[:128, 128:] == 255).all()
    assert np.array_equal(found[128:], pixels[128:])


def test_grey_slides_are_shown_grey(tmp_path):
    (pixels,) = write(tmp_path / "d", shapes=[(200, 300)], grey=True)
    assert np.array_equal(whole(open_slide(tmp_path / "d"))[..., 2], pixels[..., 0])


@pytest.mark.parametrize(
    ("spacing", "word"), [(None, "no pixel size"), (40, "no scanner")]
)
def test_missing_and_absurd_spacings_are_said(tmp_path, spacing, word):
    write(tmp_path / "d", shapes=[(200, 300)], spacing_mm=(spacing, spacing))
    source = open_slide(tmp_path / "d")
    assert source.spacing_um is None
    assert word in source.notes[0]


def test_two_slides_in_a_folder_are_not_mixed(tmp_path):
    write(tmp_path / "d", shapes=[(200, 300)], name="a")
    write(tmp_path / "d", shapes=[(260, 280)], name="b")
    with pytest.raises(SlideError, match="2 DICOM slides"):
        open_slide(tmp_path / "d")
    one = open_slide(next((tmp_path / "d").glob("b*.dcm")))
    assert one.levels[0].shape == (260, 280)


def test_a_slide_in_subfolders_is_found(tmp_path):
    write(tmp_path / "outer" / "series 1", shapes=[(200, 300)])
    assert is_slide(tmp_path / "outer")
    assert open_slide(tmp_path / "outer").levels[0].shape == (200, 300)


def test_a_damaged_coarse_level_is_left_out_and_said(tmp_path):
    write(tmp_path / "d", shapes=[(500, 700), (250, 350)])
    coarse = sorted((tmp_path / "d").iterdir())[1]
    dataset = pydicom.dcmread(coarse)
    dataset.NumberOfFrames = 2
    dataset.save_as(coarse)
    source = open_slide(tmp_path / "d")
    assert len(source.levels) == 1
    assert "1 damaged" in source.notes[0]


def test_nothing_of_the_patient_is_told(folder):
    source = open_slide(folder)
    stated = header(volume_file(folder))
    words = [
        str(stated.get(name, ""))
        for name in ("PatientName", "PatientID", "AccessionNumber", "StudyDate")
    ]
    told = f"{source.metadata} {source.notes} {source.backend}"
    assert not [word for word in words if len(word) > 2 and word in told]
    assert set(source.metadata) == {"transfer_syntax", "photometric"}


@pytest.mark.parametrize("share", [0.0, 0.001, 0.002, 0.01, 0.4, 0.97])
def test_a_slide_cut_short_is_a_sentence(copy, share):
    file = volume_file(copy)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(SlideError) as error:
        whole(open_slide(copy))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("share", [0.4, 0.97])
def test_a_cut_is_noticed_when_the_slide_is_opened(copy, share):
    file = volume_file(copy)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(SlideError, match="cut short"):
        open_slide(copy)


def test_files_deleted_while_open_are_an_error(copy):
    from napari_segmoe.data.slides.opening import open_shared

    open_shared(copy)
    shutil.rmtree(copy)
    with pytest.raises(SlideError, match="no longer there"):
        open_shared(copy)


def test_without_wsidicom_the_command_to_install_it_is_named(folder, monkeypatch):
    for name in [n for n in sys.modules if n.split(".")[0] == "wsidicom"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "wsidicom", None)
    with pytest.raises(SlideError, match=r'pip install "napari-segmoe\[slides\]"'):
        open_slide(folder)


def test_a_missing_decoder_is_named(folder, monkeypatch):
    from wsidicom.codec.decoder import Decoder

    monkeypatch.setattr(Decoder, "select_decoder", classmethod(lambda *_, **__: None))
    with pytest.raises(SlideError, match=r"JPEG Baseline.*no decoder.*slides,dicom"):
        open_slide(folder)


def test_no_traceback_of_wsidicom_is_printed(copy, capfd):
    file = volume_file(copy)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 3])
    with pytest.raises(SlideError):
        whole(open_slide(copy))
    assert "Traceback" not in capfd.readouterr().err


def test_a_frame_that_claims_a_giant_size_is_refused_before_decoding(copy):
    file = volume_file(copy)
    content = bytearray(file.read_bytes())
    at, count = content.find(b"\xff\xc0\x00\x11\x08"), 0
    while at >= 0:
        content[at + 5 : at + 9] = b"\xff\xdc\xff\xdc"
        count, at = count + 1, content.find(b"\xff\xc0\x00\x11\x08", at + 9)
    assert count == 130
    file.write_bytes(content)
    with pytest.raises(SlideError, match="states 65500 x 65500 px"):
        open_slide(copy).read(0, (0, 0, 10, 10))


def test_threads_read_the_same(folder):
    source = open_dicom_slide(folder)
    boxes = [(y, x, y + 200, x + 150) for y in (0, 900, 2000) for x in (7, 800, 1900)]
    expected = [source.read(0, box) for box in boxes]
    fresh = open_dicom_slide(folder)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda box: fresh.read(0, box), boxes * 3))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected * 3, strict=True))


def test_ultrasound_files_are_no_slides(dicom_samples, tmp_path):
    file = sorted(dicom_samples.glob("*.dcm"))[1]
    assert not is_slide(file)
    with pytest.raises(SlideError, match="no tissue"):
        dicom_series.find_levels(file)


def test_reading_a_slide_as_an_image_points_to_slides(folder):
    with pytest.raises(ImageReadError, match="DICOM slide"):
        read_image(volume_file(folder))
