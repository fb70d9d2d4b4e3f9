"""One file at a time into a project: whose image it is, and what it may be."""

import json

import numpy as np
import pytest
import zarr

from napari_segmoe.errors import AnnotationFileError, ProjectError
from napari_segmoe.project.exporting import export_project
from napari_segmoe.project.import_files import import_file
from napari_segmoe.project.local_files import note_paths
from napari_segmoe.project.store import ProjectStore
from tests.project import scripts


@pytest.fixture
def store(tmp_path):
    with ProjectStore.create(tmp_path / "study.segmoe") as made:
        scripts.begin(made)
        for seed in range(30):
            scripts.act(made, seed)
        yield made


@pytest.fixture
def exported(store, tmp_path):
    list(export_project(store, tmp_path / "out"))
    return tmp_path / "out"


def classes_of(store, image):
    names = {one.id: one.name for one in store.classes()}
    return {
        number: names.get(state.class_id)
        for number, state in store.objects(image).items()
    }


def test_labels_come_back_as_they_went_out(store, exported):
    before, classes = store.labels("image-0002"), classes_of(store, "image-0002")
    assert classes
    list(import_file(store, exported / "labels" / "image-0002.ome.zarr"))
    np.testing.assert_array_equal(store.labels("image-0002"), before)
    assert classes_of(store, "image-0002") == classes


def test_labels_of_another_size_are_refused(store, exported):
    group = zarr.open_group(
        str(exported / "labels" / "image-0001.ome.zarr"), mode="r+", zarr_format=2
    )
    del group["0"]
    group.create_array("0", shape=(4, 5), dtype="uint32")
    before = len(list(store.events()))
    with pytest.raises(AnnotationFileError, match="4 x 5"):
        list(import_file(store, exported / "labels" / "image-0001.ome.zarr"))
    assert len(list(store.events())) == before


def test_a_file_named_after_no_image_needs_one(store, exported, tmp_path):
    other = tmp_path / "glands.geojson"
    other.write_bytes((exported / "image-0001.geojson").read_bytes())
    with pytest.raises(ProjectError, match="Open that image"):
        list(import_file(store, other))
    (found,) = import_file(store, other, image="image-0002")
    assert found.image == "image-0002"
    assert found.objects == len(store.objects("image-0001"))


def test_coco_names_images_as_their_files_are_called(store, exported, tmp_path):
    content = json.loads((exported / "coco.json").read_text())
    count = len(store.objects("image-0001"))
    content["images"] = content["images"][:1]
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] == 1]
    content["images"][0]["file_name"] = "scans/one.png"
    file = tmp_path / "coco.json"
    file.write_text(json.dumps(content))
    with pytest.raises(ProjectError, match=r"no image 'scans/one\.png'"):
        list(import_file(store, file))
    note_paths(
        store.path, {store.image("image-0001").fingerprint: tmp_path / "one.png"}
    )
    (found,) = import_file(store, file)
    assert (found.image, found.objects) == ("image-0001", count)


def test_coco_of_another_size_is_refused(store, exported):
    content = json.loads((exported / "coco.json").read_text())
    content["images"][0]["height"] = 7
    content["annotations"] = []
    (exported / "coco.json").write_text(json.dumps(content))
    with pytest.raises(ProjectError, match="is 7 x 400 px in the file"):
        list(import_file(store, exported / "coco.json"))


@pytest.mark.parametrize("name", ["a.csv", "image-0001.zarr"])
def test_other_files_are_refused_in_a_sentence(store, tmp_path, name):
    with pytest.raises(AnnotationFileError, match=r"\."):
        list(import_file(store, tmp_path / name))
