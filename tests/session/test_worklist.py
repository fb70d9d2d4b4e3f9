"""The worklist: files in, status, next and previous, the most uncertain first."""

import json

import numpy as np
import pytest
from PIL import Image

from napari_segmoe.errors import ImageReadError, NoImageError
from napari_segmoe.session.jobs import REGIONS
from napari_segmoe.session.worklist import WorklistOrder, WorklistStatus
from napari_segmoe.session.worklist_suggestions import image_uncertainty
from napari_segmoe.types import Prediction
from tests.session.fakes import FakePredictor, ManualRunner, make_session
from tests.session.project_fakes import choose, commit_at, open_project, write_images


class Doubting(FakePredictor):
    """As sure of an image as its first pixel says."""

    def predict_steps(self, *, locked=None):
        yield None
        doubt = float(self.image[0, 0]) / 100
        probability = np.full(self.image.shape, 0.5 - abs(0.5 - doubt), np.float32)
        mask = probability > 2
        return Prediction(mask, probability, mask.astype(np.uint32))


def follow(session):
    """Open images as the viewer would."""
    session.worklist.open_requested.connect(lambda path: choose(session, path))
    return session


def titles(session):
    return [row.title for row in session.worklist.rows]


def test_a_folder_is_listed_by_name_without_what_cannot_be_opened(tmp_path):
    write_images(tmp_path / "scans", "b", "a")
    (tmp_path / "scans" / "notes.txt").write_text("no image")
    (tmp_path / "scans" / ".hidden.png").write_text("no image")
    session = make_session(image=False)
    assert session.worklist.add([tmp_path / "scans"]) == 2
    assert titles(session) == ["a", "b"]
    assert session.worklist.add([tmp_path / "scans" / "a.png"]) == 0


def test_of_a_data_folder_the_images_are_taken_and_not_the_masks(tmp_path):
    write_images(tmp_path / "data" / "images", "a")
    write_images(tmp_path / "data" / "masks", "x", "a")
    session = make_session(image=False)
    session.worklist.add([tmp_path / "data"])
    assert titles(session) == ["a"]


def test_nothing_to_open_is_said(tmp_path):
    session = make_session(image=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageReadError, match="no image in empty"):
        session.worklist.add([tmp_path / "empty"])
    with pytest.raises(ImageReadError, match="no file gone"):
        session.worklist.add([tmp_path / "gone"])
    session.worklist.next()
    assert "empty" in session.notes[-1]


@pytest.mark.parametrize("has_project", [True, False])
def test_next_and_previous_keep_each_images_state(tmp_path, has_project):
    write_images(tmp_path / "scans", "a", "b", "c")
    path = tmp_path / "study.segmoe"
    session = follow(open_project(path) if has_project else make_session(image=False))
    session.worklist.add([tmp_path / "scans"])
    session.worklist.next()
    commit_at(session, 12, 12)
    session.worklist.next()
    session.worklist.mark_done()
    session.worklist.next()
    session.worklist.next()
    assert "last image" in session.notes[-1]
    rows = session.worklist.rows
    assert [row.status for row in rows] == [
        WorklistStatus.STARTED,
        WorklistStatus.DONE,
        WorklistStatus.UNTOUCHED,
    ]
    assert [row.objects for row in rows] == [1, 0, 0]
    assert [row.is_current for row in rows] == [False, False, True]
    session.worklist.previous()
    session.worklist.previous()
    assert len(session.annotation.records) == 1
    if has_project:
        assert [row.image for row in rows] == ["image-0001", "image-0002", "image-0003"]


def test_a_project_brings_its_worklist_back_and_knows_missing_files(tmp_path):
    paths = write_images(tmp_path / "scans", "a", "b")
    session = follow(open_project(tmp_path / "study.segmoe"))
    session.worklist.add([tmp_path / "scans"])
    session.worklist.next()
    session.worklist.mark_done()
    session.close()
    paths[1].unlink()
    again = follow(open_project(tmp_path / "study.segmoe"))
    rows = again.worklist.rows
    assert [row.title for row in rows] == ["a", "b"]
    assert rows[0].status is WorklistStatus.DONE
    assert rows[1].is_missing
    with pytest.raises(NoImageError, match="not where it was"):
        again.worklist.open(rows[1])


def test_a_list_made_without_a_project_joins_the_one_that_is_opened(tmp_path):
    write_images(tmp_path / "scans", "a", "b")
    session = make_session(image=False)
    session.worklist.add([tmp_path / "scans"])
    session.project.create(tmp_path / "study.segmoe")
    assert [row.image for row in session.worklist.rows] == ["image-0001", "image-0002"]


def test_an_unreadable_file_is_said_and_the_others_join(tmp_path):
    write_images(tmp_path / "scans", "a", "c")
    (tmp_path / "scans" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    session = open_project(tmp_path / "study.segmoe")
    session.worklist.add([tmp_path / "scans"])
    assert "b.png" in str(session.failures[0])
    assert len(session.project.store.images()) == 2


def test_the_most_uncertain_come_first_and_are_remembered(tmp_path):
    for name, doubt in (("a", 10), ("b", 45), ("c", 30)):
        pixels = np.full((16, 16), doubt, np.uint8)
        (tmp_path / "scans").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "scans" / f"{name}.png")
    session = open_project(tmp_path / "study.segmoe", predictor=Doubting())
    session.worklist.add([tmp_path / "scans"])
    session.worklist.sort(WorklistOrder.UNCERTAIN)
    assert session.failures == []
    assert titles(session) == ["b", "c", "a"]
    values = [row.uncertainty for row in session.worklist.rows]
    assert values == sorted(values, reverse=True)
    cached = json.loads((tmp_path / "study.segmoe/cache/uncertainty.json").read_text())
    assert len(cached["breast_ultrasound"]) == 3
    session.close()
    again = open_project(tmp_path / "study.segmoe", predictor=None)
    again.worklist.sort(WorklistOrder.UNCERTAIN)  # this predictor could not answer
    assert titles(again) == ["b", "c", "a"]


def test_a_random_order_is_the_same_for_a_seed(tmp_path):
    write_images(tmp_path / "scans", *"abcdefgh")
    session = make_session(image=False)
    session.worklist.add([tmp_path / "scans"])
    session.worklist.sort(WorklistOrder.RANDOM, seed=3)
    first = titles(session)
    assert sorted(first) == list("abcdefgh")
    assert first != list("abcdefgh")
    session.worklist.sort(WorklistOrder.RANDOM, seed=4)
    assert titles(session) != first
    session.worklist.sort(WorklistOrder.RANDOM, seed=3)
    assert titles(session) == first


def test_asking_the_model_can_be_cancelled_and_keeps_what_is_known(tmp_path):
    write_images(tmp_path / "scans", "a", "b")
    runner = ManualRunner()
    session = make_session(image=False, runner=runner, predictor=Doubting())
    session.worklist.add([tmp_path / "scans"])
    session.worklist.suggestions.start()
    job = next(one for one in runner.jobs if one.topic == "suggestions")
    assert job.lane == REGIONS  # clicks are answered meanwhile
    runner.step("suggestions", 2)
    assert session.worklist.suggestions.done == 1
    session.worklist.suggestions.cancel()
    assert not session.worklist.suggestions.is_running
    known = [row.uncertainty for row in session.worklist.rows]
    assert known[0] is not None
    assert known[1] is None


def test_uncertainty_is_that_of_what_may_be_an_object():
    sure = np.zeros((100, 100))
    sure[:10, :10] = 1
    unsure = np.zeros((100, 100))
    unsure[:10, :10] = 0.5
    assert image_uncertainty(sure) < 0.01
    assert image_uncertainty(unsure) == pytest.approx(1, abs=0.01)
    assert image_uncertainty(np.zeros((100, 100))) < 0.01


def test_files_of_a_closed_project_do_not_join_the_next_one(tmp_path):
    write_images(tmp_path / "scans", "a")
    session = open_project(tmp_path / "study.segmoe")
    session.worklist.add([tmp_path / "scans"])
    session.project.close()
    assert session.worklist.rows == ()
    session.project.create(tmp_path / "other.segmoe")
    assert session.project.store.images() == ()
