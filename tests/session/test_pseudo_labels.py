"""Pseudo-labels: asked for, shown, accepted, rejected; true after reopening."""

import json

import numpy as np
import pytest

from napari_segmoe.errors import NoImageError, ProjectError
from napari_segmoe.project.proposals import FILE, read_proposals
from napari_segmoe.project.records import (
    EventKind,
    PlaceVerdict,
    Provenance,
    ReviewState,
)
from napari_segmoe.project.round_material import unlabelled_images
from napari_segmoe.project.verification import verify_project
from napari_segmoe.session.jobs import REGIONS
from napari_segmoe.types import Prediction
from tests.session.fakes import FakePredictor, ManualRunner, make_session
from tests.session.project_fakes import commit_at
from tests.session.pseudo_fakes import open_pool, row_of, write_round


class Finding(FakePredictor):
    """Finds all that is bright, in two steps."""

    def predict_steps(self, *, locked=None):
        yield None
        found = self.predict()
        return Prediction(
            found.mask, found.probability, found.labels, found.objects, found.classes
        )


def pool(tmp_path, **options):
    return open_pool(tmp_path, predictor=Finding(), **options)


def verdicts(session):
    return [one.verdict.value for one in session.pseudo_labels.rows]


# ---- before a round ------------------------------------------------------------------


def test_only_images_without_accepted_objects_are_asked_about(tmp_path):
    session = pool(tmp_path)
    session.worklist.next()
    commit_at(session, 12, 12)
    session.pseudo_labels.suggest()
    rows = session.pseudo_labels.rows
    assert session.failures == []
    assert {one.title for one in rows} == {"b", "c"}
    assert [one.objects for one in rows] == [2, 2]
    assert all(one.confidence == pytest.approx(0.9, abs=1e-3) for one in rows)
    assert all(one.tile == 0 and one.source == "breast_ultrasound" for one in rows)
    asked = session.pseudo_labels.suggestions
    assert (asked.done, asked.total, asked.is_running) == (2, 2, False)


def test_asking_goes_step_by_step_beside_clicks_and_can_be_cancelled(tmp_path):
    session = pool(tmp_path)
    runner = ManualRunner()
    session.runner = runner
    session.pseudo_labels.suggest()
    job = next(one for one in runner.jobs if one.topic == "pseudo-labels")
    assert job.lane == REGIONS
    runner.step("pseudo-labels", 3)  # the number, a window, an answer
    assert len(session.pseudo_labels.rows) == 1
    session.pseudo_labels.suggestions.cancel()
    assert not session.pseudo_labels.suggestions.is_running
    assert len(session.pseudo_labels.rows) == 1


def test_what_goes_wrong_while_asking_is_said(tmp_path):
    session = open_pool(tmp_path, predictor=FakePredictor(error=ProjectError("No.")))
    session.pseudo_labels.suggest()
    assert session.failures
    assert not session.pseudo_labels.suggestions.is_running


def test_a_missing_file_is_left_out(tmp_path):
    session = pool(tmp_path)
    (tmp_path / "scans" / "b.png").unlink()
    session.pseudo_labels.suggest()
    assert {one.title for one in session.pseudo_labels.rows} == {"a", "c"}
    assert session.pseudo_labels.suggestions.done == 3


def test_without_a_project_the_way_to_one_is_said():
    session = make_session()
    with pytest.raises(ProjectError, match="No project is open"):
        session.pseudo_labels.suggest()
    assert session.pseudo_labels.rows == ()


# ---- what is shown -------------------------------------------------------------------


def test_choosing_a_row_opens_its_image_and_shows_its_pixels(tmp_path):
    session = pool(tmp_path)
    session.pseudo_labels.suggest()
    assert session.pseudo_labels.overlay is None
    session.pseudo_labels.select(row_of(session, "c"))
    assert session.image.path.name == "c.png"
    box, labels = session.pseudo_labels.overlay
    assert box == (0, 0, 64, 64)
    assert np.array_equal(np.unique(labels), [0, 1, 2])
    assert session.pseudo_labels.selected.is_current
    session.pseudo_labels.show(is_shown=False)
    assert session.pseudo_labels.overlay is None
    session.pseudo_labels.show(is_shown=True)
    session.worklist.previous()
    assert session.pseudo_labels.overlay is None


def test_a_file_that_is_gone_is_a_sentence(tmp_path):
    session = pool(tmp_path)
    session.pseudo_labels.suggest()
    (tmp_path / "scans" / "b.png").unlink()
    with pytest.raises(NoImageError, match="not where it was"):
        session.pseudo_labels.select(row_of(session, "b"))


# ---- what becomes of them ------------------------------------------------------------


def test_accepted_objects_are_like_any_other_and_undone_in_one_step(tmp_path):
    session = pool(tmp_path)
    session.pseudo_labels.suggest()
    row = row_of(session, "b")
    session.pseudo_labels.accept(row)
    records = session.annotation.records
    assert [one.state for one in records] == [ReviewState.ACCEPTED] * 2
    assert {one.provenance for one in records} == {Provenance.ACCEPTED_AUTOMATIC}
    assert {one.model_class for one in records} == {"malignant", "benign"}
    assert session.pseudo_labels.overlay is None
    assert row_of(session, "b").verdict is PlaceVerdict.ACCEPTED
    event = list(session.project.store.events())[-1]
    assert event.kind is EventKind.ACCEPT
    figures = event.change.places[0].figures
    assert figures["objects"] == 2
    assert figures["confidence"] == pytest.approx(0.9, abs=1e-3)
    assert len(event.change.objects) == 2
    session.correction.grow([records[0].id])  # corrected with the usual tools
    session.undo()
    session.undo()
    assert session.annotation.records == ()
    assert not session.annotation.labels.any()
    assert row_of(session, "b").verdict is PlaceVerdict.PROPOSED
    session.redo()
    assert len(session.annotation.records) == 2
    assert row_of(session, "b").verdict is PlaceVerdict.ACCEPTED
    assert verify_project(session.project.path).faults == ()


def test_an_object_that_is_there_already_is_not_added_again(tmp_path):
    session = pool(tmp_path)
    session.pseudo_labels.suggest()
    session.pseudo_labels.select(row_of(session, "b"))
    commit_at(session, 12, 12)
    session.pseudo_labels.accept(row_of(session, "b"))
    assert len(session.annotation.records) == 2
    session.pseudo_labels.propose_again(row_of(session, "b"))
    session.pseudo_labels.accept(row_of(session, "b"))
    assert len(session.annotation.records) == 2
    assert "lie there already" in session.notes[-1]


def test_a_rejected_image_is_neither_proposed_nor_in_the_pool_again(tmp_path):
    session = pool(tmp_path)
    session.pseudo_labels.suggest()
    session.pseudo_labels.reject(row_of(session, "b"))
    event = list(session.project.store.events())[-1]
    assert event.kind is EventKind.REJECT
    assert event.image == "image-0002"
    session.close()
    again = pool(tmp_path)
    assert row_of(again, "b").verdict is PlaceVerdict.REJECTED
    assert "image-0002" not in {
        one.name for one in unlabelled_images(again.project.store)
    }
    again.pseudo_labels.suggest()
    assert sorted(verdicts(again)) == ["proposed", "proposed", "rejected"]
    again.pseudo_labels.propose_again(row_of(again, "b"))
    assert len(unlabelled_images(again.project.store)) == 3
    assert verify_project(again.project.path).faults == ()


def test_what_lies_in_a_rejected_tile_is_not_proposed_again(tmp_path):
    session = pool(tmp_path)
    write_round(session, (0, 0, 32, 32))
    session.pseudo_labels.reject(session.pseudo_labels.rows[0])
    session.pseudo_labels.suggest()
    found = {
        one.title: one.objects for one in session.pseudo_labels.rows if not one.tile
    }
    assert found == {"a": 2, "b": 1, "c": 2}
    session.pseudo_labels.select(row_of(session, "b"))
    _, labels = session.pseudo_labels.overlay
    assert not labels[:32, :32].any()
    assert labels[40, 40]


def test_a_rejection_can_be_undone(tmp_path):
    session = pool(tmp_path)
    session.pseudo_labels.suggest()
    session.pseudo_labels.reject(row_of(session, "b"))
    session.undo()
    assert row_of(session, "b").verdict is PlaceVerdict.PROPOSED
    assert len(unlabelled_images(session.project.store)) == 3
    session.redo()
    assert row_of(session, "b").verdict is PlaceVerdict.REJECTED


def test_undo_after_reopening_reaches_what_was_accepted_and_rejected(tmp_path):
    session = pool(tmp_path)
    session.pseudo_labels.suggest()
    write_round(session, (0, 0, 20, 20))
    tile = session.pseudo_labels.rows[-1]
    session.pseudo_labels.reject(tile)
    session.pseudo_labels.accept(row_of(session, "b"))
    session.close()
    again = pool(tmp_path)
    again.pseudo_labels.select(row_of(again, "b"))
    again.undo()
    assert again.annotation.records == ()
    assert row_of(again, "b").verdict is PlaceVerdict.PROPOSED
    assert again.pseudo_labels.rows[-1].verdict is PlaceVerdict.REJECTED
    again.undo()
    assert again.pseudo_labels.rows[-1].verdict is PlaceVerdict.PROPOSED
    again.redo()
    again.redo()
    assert len(again.annotation.records) == 2
    assert again.pseudo_labels.rows[-1].verdict is PlaceVerdict.REJECTED
    assert verify_project(again.project.path).faults == ()


def test_all_that_is_sure_enough_is_accepted_at_once_also_where_it_is_not_open(
    tmp_path,
):
    session = pool(tmp_path)
    session.worklist.next()  # image a, with a workspace of its own
    session.worklist.next()
    session.pseudo_labels.suggest()
    assert session.pseudo_labels.accept_above(0.95) == 0
    assert session.pseudo_labels.accept_above(0.8) == 3
    assert verdicts(session) == ["accepted"] * 3
    assert len(session.annotation.records) == 2
    session.worklist.previous()
    assert session.image.path.name == "a.png"
    assert len(session.annotation.records) == 2
    assert session.failures == []
    states = session.project.store.objects("image-0003")
    assert {one.provenance for one in states.values()} == {
        Provenance.ACCEPTED_AUTOMATIC
    }
    session.undo()  # a's, although it was not open
    assert session.annotation.records == ()
    assert row_of(session, "a").verdict is PlaceVerdict.PROPOSED
    assert verify_project(session.project.path).faults == ()


# ---- after a round -------------------------------------------------------------------


def test_what_a_round_was_taught_is_listed_by_tile_and_accepted_in_place(tmp_path):
    session = pool(tmp_path)
    write_round(session, (0, 0, 32, 32), (20, 24, 60, 64))
    rows = session.pseudo_labels.rows
    assert [one.source for one in rows] == ["round-0001"] * 2
    assert [one.tile for one in rows] == [1, 2]
    assert (rows[0].agreement, rows[0].weight) == (0.97, 0.3)
    session.pseudo_labels.accept(rows[1])
    (record,) = session.annotation.records
    assert record.measured.box == (22, 26, 58, 62)
    assert verdicts(session) == ["proposed", "accepted"]
    figures = list(session.project.store.events())[-1].change.places[0].figures
    assert (figures["agreement"], figures["weight"]) == (0.97, 0.3)


def test_the_newest_round_with_any_is_listed(tmp_path):
    session = pool(tmp_path)
    write_round(session, (0, 0, 32, 32))
    write_round(session, number=2)  # taught nothing
    assert [one.source for one in session.pseudo_labels.rows] == ["round-0001"]
    write_round(session, (0, 0, 16, 16), number=3)
    assert [one.source for one in session.pseudo_labels.rows] == ["round-0003"]


def test_all_is_there_again_after_reopening(tmp_path):
    session = pool(tmp_path)
    session.pseudo_labels.suggest()
    write_round(session, (0, 0, 32, 32), image="image-0003")
    session.pseudo_labels.accept(row_of(session, "a"))
    session.pseudo_labels.reject(session.pseudo_labels.rows[-1])
    before = {(one.key, one.verdict) for one in session.pseudo_labels.rows}
    session.close()
    again = pool(tmp_path)
    found = {(one.key, one.verdict) for one in again.pseudo_labels.rows}
    assert found == before
    assert sorted(verdicts(again)) == ["accepted", "proposed", "proposed", "rejected"]


def test_a_damaged_file_is_a_sentence_and_the_rest_goes_on(tmp_path):
    session = pool(tmp_path)
    session.pseudo_labels.suggest()
    cache = session.project.path / "cache" / FILE
    session.close()
    values = json.loads(cache.read_text())
    cache.write_text(json.dumps(values)[:-40])
    again = pool(tmp_path)
    assert again.pseudo_labels.rows == ()
    assert "damaged" in str(again.failures[0])
    assert again.project.is_open


def test_the_files_hold_no_name_and_no_path(tmp_path):
    session = pool(tmp_path)
    session.pseudo_labels.suggest()
    text = (session.project.path / "cache" / FILE).read_text()
    assert "scans" not in text
    assert "png" not in text
    assert len(read_proposals(session.project.path / "cache" / FILE)) == 3


def test_places_of_another_file_are_left_out(tmp_path):
    session = pool(tmp_path)
    (place,) = write_round(session, (0, 0, 32, 32))
    path = session.project.path / "runs" / "round-0002" / FILE
    path.parent.mkdir()
    values = json.loads((path.parents[1] / "round-0001" / FILE).read_text())
    values["places"][0]["fingerprint"] = "0" * 32
    path.write_text(json.dumps(values))
    session.training_runs.runs_changed.emit()
    assert session.pseudo_labels.rows == ()
    assert place.image == "image-0002"


def test_a_closed_project_leaves_no_list(tmp_path):
    session = pool(tmp_path)
    session.pseudo_labels.suggest()
    session.project.close()
    assert session.pseudo_labels.rows == ()
    assert session.pseudo_labels.overlay is None
