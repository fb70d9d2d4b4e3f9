"""What is done in a session is in its project, and comes back from it."""

import os
import shutil

import numpy as np
import pytest

from napari_segmoe.data.slides.fingerprint import fingerprint
from napari_segmoe.errors import ProjectError
from napari_segmoe.project.local_files import read_paths
from napari_segmoe.project.open_marks import leave_mark, read_marks
from napari_segmoe.project.records import EventKind, Provenance, ReviewState
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.project.verification import verify_project
from tests.data.test_dicom import write
from tests.session.fakes import make_image, make_session
from tests.session.project_fakes import (
    choose,
    commit_at,
    open_project,
    state_of,
    write_images,
)


@pytest.fixture
def project(tmp_path):
    return tmp_path / "study.segmoe"


@pytest.fixture
def scans(tmp_path):
    return write_images(tmp_path / "scans", "first", "second")


ACTIONS = {
    "commit": lambda s: commit_at(s, 12, 12),
    "automatic": lambda s: (s.prompting.segment_image(), s.annotation.commit()),
    "class made": lambda s: s.classes.make("cyst", "#112233"),
    "class given": lambda s: s.annotation.assign_class([1], 3),
    "class mapped": lambda s: s.classes.map("malignant", 3),
    "renamed": lambda s: s.classes.rename(3, "scar"),
    "accepted": lambda s: s.correction.accept([2]),
    "reviewed": lambda s: s.correction.review([1]),
    "painted": lambda s: s.annotation.correct(
        np.where(np.arange(64) < 3, np.uint32(8), s.annotation.labels)
    ),
    "grown": lambda s: s.correction.grow([1], 2),
    "merged": lambda s: s.correction.merge([1, 2]),
    "split": lambda s: s.correction.split(2),
    "tile": lambda s: s.correction.finish_tile((0, 0, 20, 20)),
    "locked": lambda s: s.correction.lock([2]),
    "deleted": lambda s: s.annotation.delete([8]),
    "class deleted": lambda s: s.classes.delete(3),
    "image done": lambda s: s.worklist.mark_done(),
}


def test_each_action_its_undo_and_redo_are_in_the_project_at_once(project, scans):
    session = open_project(project)
    choose(session, scans[0])
    states = [state_of(session)]
    for act in ACTIONS.values():
        act(session)
        states.append(state_of(session))
    assert session.failures == []

    def reopened():
        other = make_session(image=False)
        other.project.open(project)
        choose(other, scans[0])
        state = state_of(other)
        other.close()
        return state

    assert reopened() == states[-1]
    for number in range(len(ACTIONS), 0, -1):
        session.undo()
        if session.snapshot.prompts or session.snapshot.is_automatic:
            session.undo()
        assert _same(state_of(session), states[number - 1])
        if number in {3, 8, 12, len(ACTIONS)}:
            assert _same(reopened(), state_of(session))
    for _ in range(40):
        session.redo()
    assert _same(reopened(), states[-1])
    assert verify_project(project).faults == ()
    kinds = {event.kind for event in session.project.store.events()}
    assert {EventKind.UNDO, EventKind.REDO, EventKind.FINISH_TILE} <= kinds


def _same(one, other):
    """Whether states are equal; ids of classes that are gone are not given again."""
    return one[:3] == other[:3] and one[3].entries == other[3].entries


def test_provenance_and_prompts_say_who_made_an_object(project, scans):
    session = open_project(project)
    choose(session, scans[0])
    commit_at(session, 12, 12)
    session.prompting.segment_image()
    session.annotation.commit()
    session.annotation.correct(
        np.where(np.arange(64) < 3, np.uint32(8), session.annotation.labels)
    )
    found = session.project.store.objects("image-0001")
    assert [found[number].provenance for number in (1, 2, 8)] == [
        Provenance.ACCEPTED_CLICK,
        Provenance.MODEL,
        Provenance.DRAWN,
    ]
    assert [found[number].state for number in (1, 2, 8)] == [
        ReviewState.ACCEPTED,
        ReviewState.PROPOSED,
        ReviewState.ACCEPTED,
    ]
    session.correction.accept([2])
    accepted = session.project.store.objects("image-0001")[2]
    assert accepted.provenance is Provenance.ACCEPTED_AUTOMATIC
    events = list(session.project.store.events(image="image-0001"))
    commit = next(one for one in events if one.kind is EventKind.COMMIT)
    assert commit.change.details["clicks"] == [[12.0, 12.0, True]]
    assert commit.change.details["weights"] == "fake"


def test_a_moved_file_is_known_again_and_its_new_place_noted(project, scans, tmp_path):
    session = open_project(project)
    choose(session, scans[0])
    commit_at(session, 12, 12)
    session.close()
    moved = tmp_path / "elsewhere" / "other name.png"
    moved.parent.mkdir()
    shutil.move(scans[0], moved)
    again = open_project(project)
    choose(again, moved)
    assert len(again.annotation.records) == 1
    assert list(read_paths(project).values()) == [moved.resolve()]
    assert [one.name for one in again.project.store.images()] == ["image-0001"]


def test_work_done_before_a_project_goes_into_it(project, scans):
    session = make_session(image=False)
    choose(session, scans[0])
    commit_at(session, 12, 12)
    choose(session, scans[1])
    session.prompting.segment_image()
    session.annotation.commit()
    session.project.create(project)
    counts = session.project.store.count_objects()
    assert sum(counts.values()) == 3
    session.undo()
    session.redo()
    assert len(session.project.store.objects("image-0002")) == 2
    assert verify_project(project).faults == ()


def test_work_done_before_opening_joins_what_the_project_has(project, scans):
    session = open_project(project)
    session.classes.make("cyst")
    choose(session, scans[0])
    commit_at(session, 12, 12)
    session.close()
    other = make_session(image=False)
    other.classes.make("scar")
    choose(other, scans[0])
    scar = other.classes.table.find_name("scar").id
    other.annotation.choose_class(scar)
    commit_at(other, 40, 40)
    other.project.open(project)
    names = [one.name for one in other.classes.table.entries]
    assert {"cyst", "scar", "benign", "malignant"} == set(names)
    assert [one.id for one in other.annotation.records] == [1, 2]
    added = other.annotation.records[1]
    assert other.classes.table.find(added.class_id).name == "scar"
    assert len(other.project.store.objects("image-0001")) == 2


def test_closing_forgets_objects_and_another_project_gets_none(
    project, scans, tmp_path
):
    session = open_project(project)
    choose(session, scans[0])
    commit_at(session, 12, 12)
    session.project.close()
    assert session.annotation.records == ()
    assert not session.annotation.labels.any()
    session.project.create(tmp_path / "other.segmoe")
    assert session.project.store.count_objects() == {}
    session.project.open(project)
    assert len(session.annotation.records) == 1


def test_patients_of_dicom_files_are_known_by_a_salted_hash_only(project, tmp_path):
    paths = [tmp_path / f"{number}.dcm" for number in (1, 2)]
    for number, path in enumerate(paths):
        pixels = np.full((8, 8), 100 + number, np.uint8)
        write(path, pixels, PatientID="P-77", PatientName="Meyer^Anna")
    session = open_project(project)
    for path in paths:
        session.choose_image(
            make_image(str(path), pixels=np.full((8, 8), 3, np.uint8), path=path)
        )
    groups = {one.group for one in session.project.store.images()}
    assert len(groups) == 1
    assert None not in groups
    assert "P-77" not in str(groups)


def test_classes_learnt_from_weights_and_new_ids_survive(project, scans):
    session = open_project(project)
    choose(session, scans[0])
    made = session.classes.make("cyst")
    session.classes.delete(made)
    session.close()
    again = open_project(project)
    assert again.classes.table.mapping == {"benign": 1, "malignant": 2}
    assert again.classes.make("scar") > made


def test_an_annotator_is_in_each_event_and_known_the_next_time(project, scans):
    session = open_project(project)
    session.project.annotator = "reader-2"
    choose(session, scans[0])
    commit_at(session, 12, 12)
    *_, last = session.project.store.events()
    assert last.annotator == "reader-2"
    session.close()
    again = open_project(project)
    assert again.project.annotator == "reader-2"
    assert again.project.store.annotators() == ("reader-2",)


def test_an_unclosed_project_says_what_was_restored(project, scans):
    session = open_project(project)
    choose(session, scans[0])
    commit_at(session, 12, 12)
    (mark,) = read_marks(project)
    text = mark.path.read_text().replace(str(os.getpid()), "999999")
    session.close()
    mark.path.write_text(text)
    again = open_project(project)
    (note,) = again.project.notes
    assert "was not closed properly" in note
    assert "a commit on image-0001" in note
    assert len(read_marks(project)) == 1
    again.close()
    assert read_marks(project) == ()


def test_a_project_that_is_open_elsewhere_is_said(project):
    ProjectStore.create(project).close()
    leave_mark(project, events=1)
    session = open_project(project)
    assert "another window" in session.project.notes[0]


def test_projects_that_cannot_be_opened_leave_the_session_as_it_was(tmp_path, scans):
    session = make_session(image=False)
    choose(session, scans[0])
    commit_at(session, 12, 12)
    with pytest.raises(ProjectError, match="is no project"):
        session.project.open(tmp_path)
    damaged = tmp_path / "bad.segmoe"
    damaged.mkdir()
    (damaged / "project.db").write_bytes(b"SQLite format 3\0" + bytes(4000))
    with pytest.raises(ProjectError):
        session.project.open(damaged)
    assert not session.project.is_open
    assert len(session.annotation.records) == 1


def test_without_a_project_nothing_is_written(tmp_path, scans):
    session = make_session(image=False)
    before = sorted(tmp_path.rglob("*"))
    choose(session, scans[0])
    commit_at(session, 12, 12)
    session.correction.finish_tile()
    session.undo()
    assert not session.project.is_open
    assert sorted(tmp_path.rglob("*")) == before


def test_pixels_without_a_file_are_kept_in_the_project_and_known_again(
    project, tmp_path
):
    session = open_project(project)
    session.choose_image(make_image("an array"))
    commit_at(session, 12, 12)
    (row,) = session.worklist.rows
    assert (row.title, row.is_missing) == ("image-0001", False)
    (record,) = session.project.store.images()
    copy = read_paths(project)[record.fingerprint]
    assert copy.parent.parent == project.resolve()
    assert fingerprint(copy) == record.fingerprint  # as a learning round asks
    session.close()
    moved = tmp_path / "moved.segmoe"
    project.rename(moved)
    again = open_project(moved)
    again.choose_image(make_image("the same array"))
    assert len(again.annotation.records) == 1
    choose(again, read_paths(moved)[record.fingerprint])
    assert len(again.annotation.records) == 1
    assert [row.is_missing for row in again.worklist.rows] == [False]


def test_frames_of_one_file_are_images_of_their_own(project, scans):
    session = open_project(project)
    for frame in (0, 4):
        session.choose_image(make_image(f"frame {frame}", path=scans[0], frame=frame))
        commit_at(session, 12, 12)
    assert [one.frame for one in session.project.store.images()] == [0, 4]
