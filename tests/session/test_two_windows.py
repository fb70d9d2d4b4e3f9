"""Two windows on one project: nothing is lost, and nothing is wrong in silence."""

import numpy as np
import pytest

from napari_segmoe.project.verification import verify_project
from tests.session.project_fakes import (
    choose,
    commit_at,
    open_project,
    state_of,
    write_images,
)


@pytest.fixture
def windows(tmp_path):
    """Two sessions on the same image of one project, without objects yet."""
    (scan,) = write_images(tmp_path / "scans", "one")
    first = open_project(tmp_path / "study.segmoe")
    second = open_project(tmp_path / "study.segmoe")
    choose(first, scan)
    choose(second, scan)
    yield first, second
    first.close()
    second.close()
    assert verify_project(tmp_path / "study.segmoe").faults == ()


def test_both_may_add_objects_to_one_image(windows):
    first, second = windows
    commit_at(first, 12, 12)
    commit_at(second, 40, 40)
    assert second.failures == []
    assert "were taken in" in second.notes[-1]
    assert [one.id for one in second.annotation.records] == [1, 2]
    assert second.annotation.labels[12, 12] == 1
    assert second.annotation.labels[40, 40] == 2
    assert not second.prompts
    assert second.prediction is None
    stored = second.project.store
    np.testing.assert_array_equal(stored.labels("image-0001"), second.annotation.labels)
    assert second.project.unsaved == 0


def test_later_steps_go_on_from_what_was_joined(windows):
    first, second = windows
    commit_at(first, 12, 12)
    commit_at(second, 40, 40)
    second.correction.grow([2], 1)
    second.undo()
    second.undo()  # its own object, as it was joined
    assert [one.id for one in second.annotation.records] == [1]
    second.prompting.reject()
    second.undo()
    second.undo()
    assert [one.id for one in second.annotation.records] == [1]  # the other window's
    assert state_of(second)[1] == _reopened(second)[1]


def test_the_same_object_changed_in_both_is_refused_and_kept(windows):
    first, second = windows
    commit_at(first, 12, 12)
    second.choose_image(second.image)  # sees the object
    assert len(second.annotation.records) == 1
    first.correction.grow([1], 2)
    second.correction.shrink([1], 2)
    (failure,) = second.failures
    assert "Another window has changed the same objects of image-0001" in str(failure)
    assert "1 step is unsaved, and kept in this window" in str(failure)
    assert second.annotation.records[0].measured.area_px == 144
    assert second.project.unsaved == 1
    second.project.take_stored()
    assert second.project.unsaved == 0
    assert (
        second.annotation.records[0].measured.area_px == 388
    )  # the 16 x 16 square with round corners


def test_an_image_refused_keeps_no_other_image_from_being_stored(windows, tmp_path):
    first, second = windows
    commit_at(first, 12, 12)
    second.choose_image(second.image)
    first.correction.grow([1], 2)
    second.correction.shrink([1], 2)
    *_, other = write_images(tmp_path / "more", "one", "two")
    choose(second, other)
    commit_at(second, 12, 12)
    assert second.project.unsaved == 1
    assert len(second.project.store.objects("image-0002")) == 1


def test_classes_made_in_both_are_both_there(windows):
    first, second = windows
    first.classes.make("cyst", "#111111")
    second.classes.make("scar", "#222222")
    names = ["benign", "malignant", "cyst", "scar"]
    assert [one.name for one in second.classes.table.entries] == names
    assert [one.name for one in second.project.store.classes()] == names
    ids = [one.id for one in second.classes.table.entries]
    assert len(set(ids)) == 4
    first.classes.make("fat", "#333333")
    assert [one.name for one in first.classes.table.entries] == [*names, "fat"]


def test_images_added_at_once_get_different_names(windows, tmp_path):
    first, second = windows
    paths = write_images(tmp_path / "more", "a", "b", "c")
    choose(first, paths[1])
    choose(second, paths[2])
    names = {one.fingerprint: one.name for one in first.project.store.images()}
    assert sorted(names.values()) == ["image-0001", "image-0002", "image-0003"]


def test_an_image_shown_again_has_what_the_other_window_made(windows):
    first, second = windows
    commit_at(first, 12, 12)
    second.choose_image(second.image)
    assert state_of(second)[:2] == state_of(first)[:2]


def _reopened(session):
    session.choose_image(session.image)
    return state_of(session)


def test_undoing_a_refused_step_settles_the_conflict(windows):
    first, second = windows
    commit_at(first, 12, 12)
    second.choose_image(second.image)
    first.correction.grow([1], 2)
    second.correction.shrink([1], 2)
    assert second.project.unsaved == 1
    second.undo()
    assert second.project.unsaved == 0
    assert second.project.failure == ""
    second.choose_image(second.image)
    assert state_of(second)[:2] == state_of(first)[:2]
