"""GeoJSON and COCO files, both ways."""

import json

import numpy as np
import pytest
import shapely
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from scipy import ndimage

from napari_segmoe.data.annotation_file import OutlinedObject
from napari_segmoe.data.coco import AnnotatedImage, read_coco, write_coco
from napari_segmoe.data.geojson import read_geojson, write_geojson
from napari_segmoe.data.outlines import fill_shape, trace_mask
from napari_segmoe.errors import AnnotationFileError

SHAPE = (60, 80)


@pytest.fixture
def masks():
    noise = np.random.default_rng(3).random(SHAPE)
    labels, count = ndimage.label(ndimage.gaussian_filter(noise, 3) > 0.5)
    assert count > 4
    return [labels == number for number in range(1, count + 1)]


@pytest.fixture
def objects(masks):
    return tuple(
        OutlinedObject(
            id=3 * number + 1,
            shape=trace_mask(mask),
            class_name=("benign", "malignant", None)[number % 3],
            colour=("#33aa55", "#cc3344", None)[number % 3],
            measurements={"Area µm^2": float(mask.sum()) / 4},
            is_locked=number == 1,
        )
        for number, mask in enumerate(masks)
    )


def _same(found, wanted):
    assert [one.id for one in found] == [one.id for one in wanted]
    assert [one.class_name for one in found] == [one.class_name for one in wanted]
    assert [one.is_locked for one in found] == [one.is_locked for one in wanted]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(
            fill_shape(one.shape, SHAPE), fill_shape(other.shape, SHAPE)
        )


def test_geojson_there_and_back_and_there_is_the_same_file(tmp_path, objects):
    first, second = tmp_path / "a.geojson", tmp_path / "b.geojson"
    write_geojson(first, objects)
    found, notes = read_geojson(first)
    assert notes == ()
    _same(found, objects)
    assert [one.colour for one in found] == [one.colour for one in objects]
    assert found[0].measurements == objects[0].measurements
    write_geojson(second, found)
    assert second.read_bytes() == first.read_bytes()


def test_geojson_is_what_qupath_reads(tmp_path, objects):
    write_geojson(tmp_path / "a.geojson", objects)
    content = json.loads((tmp_path / "a.geojson").read_text("utf-8"))
    assert content["type"] == "FeatureCollection"
    first = content["features"][0]
    assert first["properties"]["objectType"] == "annotation"
    assert first["properties"]["classification"] == {
        "name": "benign",
        "color": [0x33, 0xAA, 0x55],
    }
    ring = first["geometry"]["coordinates"][0]
    assert ring[0] == ring[-1]
    assert max(x for x, _ in ring) <= SHAPE[1]


def test_geojson_of_other_programs_is_taken(tmp_path):
    bow = [[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]
    box = [[20, 20], [30, 20], [30, 40], [20, 40], [20, 20]]
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [bow]},
            "properties": {"classification": {"name": "Tumor", "colorRGB": -3670016}},
        },
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [box]},
            "properties": {
                "classification": {"names": ["Immune", "CD8"], "color": [1, 2, 3]},
                "measurements": [{"name": "Area", "value": 200}],
            },
        },
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}},
        {"type": "Feature", "geometry": None},
    ]
    path = tmp_path / "list.geojson"
    path.write_text(json.dumps(features))
    found, notes = read_geojson(path)
    assert [one.class_name for one in found] == ["Tumor", "Immune: CD8"]
    assert found[0].colour == "#c80000"
    assert found[0].shape.area == pytest.approx(50)
    assert found[1].measurements == {"Area": 200}
    assert "1 outlines" in notes[0]
    assert "2 features" in notes[1]


def test_coco_there_and_back_and_there_is_the_same_file(tmp_path, objects):
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    images = (AnnotatedImage("image-0001.png", SHAPE, objects),)
    write_coco(first, images)
    (found,) = read_coco(first)
    assert (found.name, found.shape) == ("image-0001.png", SHAPE)
    _same(found.objects, objects)
    write_coco(second, (found,))
    assert second.read_bytes() == first.read_bytes()


def test_pycocotools_sees_the_same_masks(tmp_path, objects, masks):
    path = tmp_path / "a.json"
    write_coco(path, (AnnotatedImage("image-0001.png", SHAPE, objects),))
    coco = COCO(path)
    for annotation, mask in zip(coco.loadAnns(coco.getAnnIds()), masks, strict=True):
        np.testing.assert_array_equal(coco.annToMask(annotation), mask)
        x, y, width, height = annotation["bbox"]
        rows, columns = np.nonzero(mask)
        assert (x, y) == (columns.min(), rows.min())
        assert (x + width, y + height) == (columns.max() + 1, rows.max() + 1)


def test_polygons_and_compressed_run_lengths_are_read(tmp_path, masks):
    packed = coco_mask.encode(np.asfortranarray(masks[0]))
    content = {
        "images": [{"id": 7, "file_name": "a.png", "height": 60, "width": 80}],
        "categories": [{"id": 2, "name": "gland"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 7,
                "category_id": 2,
                "segmentation": {
                    "size": list(SHAPE),
                    "counts": packed["counts"].decode(),
                },
            },
            {
                "id": 2,
                "image_id": 7,
                "category_id": 2,
                "segmentation": [[10, 10, 20, 10, 20, 30, 10, 30]],
            },
        ],
    }
    path = tmp_path / "other.json"
    path.write_text(json.dumps(content))
    (image,) = read_coco(path)
    np.testing.assert_array_equal(fill_shape(image.objects[0].shape, SHAPE), masks[0])
    assert image.objects[1].shape.equals(shapely.box(10, 10, 20, 30))
    assert image.objects[1].class_name == "gland"


@pytest.mark.parametrize("text", ["", "nothing", "[1, 2]", '{"images": []}', "3"])
def test_files_that_are_something_else_are_one_sentence(tmp_path, text):
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(AnnotationFileError, match=r"wrong\.json"):
        read_coco(path)
    if text != "[1, 2]":
        with pytest.raises(AnnotationFileError, match=r"wrong\.json"):
            read_geojson(path)


def test_a_mask_that_does_not_fill_its_image_is_said(tmp_path, objects):
    path = tmp_path / "a.json"
    write_coco(path, (AnnotatedImage("a.png", SHAPE, objects[:1]),))
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"]["counts"][0] += 1
    path.write_text(json.dumps(content))
    with pytest.raises(AnnotationFileError, match="do not fill"):
        read_coco(path)
