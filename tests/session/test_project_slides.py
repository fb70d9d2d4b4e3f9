"""Regions of slides in a project: they come back where they were."""

import numpy as np
import pytest

from napari_segmoe.data.slides.fingerprint import fingerprint
from napari_segmoe.project.verification import verify_project
from napari_segmoe.session.worklist import WorklistStatus
from tests.session.slide_fakes import make_scene, make_slide_session, write_slide


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return write_slide(tmp_path_factory.mktemp("slides") / "discs.ome.tif")


@pytest.fixture
def session(slide, tmp_path):
    return open_slide(slide, tmp_path / "study.segmoe")


def open_slide(path, project):
    """Return a session on a slide, working in a project."""
    folder = project.parent / "regions"
    session = make_slide_session(path, folder=folder, key=fingerprint(path))
    if project.exists():
        session.project.open(project)
    else:
        session.project.create(project)
    return session


def commit_at(session, y, x):
    record = session.regions.show_at(y, x)
    session.prompting.add_click(*record.region.from_slide(y, x))
    session.annotation.commit()
    return record


def test_regions_and_their_objects_come_back_at_their_places(session, slide):
    session.regions.show_box((0, 0, 600, 600))
    commit_at(session, 200, 200)
    session.regions.show_box((900, 900, 1500, 1500))
    commit_at(session, 1200, 1250)
    first, second = session.regions.all
    labels = session.annotation.labels.copy()
    project = session_path(session)
    session.close()
    again = open_slide(slide, project)
    assert [one.region for one in again.regions.all] == [first.region, second.region]
    assert [len(again.records_of(one.key)) for one in again.regions.all] == [1, 1]
    again.regions.show(2)
    np.testing.assert_array_equal(again.annotation.labels, labels)
    assert again.annotation.records[0].measured.area_um2 is not None
    groups = {one.group for one in again.project.store.images()}
    assert len(groups) == 1  # one slide is on one side of a split
    assert None not in groups
    assert again.failures == []


def test_looking_at_a_region_is_no_image_of_the_project_yet(session):
    session.regions.show_box((0, 0, 600, 600))
    assert session.project.store.images() == ()
    commit_at(session, 200, 200)
    (record,) = session.project.store.images()
    assert record.region is not None
    assert session.project.image_name == "image-0001"


def test_a_slide_opened_after_its_project_gets_its_regions(session, slide):
    session.regions.show_box((0, 0, 600, 600))
    commit_at(session, 200, 200)
    project = session_path(session)
    session.close()
    again = make_slide_session(slide, key="another")
    again.project.open(project)
    assert again.regions.all == ()
    again.regions.open_slide(make_scene(slide, key=fingerprint(slide)))
    assert len(again.regions.objects) == 1


def test_closing_the_project_forgets_the_regions(session):
    session.regions.show_box((0, 0, 600, 600))
    commit_at(session, 200, 200)
    project = session_path(session)
    session.project.close()
    assert session.regions.all == ()
    assert session.regions.slide is not None
    assert session.image is None
    session.project.open(project)
    assert len(session.regions.objects) == 1
    assert verify_project(project).faults == ()


def test_the_worklist_counts_a_slides_objects(session, slide):
    session.worklist.add([slide])
    (row,) = session.worklist.rows
    assert (row.status, row.is_current) == (WorklistStatus.UNTOUCHED, True)
    session.regions.show_box((0, 0, 600, 600))
    commit_at(session, 200, 200)
    session.regions.show_box((900, 900, 1500, 1500))
    commit_at(session, 1200, 1250)
    (row,) = session.worklist.rows
    assert (row.status, row.objects) == (WorklistStatus.STARTED, 2)
    session.worklist.mark_done()
    assert session.worklist.rows[0].status is WorklistStatus.STARTED
    session.regions.show(1)
    session.worklist.mark_done()
    assert session.worklist.rows[0].status is WorklistStatus.DONE


def session_path(session):
    path = session.project.path
    assert path is not None
    return path


def test_pseudo_labels_of_a_region_open_its_slide_and_are_accepted_there(
    session, slide
):
    session.regions.show_box((0, 0, 600, 600))
    commit_at(session, 200, 200)
    session.annotation.delete([1])  # two regions of the project without labels
    session.regions.show_box((900, 900, 1500, 1500))
    commit_at(session, 1200, 1250)
    session.annotation.delete([1])
    project = session_path(session)
    session.close()
    again = make_slide_session(slide, key="another")
    again.regions.close_slide()
    again.worklist.open_requested.connect(
        lambda path: again.regions.open_slide(make_scene(path, key=fingerprint(path)))
    )
    again.project.open(project)
    again.pseudo_labels.suggest()
    first, second = sorted(again.pseudo_labels.rows, key=lambda row: row.image)
    assert first.title != second.title
    again.pseudo_labels.select(second)
    assert again.project.image_name == second.image == "image-0002"
    box, labels = again.pseudo_labels.overlay
    assert labels.shape == again.image.shape == (box[2], box[3])
    again.pseudo_labels.accept(second)
    again.pseudo_labels.accept(first)
    assert again.project.image_name == "image-0001"
    ids = [one.id for _, one in again.regions.objects]
    assert len(ids) == len(set(ids)) == first.objects + second.objects
    assert again.failures == []
    assert verify_project(project).faults == ()
