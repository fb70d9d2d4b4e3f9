"""The correction tools as steps of a session."""

import numpy as np
import pytest

from napari_segmoe.errors import PromptError
from napari_segmoe.project.records import Provenance, ReviewState
from napari_segmoe.types import Explanation
from tests.session.fakes import make_session


@pytest.fixture
def session():
    """Two objects as the model found them: 16 x 16 and 16 x 26 px."""
    session = make_session()
    session.prompting.segment_image()
    session.annotation.commit()
    return session


def record(session, number):
    return session.annotation.find(number)


TOOLS = {
    "grow": lambda s: s.correction.grow([1], 2),
    "shrink": lambda s: s.correction.shrink([1], 2),
    "smooth": lambda s: s.correction.smooth([1], 3),
    "merge": lambda s: s.correction.merge([1, 2]),
    "split": lambda s: s.correction.split(1, [(16, 0), (16, 60)]),
    "class": lambda s: s.correction.change_class([1], 1),
    "accept": lambda s: s.correction.accept([1]),
    "review": lambda s: s.correction.review([1]),
    "lock": lambda s: s.correction.lock([1]),
    "tile": lambda s: s.correction.finish_tile((0, 0, 30, 30)),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_each_tool_is_one_step_that_undo_takes_back(session, tool):
    before = session.snapshot, session.annotation.labels.copy()
    TOOLS[tool](session)
    assert session.snapshot is not before[0]
    session.undo()
    assert session.snapshot is before[0]
    np.testing.assert_array_equal(session.annotation.labels, before[1])


def test_tools_that_redraw_make_an_object_accepted(session):
    assert record(session, 1).state is ReviewState.PROPOSED
    session.correction.grow([1], 1)
    changed = record(session, 1)
    assert changed.state is ReviewState.ACCEPTED
    assert changed.provenance is Provenance.ACCEPTED_AUTOMATIC
    assert changed.measured.area_px == 16 * 16 + 4 * 16
    assert record(session, 2).state is ReviewState.PROPOSED


def test_painting_over_a_neighbour_leaves_its_review_as_it_was(session):
    painted = session.annotation.labels.copy()
    painted[36:52, 30:40] = 1
    session.annotation.correct(painted)
    assert record(session, 1).provenance is Provenance.DRAWN
    assert record(session, 2).provenance is Provenance.MODEL
    assert record(session, 2).measured.area_px == 16 * 16
    painted[36:40, 40:56] = 0
    session.annotation.correct(painted)
    assert record(session, 2).provenance is Provenance.DRAWN


def test_a_correction_after_the_review_asks_for_another_one(session):
    session.correction.review([1])
    assert record(session, 1).state is ReviewState.REVIEWED
    session.correction.shrink([1], 1)
    assert record(session, 1).state is ReviewState.ACCEPTED


def test_merging_keeps_the_largest_ones_number_and_class(session):
    assert session.correction.merge([1, 2]) == 2
    (merged,) = session.annotation.records
    assert merged.measured.area_px == 256 + 416
    assert session.classes.table.find(merged.class_id).name == "benign"
    assert session.annotation.selected_id == 2


def test_split_parts_keep_the_class_and_the_largest_the_number(session):
    before = record(session, 2).class_id
    assert session.correction.split(2, [(30, 36), (60, 36)]) == (2, 3)
    assert record(session, 2).measured.area_px > record(session, 3).measured.area_px
    assert {record(session, n).class_id for n in (2, 3)} == {before}
    assert {record(session, n).model_class for n in (2, 3)} == {"benign"}


def test_split_follows_the_heatmap_of_the_networks_distance(session):
    session.prompting.segment_image()
    values = np.full((64, 64), 0.1, np.float32)
    values[38:41, 32:54] = values[47:50, 32:54] = 0.9
    told = Explanation("map", "Distance", values, (), (-1, 1), "", key="distance")
    answer = session.workspace.answer
    object.__setattr__(answer.prediction, "explanations", (told,))
    assert session.correction.split(2) == (2, 3)
    boxes = sorted(record(session, n).measured.box for n in (2, 3))
    assert boxes[0][2] <= boxes[1][0] + 1  # one above the other


def test_an_object_that_cannot_be_parted_says_what_to_do(session):
    assert session.correction.split(1) == ()
    assert "draw a line across it" in session.notes[-1]
    assert session.correction.split(1, [(0, 0), (2, 2)]) == ()
    assert "from edge to edge" in session.notes[-1]


@pytest.mark.parametrize(
    "tool", ["grow", "shrink", "smooth", "split", "class", "delete", "merge", "paint"]
)
def test_a_locked_object_is_never_touched(session, tool):
    session.correction.lock([1, 2])
    before = session.annotation.labels.copy()
    records = session.annotation.records
    act = TOOLS | {
        "delete": lambda s: s.annotation.delete([1, 2]),
        "paint": lambda s: s.annotation.correct(np.full((64, 64), 7, np.uint32)),
    }
    act[tool](session)
    assert "ocked" in session.notes[-1] or tool == "paint"
    kept = before > 0
    np.testing.assert_array_equal(session.annotation.labels[kept], before[kept])
    assert session.annotation.records[:2] == records


def test_growing_beside_a_locked_object_stops_there(session):
    session.correction.lock([2])
    session.correction.grow([1], 40)
    assert (session.annotation.labels == 2).sum() == 416


def test_an_import_keeps_locked_objects(session):
    session.correction.lock([1])
    session.annotation.load(np.full((64, 64), 9, np.uint32))
    assert record(session, 1).is_locked
    assert (session.annotation.labels == 1).sum() == 256
    assert (session.annotation.labels == 9).sum() == 64 * 64 - 256


def test_unlocking_lets_an_object_be_changed_again(session):
    session.correction.lock([1])
    session.correction.unlock([1])
    session.annotation.delete([1])
    assert record(session, 1) is None


def test_a_finished_tile_accepts_what_lies_in_it_and_swallows_smaller_ones(session):
    session.correction.finish_tile((0, 0, 10, 10))
    assert record(session, 1).state is ReviewState.ACCEPTED
    assert record(session, 2).state is ReviewState.PROPOSED
    session.correction.finish_tile((-5, -5, 30.2, 30.4))
    assert session.correction.tiles == ((0, 0, 30, 30),)
    session.worklist.mark_done()
    assert session.correction.tiles == ((0, 0, 64, 64),)
    session.correction.reopen_tile((5, 5, 6, 6))
    assert session.correction.tiles == ()


def test_a_tile_outside_the_image_is_refused(session):
    with pytest.raises(PromptError, match="outside the image"):
        session.correction.finish_tile((70, 70, 90, 90))


def test_nothing_to_do_is_said_and_is_no_step(session):
    session.correction.fill_holes([1])
    assert "Nothing changed" in session.notes[-1]
    session.correction.merge([1])
    assert "two objects" in session.notes[-1]
    session.correction.accept([])
    session.undo()  # the commit
    assert session.annotation.records == ()
