"""Images of a project are found by content, wherever their files went."""

import imageio.v3 as iio
import numpy as np

from napari_segmoe.data.slides.fingerprint import fingerprint
from napari_segmoe.data.slides.opening import open_slide
from napari_segmoe.data.slides.region import read_area
from napari_segmoe.data.synthetic_slide import write_synthetic_slide
from napari_segmoe.project.local_files import note_paths, read_paths
from napari_segmoe.project.records import ImageRecord, RegionPlace
from napari_segmoe.training.finetune.pictures import Pictures


def make_file(folder, name, value):
    folder.mkdir(exist_ok=True)
    file = folder / name
    iio.imwrite(file, np.full((20, 30), value, np.uint8))
    return file


def make_record(file, **values):
    return ImageRecord(
        name="image-0001",
        fingerprint=fingerprint(file),
        **{"shape": (20, 30), **values},
    )


def test_a_box_of_an_image_is_read(tmp_path):
    file = make_file(tmp_path / "images", "a.png", 7)
    note_paths(tmp_path, {fingerprint(file): file})
    pixels = Pictures(tmp_path).read(make_record(file), (5, 5, 15, 25))
    assert pixels.shape[:2] == (10, 20)
    assert (pixels == 7).all()


def test_a_file_that_was_renamed_is_found_and_noted(tmp_path):
    file = make_file(tmp_path / "images", "a.png", 7)
    make_file(tmp_path / "images", "b.png", 9)
    record = make_record(file)
    note_paths(tmp_path, {record.fingerprint: file})
    moved = file.rename(file.with_name("zz.png"))
    pictures = Pictures(tmp_path)
    assert (pictures.read(record, (0, 0, 20, 30)) == 7).all()
    assert read_paths(tmp_path)[record.fingerprint] == moved
    assert pictures.missing == {}


def test_another_image_under_the_old_name_is_not_taken(tmp_path):
    file = make_file(tmp_path / "images", "a.png", 7)
    record = make_record(file)
    note_paths(tmp_path, {record.fingerprint: file})
    make_file(tmp_path / "images", "a.png", 9)
    pictures = Pictures(tmp_path)
    assert pictures.read(record, (0, 0, 20, 30)) is None
    assert "image-0001 is left out" in pictures.missing["image-0001"]


def test_a_file_of_another_size_is_left_out(tmp_path):
    file = make_file(tmp_path / "images", "a.png", 7)
    record = make_record(file, shape=(40, 40))
    note_paths(tmp_path, {record.fingerprint: file})
    pictures = Pictures(tmp_path)
    assert pictures.read(record, (0, 0, 40, 40)) is None
    assert "20 x 30" in pictures.missing["image-0001"]


def test_a_damaged_file_is_left_out(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    record = make_record(file)
    note_paths(tmp_path, {record.fingerprint: file})
    pictures = Pictures(tmp_path)
    assert pictures.read(record, (0, 0, 20, 30)) is None
    assert "cannot be read" in pictures.missing["image-0001"]


def test_a_region_of_a_slide_is_read_where_it_lies(tmp_path):
    slide = tmp_path / "s.ome.tif"
    write_synthetic_slide(slide, (512, 512), seed=1)
    place = RegionPlace(origin_yx=(100.0, 60.0), step_yx=(2.0, 2.0))
    record = make_record(slide, shape=(150, 150), region=place)
    note_paths(tmp_path, {record.fingerprint: slide})
    found = Pictures(tmp_path).read(record, (10, 20, 60, 90))
    wanted = read_area(
        open_slide(slide),
        start_yx=(120.0, 100.0),
        step_yx=(2.0, 2.0),
        shape=(50, 70),
    )
    assert np.array_equal(found, wanted)
