"""Long tasks of the open project: how they go on, end, fail and are cancelled."""

import json

import numpy as np
import pytest
from PIL import Image

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.session.project_tasks import LANE, TaskKind
from tests.session.fakes import ManualRunner, make_pixels, make_session


@pytest.fixture
def session(tmp_path):
    session = make_session()
    session.project.create(tmp_path / "study.segmoe")
    session.prompting.segment_image()
    session.annotation.commit()
    yield session
    session.close()


def test_an_export_is_whole_and_tells_how_far_it_is(session, tmp_path):
    seen = []
    session.project_tasks.changed.connect(
        lambda: seen.append(session.project_tasks.progress)
    )
    session.project_tasks.export(tmp_path / "out")
    assert session.project_tasks.result.is_good
    assert session.project_tasks.result.text == "Wrote 4 files into out."
    names = {one.name for one in (tmp_path / "out").iterdir()}
    assert names == {"image-0001.geojson", "coco.json", "objects.csv", "labels"}
    progress = [one for one in seen if one is not None]
    assert [one.done for one in progress] == [0, 1, 2, 3, 4]
    assert {one.total for one in progress} == {4}
    assert not list(tmp_path.glob(".*partial*"))


def test_an_export_into_a_folder_with_files_is_refused(session, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    session.project_tasks.export(tmp_path / "out")
    assert not session.project_tasks.result.is_good
    assert "not empty" in session.project_tasks.result.text
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"


def test_what_is_cancelled_leaves_no_half_export(tmp_path):
    runner = ManualRunner()
    session = make_session(runner=runner)
    session.project.create(tmp_path / "study.segmoe")
    session.project_tasks.export(tmp_path / "out")
    assert runner.jobs[-1].lane == LANE
    runner.step(runner.jobs[-1].topic, 2)
    assert session.project_tasks.running is TaskKind.EXPORT
    with pytest.raises(ProjectError, match="busy with: export"):
        session.project_tasks.verify()
    session.project_tasks.cancel()
    assert session.project_tasks.running is None
    assert "cancelled" in session.project_tasks.result.text
    assert sorted(one.name for one in tmp_path.iterdir()) == ["study.segmoe"]
    session.close()


def test_imported_objects_show_at_once(session, tmp_path):
    session.project_tasks.export(tmp_path / "out")
    content = json.loads((tmp_path / "out" / "image-0001.geojson").read_text())
    content["features"] = content["features"][:1]
    file = tmp_path / "glands.geojson"
    file.write_text(json.dumps(content))
    image = session.project.image_name
    session.project_tasks.import_from(file, image=image, annotator="reader-1")
    assert session.project_tasks.result.text == "Took 1 object of 1 image."
    assert len(session.annotation.records) == 1
    assert set(np.unique(session.annotation.labels)) == {0, 1}
    session.annotation.delete([1])
    assert session.project.unsaved == 0
    assert session.project.store.objects(image) == {}


def test_masks_of_a_folder_join_the_project_with_their_classes(session, tmp_path):
    data = tmp_path / "data"
    for part in ("images", "masks"):
        (data / part).mkdir(parents=True)
    mask = np.zeros((64, 64), np.uint8)
    mask[8:24, 8:24] = 255
    Image.fromarray(make_pixels()).save(data / "images" / "a.png")
    Image.fromarray(mask).save(data / "masks" / "a.png")
    (data / "labels.csv").write_text("file,class,split,group\na.png,cyst,train,p\n")
    session.project_tasks.import_from(data)
    assert session.project_tasks.result.is_good, session.project_tasks.result
    assert session.classes.table.find_name("cyst") is not None
    assert len(session.worklist.rows) == 2


def test_a_damaged_project_is_told_in_sentences(session):
    session.project_tasks.verify()
    assert session.project_tasks.result.is_good
    assert session.project_tasks.result.text.startswith("Whole: ")
    connection = session.project.store._connection
    connection.execute("DELETE FROM objects WHERE id = 1")
    session.project_tasks.verify()
    result = session.project_tasks.result
    assert not result.is_good
    assert any("table objects" in line for line in result.lines)


def test_a_backup_is_restored_as_a_project_of_its_own(session, tmp_path):
    session.project_tasks.back_up()
    backup = session.project_tasks.result.path
    session.annotation.delete([1, 2])
    session.project_tasks.restore(backup, tmp_path / "again.segmoe")
    assert session.project_tasks.result.text == "Restored as again.segmoe."
    with ProjectStore.open(tmp_path / "again.segmoe") as store:
        assert len(store.objects("image-0001")) == 2
    session.project.open(tmp_path / "again.segmoe")
    assert session.project_tasks.result is None
    assert len(session.annotation.records) == 2


def test_without_a_project_a_sentence_says_so(tmp_path):
    session = make_session()
    with pytest.raises(ProjectError, match="No project is open"):
        session.project_tasks.verify()
