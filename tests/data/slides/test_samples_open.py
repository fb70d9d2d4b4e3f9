"""Every sample file opens as what it is, with the size and scale its library says."""

import numpy as np
import pydicom
import pytest
import tifffile
from scipy.ndimage import uniform_filter

from napari_segmoe.data.images import read_image
from napari_segmoe.data.slides.opening import is_slide, open_slide
from napari_segmoe.data.slides.region import read_area, region_at
from tests.data.slides.made_slides import volume_file

SVS = ("CMU-1-Small-Region.svs", "TCGA-CR-7395-01A-01-TS1.svs")
OME = "CMU-1-derived-pyramid.ome.tif"
DICOM = "CMU-1-Small-Region_dicom"
SLIDES = (*SVS, OME, DICOM)


def test_the_list_of_samples_is_complete(wsi_samples):
    found = {p.name for p in wsi_samples.iterdir() if p.suffix not in {".md", ".csv"}}
    assert found == set(SLIDES)


@pytest.mark.parametrize("name", SLIDES)
def test_every_slide_opens_and_gives_tissue_at_every_level(wsi_samples, name):
    source = open_slide(wsi_samples / name)
    assert is_slide(wsi_samples / name)
    overviews = []
    for number, level in enumerate(source.levels):
        pixels = source.read(number, (0, 0, *level.shape))
        assert pixels.shape == (*level.shape, 3)
        assert pixels.dtype == np.uint8
        assert 20 < pixels.mean() < 245
        assert pixels.std() > 10
        step = max(source.levels[0].shape) / 128 / level.downsample_yx[0]
        overviews.append(pixels[:: int(step), :: int(step)].mean((0, 1)))
    assert np.ptp(overviews, axis=0).max() < 4  # all levels show the same
    assert source.origin_yx == (0, 0)


@pytest.mark.parametrize("name", SVS)
def test_sizes_and_scale_are_those_of_openslide(wsi_samples, name):
    openslide = pytest.importorskip("openslide")
    theirs, ours = (
        openslide.OpenSlide(wsi_samples / name),
        open_slide(wsi_samples / name),
    )
    stored = ours.levels[: theirs.level_count]
    assert [(w, h) for h, w in (level.shape for level in stored)] == list(
        theirs.level_dimensions
    )
    for level, downsample in zip(stored, theirs.level_downsamples, strict=True):
        assert level.downsample_yx == pytest.approx((downsample,) * 2, rel=1e-3)
    mpp = theirs.properties.get(openslide.PROPERTY_NAME_MPP_X)
    if mpp is None:
        assert ours.spacing_um is None
        assert "no pixel size" in " ".join(ours.notes)
    else:
        assert ours.spacing_um == pytest.approx((float(mpp), float(mpp)))


@pytest.mark.parametrize("name", [*SVS, OME])
def test_sizes_are_those_of_tifffile(wsi_samples, name):
    ours = open_slide(wsi_samples / name)
    with tifffile.TiffFile(wsi_samples / name) as tiff:
        theirs = [level.shape[:2] for level in tiff.series[0].levels]
    assert [level.shape for level in ours.levels[: len(theirs)]] == theirs


def test_pixels_and_scale_of_the_ome_tiff_are_those_of_tifffile(wsi_samples):
    ours = open_slide(wsi_samples / OME)
    with tifffile.TiffFile(wsi_samples / OME) as tiff:
        pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
        for number, level in enumerate(tiff.series[0].levels):
            expected = level.asarray()
            found = ours.read(number, (0, 0, *expected.shape[:2]))
            assert np.array_equal(found, expected)
    assert pixels["PhysicalSizeXUnit"] in {"µm", "um"}
    stated = (pixels["PhysicalSizeY"], pixels["PhysicalSizeX"])
    assert ours.spacing_um == pytest.approx(stated) == (0.499, 0.499)


def test_size_and_scale_of_the_dicom_slide_are_those_of_pydicom(wsi_samples):
    ours = open_slide(wsi_samples / DICOM)
    stated = pydicom.dcmread(volume_file(wsi_samples / DICOM), stop_before_pixels=True)
    measures = stated.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert ours.levels[0].shape == (
        stated.TotalPixelMatrixRows,
        stated.TotalPixelMatrixColumns,
    )
    assert ours.spacing_um == pytest.approx([mm * 1000 for mm in measures.PixelSpacing])


@pytest.mark.parametrize(
    ("names", "um"),
    [
        (("CMU-1-Small-Region.svs", OME, DICOM), 0.499),
        # The coarse levels of the OME-TIFF are of another making.
        (("CMU-1-Small-Region.svs", DICOM), 2.0),
    ],
)
def test_one_tissue_looks_alike_in_every_format_at_one_pixel_size(
    wsi_samples, names, um
):
    pictures = []
    for name in names:
        source = open_slide(wsi_samples / name)
        region = region_at(
            source,
            (600, 700, 1600, 1700),
            spacing_um=um,
            slide_spacing_um=source.spacing_um,
        )
        pixels = region.read((0, 0, *region.shape)).astype(float)
        pictures.append(uniform_filter(pixels.mean(-1), 4))
    for picture in pictures[1:]:
        assert picture.shape == pictures[0].shape
        difference = np.abs(picture - pictures[0])[8:-8, 8:-8].mean()
        moved = np.abs(np.roll(picture, 1, 0) - pictures[0])[8:-8, 8:-8].mean()
        assert difference < 1
        assert difference < moved / 4


@pytest.mark.parametrize("name", SLIDES)
def test_label_and_macro_are_not_among_the_levels(wsi_samples, name):
    source = open_slide(wsi_samples / name)
    height, width = source.levels[0].shape
    for level in source.levels:
        assert level.shape[0] / level.shape[1] == pytest.approx(
            height / width, rel=0.01
        )
    overview = read_area(
        source, start_yx=(0, 0), step_yx=(height / 64, width / 64), shape=(64, 64)
    )
    assert overview.std() > 10


def test_every_ultrasound_file_is_an_image_and_no_slide(dicom_samples):
    files = sorted(dicom_samples.glob("*.dcm"))
    assert len(files) == 8
    for file in files:
        assert not is_slide(file)
        stated = pydicom.dcmread(file, stop_before_pixels=True)
        image = read_image(file)
        assert image.pixels.shape[0] <= stated.Rows
        assert image.pixels.shape[1] <= stated.Columns
        if image.spacing_um is not None and "SequenceOfUltrasoundRegions" in stated:
            region = stated.SequenceOfUltrasoundRegions[0]
            expected = (
                abs(region.PhysicalDeltaY) * 1e4,
                abs(region.PhysicalDeltaX) * 1e4,
            )
            assert image.spacing_um == pytest.approx(expected)
