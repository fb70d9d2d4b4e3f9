"""Slides open as lazy pyramids with their scale, whatever is wrong with a part."""

import shutil

import numpy as np
import pytest
from napari.components import ViewerModel
from PIL import Image

from napari_segmoe.data.slides.fingerprint import fingerprint
from napari_segmoe.data.slides.opening import open_slide
from napari_segmoe.errors import ImageReadError, SlideError
from napari_segmoe.viewer import readers
from napari_segmoe.viewer.slide_levels import (
    CACHE_BYTES,
    UNREADABLE,
    SlidePixels,
    make_levels,
)
from tests.session.slide_fakes import disc_pixels, write_slide


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return write_slide(tmp_path_factory.mktemp("slide") / "discs.ome.tif")


def test_a_slide_is_a_pyramid_with_scale_units_and_facts(slide):
    ((levels, options, kind),) = readers.get_image_reader(str(slide))(str(slide))
    assert kind == "image"
    assert options["name"] == "discs"
    assert options["multiscale"]
    assert options["rgb"]
    assert [level.shape for level in levels] == [
        (1536, 1536, 3),
        (768, 768, 3),
        (384, 384, 3),
    ]
    layer = ViewerModel().add_image(levels, **options)
    assert layer.multiscale
    assert layer.scale == pytest.approx([0.5, 0.5])
    assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    facts = layer.metadata
    assert facts["spacing_um"] == (0.5, 0.5)
    assert facts["modality"] == "histology"
    assert facts["origin_yx"] == (0, 0)
    assert facts["backend"].startswith("tifffile")
    assert facts["slide_path"] == str(slide)


def test_levels_hold_the_files_pixels(slide):
    levels, _ = make_levels(open_slide(slide), pytest.fail)
    np.testing.assert_array_equal(levels[0].compute(), disc_pixels())
    part = levels[0][100:777, 300:1111].compute()
    np.testing.assert_array_equal(part, disc_pixels()[100:777, 300:1111])
    assert levels[0].chunksize == (512, 512, 3)
    assert all(side % 256 == 0 for side in levels[0].chunksize[:2])


def test_only_what_is_looked_at_is_read(slide, monkeypatch):
    source, boxes = open_slide(slide), []

    class Counting:
        path, levels = source.path, source.levels

        @staticmethod
        def read(level, box):
            boxes.append((level, box))
            return source.read(level, box)

    monkeypatch.setattr(
        "napari_segmoe.viewer.slide_levels.open_shared", lambda path: Counting
    )
    levels, _ = make_levels(source, pytest.fail)
    for _ in range(3):  # the second time it comes from the cache
        levels[0][10:40, 600:640].compute()
    assert boxes == [(0, (0, 512, 512, 1024))]


def test_the_cache_is_bounded(slide):
    _, pixels = make_levels(open_slide(slide), pytest.fail)
    assert isinstance(pixels, SlidePixels)
    assert CACHE_BYTES <= 256 << 20


def test_what_cannot_be_read_is_grey_and_told_once(tmp_path):
    path, told = write_slide(tmp_path / "gone.ome.tif"), []
    levels, pixels = make_levels(open_slide(path), told.append)
    assert levels[0][:10, :10].compute().max() < 100
    path.unlink()
    part = levels[0][600:700, 1030:1040].compute()
    assert part.shape == (100, 10, 3)
    assert (part == UNREADABLE).all()
    levels[1][:50, :50].compute()
    levels[0][1100:1200, 1100:1200].compute()
    assert len(told) == 1
    assert isinstance(told[0], SlideError)
    assert pixels.has_failed


def test_a_viewer_survives_a_slide_that_is_deleted_while_open(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(readers, "show_warning", told.append)
    path = write_slide(tmp_path / "gone.ome.tif")
    viewer = ViewerModel()
    ((levels, options, _),) = readers.read_layers(str(path))
    layer = viewer.add_image(levels, **options)
    path.unlink()
    corners = np.array([[0, 0], [700, 700]])
    layer._update_draw(1, corners, shape_threshold=(800, 800))
    layer.refresh()
    assert len(told) == 1
    assert layer.loaded
    assert (np.asarray(layer._slice.image.raw) == UNREADABLE).all()


def test_notes_are_shown(slide, monkeypatch):
    shown = []
    monkeypatch.setattr(readers, "show_info", shown.append)
    path = write_slide(slide.parent / "bare.ome.tif", spacing_um=None)
    ((_, options, _),) = readers.read_layers(str(path))
    assert "scale" not in options
    assert shown == list(options["metadata"]["notes"])
    assert any("spacing" in note or "pixel size" in note for note in shown)


def test_small_images_stay_images_and_other_files_are_left_alone(tmp_path):
    pixels = np.zeros((40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "small.tif")
    ((data, options, _),) = readers.read_layers(str(tmp_path / "small.tif"))
    assert data.shape == (40, 50, 3)
    assert "multiscale" not in options
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "folder.zarr").mkdir()
    for name in ("notes.txt", "folder.zarr", "missing.svs"):
        assert readers.get_image_reader(str(tmp_path / name)) is None


def test_a_slides_name_with_something_else_in_it_is_one_sentence(tmp_path):
    (tmp_path / "broken.svs").write_bytes(b"not a slide at all")
    reader = readers.get_image_reader(str(tmp_path / "broken.svs"))
    with pytest.raises(ImageReadError) as caught:
        reader(str(tmp_path / "broken.svs"))
    assert "broken.svs" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["CMU-1-Small-Region.svs", "TCGA-CR-7395-01A-01-TS1.svs"]
)
def test_sample_slides_open_with_the_files_own_size(wsi_samples, name):
    import openslide

    path = wsi_samples / name
    ((levels, options, _),) = readers.get_image_reader(str(path))(str(path))
    with openslide.OpenSlide(path) as file:
        assert [level.shape[1::-1] for level in levels] == list(file.level_dimensions)
        stated = file.properties.get("openslide.mpp-y")
        truth = file.read_region((1000, 1200), 0, (64, 48)).convert("RGB")
    if stated is not None:
        assert options["scale"][0] == pytest.approx(float(stated), rel=1e-6)
    part = levels[0][1200:1248, 1000:1064].compute()
    assert np.abs(part.astype(int) - np.asarray(truth)).mean() < 3


def test_a_dicom_folder_opens_as_a_slide(wsi_samples):
    folder = wsi_samples / "CMU-1-Small-Region_dicom"
    ((levels, options, _),) = readers.get_image_reader(str(folder))(str(folder))
    assert options["multiscale"]
    assert levels[0].ndim == 3
    assert levels[-1].compute().std() > 5


def test_the_manifest_takes_slides_and_folders():
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("napari-segmoe")
    (reader,) = manifest.contributions.readers
    assert reader.accepts_directories
    for suffix in (
        "svs",
        "ndpi",
        "mrxs",
        "scn",
        "bif",
        "vms",
        "vmu",
        "svslide",
        "zarr",
    ):
        assert f"*.{suffix}" in reader.filename_patterns


def test_a_fingerprint_follows_content_not_place(slide, tmp_path):
    copy = tmp_path / "elsewhere.tif"
    shutil.copy(slide, copy)
    assert fingerprint(copy) == fingerprint(slide)
    with copy.open("r+b") as file:
        file.seek(70)
        file.write(b"x")
    assert fingerprint(copy) != fingerprint(slide)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_bytes(b"1")
    before = fingerprint(folder)
    (folder / "b").write_bytes(b"2")
    assert fingerprint(folder) != before
