"""Labels and their table on disk and back."""

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from napari_segmoe.errors import PromptError
from napari_segmoe.viewer.writer import read_rows, save_objects, write_labels
from tests.session.fakes import make_session
from tests.session.slide_fakes import make_slide_session, write_slide


def committed_session():
    session = make_session()
    session.prompting.segment_image()
    session.annotation.commit()
    return session


def test_saved_objects_come_back_with_their_classes(tmp_path):
    session = committed_session()
    files = save_objects(tmp_path / "objects.tif", session)
    assert [f.rsplit("/")[-1] for f in files] == ["objects.tif", "objects.json"]
    labels = tifffile.imread(files[0])
    assert labels.dtype == np.uint16
    other = make_session()
    other.annotation.load(labels, read_rows(tmp_path / "objects.tif"))
    np.testing.assert_array_equal(other.annotation.labels, session.annotation.labels)
    table = other.classes.table
    names = [table.find(r.class_id).name for r in other.annotation.records]
    assert names == ["malignant", "benign"]
    probabilities = [r.probability for r in other.annotation.records]
    assert probabilities == pytest.approx([0.83, 0.9])


def test_the_manifests_writer_writes_png_and_features(tmp_path):
    labels = np.array([[0, 300], [2, 2]])
    features = pd.DataFrame({"index": [2, 300], "p": [0.5, np.nan]})
    path = str(tmp_path / "l.png")
    assert write_labels(path, labels, {"features": features})[0] == path
    np.testing.assert_array_equal(np.asarray(Image.open(path)), labels)
    rows = json.loads((tmp_path / "l.json").read_text())["objects"]
    assert rows == [{"index": 2.0, "p": 0.5}, {"index": 300.0, "p": None}] or rows == [
        {"index": 2, "p": 0.5},
        {"index": 300, "p": None},
    ]


def test_too_many_ids_are_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(PromptError, match="65535"):
        write_labels(str(tmp_path / "l.tif"), np.array([[70_000]]), {})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist_is_one_sentence():
    with pytest.raises(PromptError, match="Cannot write"):
        save_objects(__import__("pathlib").Path("/nowhere/a.tif"), committed_session())


def test_a_label_image_without_a_table_has_no_rows(tmp_path):
    assert read_rows(tmp_path / "l.tif") == []


def test_each_region_of_a_slide_says_where_it_lies(tmp_path):
    slide = write_slide(tmp_path / "discs.ome.tif")
    session = make_slide_session(slide)
    with pytest.raises(PromptError, match="Commit some first"):
        save_objects(tmp_path / "objects.png", session)
    session.regions.segment((0, 0, 500, 500))
    session.annotation.commit()
    files = save_objects(tmp_path / "objects.png", session)
    assert files == [str(tmp_path / "objects.png"), str(tmp_path / "objects.json")]
    session.regions.segment((900, 1000, 1536, 1536))
    session.annotation.commit()
    files = save_objects(tmp_path / "objects.png", session)
    assert [f.rsplit("/")[-1] for f in files] == [
        "objects.region-1.png",
        "objects.region-1.json",
        "objects.region-2.png",
        "objects.region-2.json",
    ]
    place = json.loads((tmp_path / "objects.region-2.json").read_text())["region"]
    assert place == {
        "number": 2,
        "origin_yx_level0_px": [900.0, 1000.0],
        "step_yx_level0_px": [2.0, 2.0],
        "spacing_um": [1.0, 1.0],
    }
    assert np.asarray(Image.open(files[2])).shape == (318, 268)
    rows = read_rows(tmp_path / "objects.region-2.png")
    assert rows[0]["area_um2"] == pytest.approx(np.pi * 50**2, rel=0.02)
