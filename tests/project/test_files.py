"""Objects of a project in other programs' files, both ways."""

import csv
import json

import numpy as np
import pytest
import zarr
from PIL import Image
from pycocotools.coco import COCO

from napari_segmoe.data.folder import read_data_folder
from napari_segmoe.data.geojson import read_geojson
from napari_segmoe.data.ome_zarr import read_label_image, read_multiscales
from napari_segmoe.errors import ProjectError
from napari_segmoe.project.exporting import export_project
from napari_segmoe.project.importing import (
    hide_group,
    import_data_folder,
    import_outlines,
)
from napari_segmoe.project.local_files import LOCAL, note_paths, read_paths
from napari_segmoe.project.records import (
    Change,
    EventKind,
    ImageRecord,
    ObjectState,
    PixelPatch,
    RegionPlace,
)
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.project.verification import verify_project
from tests.project import scripts

NAME = "MUELLER-Anna-1960"


@pytest.fixture
def store(tmp_path):
    with ProjectStore.create(tmp_path / "study.segmoe") as made:
        scripts.begin(made)
        for seed in range(30):
            scripts.act(made, seed)
        yield made


@pytest.fixture
def folder(tmp_path):
    """A data folder whose files bear a patient's name."""
    path = tmp_path / "data"
    for part in ("images", "masks"):
        (path / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = ["file,class,split,group"]
    for number in range(2):
        pixels = rng.integers(0, 255, (50, 70, 3)).astype(np.uint8)
        mask = np.zeros((50, 70), np.uint8)
        mask[5:20, 5:30], mask[30:45, 40:60] = 1, 2
        Image.fromarray(pixels).save(path / "images" / f"{NAME}-{number}.png")
        Image.fromarray(mask).save(path / "masks" / f"{NAME}-{number}.png")
        kind = ("benign", "malignant")[number]
        rows.append(f"{NAME}-{number}.png,{kind},train,{NAME}")
    (path / "labels.csv").write_text("\n".join(rows) + "\n")
    return read_data_folder(path)


def test_masks_of_a_folder_become_corrections(store, folder):
    found = list(import_data_folder(store, folder, folder.items, data_spacing_um=0.5))
    assert [one.objects for one in found] == [2, 2]
    record = store.image(found[1].image)
    assert record.spacing_um == (0.5, 0.5)
    objects = store.objects(record.name)
    names = {one.id: one.name for one in store.classes()}
    assert {names[one.class_id] for one in objects.values()} == {"malignant"}
    assert objects[1].box == (5, 5, 20, 30)
    assert (store.labels(record.name) == 2).sum() == 15 * 20
    assert store.tiles(record.name)[0].box == (0, 0, 50, 70)
    groups = {one.group for one in store.images() if one.group}
    assert groups == {hide_group(NAME, store.salt)}


def test_taking_the_same_masks_twice_changes_nothing(store, folder):
    list(import_data_folder(store, folder, folder.items))
    before = scripts.state_of(store)
    list(import_data_folder(store, folder, folder.items))
    assert scripts.state_of(store) == before
    assert verify_project(store.path).faults == ()


def test_no_name_of_a_patient_is_in_the_project_or_its_exports(store, folder, tmp_path):
    list(import_data_folder(store, folder, folder.items))
    list(export_project(store, tmp_path / "out"))
    store.close()
    files = [one for one in store.path.rglob("*") if one.is_file()]
    files += [one for one in (tmp_path / "out").rglob("*") if one.is_file()]
    naming = {one.name for one in files if NAME.encode() in one.read_bytes()}
    assert naming == {LOCAL}
    assert not [one for one in files if NAME in one.name]


def test_exports_hold_what_the_project_holds(store, tmp_path):
    out = tmp_path / "out"
    files = list(export_project(store, out))
    assert {"coco.json", "objects.csv", "image-0001.geojson"} <= set(files)
    for record in store.images():
        states, labels = store.objects(record.name), store.labels(record.name)
        drawn = {number for number in states if (labels == number).any()}
        found, notes = read_geojson(out / f"{record.name}.geojson")
        assert notes == ()
        assert {one.id for one in found} == drawn
        by_id = {one.id: one for one in found}
        number = min(drawn)
        assert by_id[number].shape.area == (labels == number).sum()
        assert by_id[number].measurements["Area µm^2"] == states[number].area_px / 4
        group = zarr.open_group(out / "labels" / f"{record.name}.ome.zarr", mode="r")
        np.testing.assert_array_equal(group["0"][:], labels)
        assert read_multiscales(group).spacing_um == (0.5, 0.5)
        assert set(read_label_image(group).properties) == set(states)
    with (out / "objects.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(store.objects(one.name)) for one in store.images())
    assert COCO(out / "coco.json").getCatIds() == [1, 2]


def test_exports_come_back_and_go_out_the_same(store, tmp_path):
    list(export_project(store, tmp_path / "one"))
    for record in store.images():
        objects, _ = read_geojson(tmp_path / "one" / f"{record.name}.geojson")
        import_outlines(store, record, objects, on_slide=True)
    list(export_project(store, tmp_path / "two"))
    for record in store.images():
        name = f"{record.name}.geojson"
        first = json.loads((tmp_path / "one" / name).read_text("utf-8"))
        second = json.loads((tmp_path / "two" / name).read_text("utf-8"))
        assert [one["geometry"] for one in first["features"]] == [
            one["geometry"] for one in second["features"]
        ]


def test_objects_of_a_region_lie_on_their_slide(tmp_path):
    with ProjectStore.create(tmp_path / "slide.segmoe") as store:
        place = RegionPlace(origin_yx=(1000, 2000), step_yx=(2, 4))
        record = ImageRecord(
            name="image-0001", fingerprint="a", shape=(40, 40), region=place
        )
        store.add_image(record)
        after = np.zeros((40, 40), np.uint32)
        after[10:20, 5:15] = 1
        store.append(
            EventKind.COMMIT,
            Change(objects={1: ObjectState(box=(10, 5, 20, 15), area_px=100)}),
            image="image-0001",
            patch=PixelPatch((0, 0, 40, 40), np.zeros_like(after), after),
        )
        list(export_project(store, tmp_path / "out"))
        ((one,), _) = read_geojson(tmp_path / "out" / "image-0001.geojson")
        assert one.shape.bounds == (2020, 1020, 2060, 1040)
        import_outlines(store, record, [one], on_slide=True)
        np.testing.assert_array_equal(store.labels("image-0001"), after)


def test_a_folder_with_something_in_it_is_not_written_to(store, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(ProjectError, match="not empty"):
        list(export_project(store, tmp_path / "out"))


def test_paths_are_remembered_and_a_damaged_file_forgets_them(tmp_path):
    note_paths(tmp_path, {"a": tmp_path / "a.png"})
    note_paths(tmp_path, {"b": tmp_path / "b.png"})
    assert set(read_paths(tmp_path)) == {"a", "b"}
    (tmp_path / LOCAL).write_text("{")
    assert read_paths(tmp_path) == {}
