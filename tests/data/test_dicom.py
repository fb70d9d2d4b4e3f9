"""Ultrasound DICOM: pixels as pydicom has them, scale, and nothing of the patient."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRLittleEndian

from napari_segmoe.data.dicom_pixels import decode_with_imagecodecs
from napari_segmoe.data.images import read_image
from napari_segmoe.errors import ImageReadError
from napari_segmoe.types import Modality


def region(x0, y0, x1, y1, delta=0.01):
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType = 1, 1
    item.RegionLocationMinX0, item.RegionLocationMinY0 = x0, y0
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = x1, y1
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
    item.PhysicalDeltaX, item.PhysicalDeltaY = delta, 2 * delta
    return item


def write(path, pixels, regions=(), **tags):
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.Modality, dataset.PatientName = "US", "Doe^Jane"
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "MONOCHROME2", 1
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, 0
    dataset.PixelData = pixels.tobytes()
    if regions:
        dataset.SequenceOfUltrasoundRegions = list(regions)
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.save_as(
        path, enforce_file_format=False, implicit_vr=False, little_endian=True
    )
    return path


@pytest.fixture
def frame(rng):
    """Echoes in the middle, a word at the top left, black between."""
    pixels = np.zeros((100, 120), np.uint8)
    pixels[30:90, 20:100] = rng.integers(30, 250, (60, 80))
    pixels[4:10:2, 4:40] = 255
    return pixels


def test_every_sample_opens(dicom_samples):
    paths = sorted(dicom_samples.glob("*.dcm"))
    images = [read_image(path) for path in paths]
    assert len(images) == 8
    assert {image.modality for image in images} == {Modality.ULTRASOUND}
    assert all(image.pixels.std() > 5 for image in images)


def test_region_crops_the_frame_and_gives_its_scale(tmp_path, frame):
    path = write(tmp_path / "a.dcm", frame, [region(20, 30, 99, 89)])
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, frame[30:90, 20:100])
    assert image.spacing_um == pytest.approx((200, 100))
    assert image.origin_yx == (30, 20)
    assert (image.regions[0].y0, image.regions[0].x1) == (0, 80)


def test_what_lies_between_two_regions_is_blanked(tmp_path, frame):
    frame[50, 60] = 77
    path = write(
        tmp_path / "a.dcm", frame, [region(20, 30, 49, 89), region(70, 30, 99, 89)]
    )
    image = read_image(path)
    assert image.pixels.shape == (60, 80)
    assert not image.pixels[:, 30:50].any()
    assert image.spacing_um == pytest.approx((200, 100))


def test_regions_of_two_scales_give_no_common_one(tmp_path, frame):
    regions = [region(20, 30, 49, 89), region(70, 30, 99, 89, delta=0.02)]
    image = read_image(write(tmp_path / "a.dcm", frame, regions))
    assert image.spacing_um is None
    assert any("differ in scale" in note for note in image.notes)


def test_other_units_are_no_spacing(tmp_path, frame):
    item = region(20, 30, 99, 89)
    item.PhysicalUnitsXDirection = 4
    assert read_image(write(tmp_path / "a.dcm", frame, [item])).spacing_um is None


def test_a_region_made_for_a_larger_frame_gives_no_scale(tmp_path, frame):
    image = read_image(write(tmp_path / "a.dcm", frame, [region(20, 30, 300, 300)]))
    assert image.spacing_um is None
    assert any("does not fit" in note for note in image.notes)


def test_without_region_the_fan_is_kept_and_text_removed(tmp_path, frame):
    image = read_image(write(tmp_path / "a.dcm", frame, PixelSpacing=[0.3, 0.2]))
    assert image.pixels.shape == (60, 80)
    assert image.origin_yx == (30, 20)
    assert image.spacing_um == pytest.approx((300, 200))


def test_nothing_of_the_patient_is_kept(tmp_path, frame):
    image = read_image(write(tmp_path / "a.dcm", frame, BurnedInAnnotation="YES"))
    told = repr((image.metadata, image.notes))
    assert "Doe" not in told
    assert "a.dcm" not in told
    assert any("burned into" in note for note in image.notes)


def test_monochrome1_is_inverted(tmp_path, frame):
    options = {"PhotometricInterpretation": "MONOCHROME1"}
    image = read_image(
        write(tmp_path / "a.dcm", frame, [region(20, 30, 99, 89)], **options)
    )
    np.testing.assert_array_equal(image.pixels, 255 - frame[30:90, 20:100])


def test_stated_window_is_applied(tmp_path):
    pixels = np.tile(np.arange(0, 2000, 20, dtype=np.uint16), (60, 1))
    tags = {"WindowCenter": 1000, "WindowWidth": 400, "BitsStored": 12, "HighBit": 11}
    path = write(tmp_path / "a.dcm", pixels, [region(0, 0, 99, 59)], **tags)
    row = read_image(path).pixels[0]
    assert row[40] == 0  # 800
    assert row[50] == pytest.approx(128, abs=1)  # 1000
    assert row[60] == 255  # 1200


def test_frames_of_a_clip_equal_those_of_pydicom():
    path = get_testdata_file("examples_ybr_color.dcm")
    image = read_image(path, frame=3)
    y0, x0 = image.origin_yx
    height, width = image.pixels.shape[:2]
    theirs = pixel_array(pydicom.dcmread(path), index=3)[
        y0 : y0 + height, x0 : x0 + width
    ]
    shown = image.pixels.any(axis=2)
    assert image.frame_count == 30
    np.testing.assert_array_equal(image.pixels[shown], theirs[shown])
    with pytest.raises(ImageReadError, match="30 frames"):
        read_image(path, frame=30)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("examples_jpeg2k.dcm", 0),
        ("SC_rgb_jpeg_dcmtk.dcm", 2),
        ("SC_rgb_gdcm_KY.dcm", 0),
    ],
)
def test_our_decoders_agree_with_those_of_pydicom(name, tolerance):
    dataset = pydicom.dcmread(get_testdata_file(name))
    ours = decode_with_imagecodecs(dataset, 0, 1).astype(int)
    theirs = pixel_array(dataset, index=0).astype(int)
    assert np.abs(ours - theirs).max() <= tolerance


def test_lossless_jpeg_ls_equals_the_uncompressed_file():
    packed = pydicom.dcmread(get_testdata_file("MR_small_jpeg_ls_lossless.dcm"))
    plain = pydicom.dcmread(get_testdata_file("MR_small.dcm"))
    np.testing.assert_array_equal(
        decode_with_imagecodecs(packed, 0, 1), plain.pixel_array
    )


def test_rle_and_palette_open():
    assert read_image(get_testdata_file("SC_rgb_rle.dcm")).pixels.shape == (100, 100, 3)
    image = read_image(get_testdata_file("examples_palette.dcm"))
    assert image.spacing_um == pytest.approx((262.287877, 262.287877))


def test_cut_short_and_pictureless_files_are_refused(tmp_path, frame):
    path = write(tmp_path / "a.dcm", frame)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(ImageReadError, match="cut short"):
        read_image(path)
    with pytest.raises(ImageReadError, match="no picture"):
        read_image(Path(get_testdata_file("reportsi.dcm")))
    (tmp_path / "b.dcm").write_bytes(b"hello" * 100)
    with pytest.raises(ImageReadError, match=r"b\.dcm"):
        read_image(tmp_path / "b.dcm")


def test_an_unreadable_number_of_frames_is_refused():
    with (
        pytest.warns(UserWarning, match="Invalid value for VR IS"),
        pytest.raises(ImageReadError, match="number of frames"),
    ):
        read_image(get_testdata_file("badVR.dcm"))
