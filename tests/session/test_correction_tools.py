"""The correction tools as keys and buttons call them."""

import numpy as np
import pytest

from napari_segmoe.errors import NoImageError, PromptError
from napari_segmoe.project.records import ReviewState
from napari_segmoe.session.correction_tools import (
    LARGEST_STEP_PX,
    DrawingTool,
    ToolGesture,
)
from napari_segmoe.types import Box
from tests.session.fakes import make_image, make_session


@pytest.fixture
def session():
    session = make_session()
    session.prompting.segment_image()
    session.annotation.commit()
    return session


def states(session):
    return {one.id: one.state for one in session.annotation.records}


def test_the_selected_object_is_chosen_and_others_beside_it(session):
    tools = session.tools
    session.annotation.select(1)
    assert tools.ids == (1,)
    tools.toggle(2)
    assert tools.ids == (1, 2)
    assert session.annotation.selected_id == 2
    tools.toggle(1)
    assert tools.ids == (2,)
    tools.toggle(2)
    assert tools.ids == ()
    assert session.annotation.selected_id is None


def test_what_is_chosen_follows_deletion_and_another_image(session):
    session.tools.choose([1, 2, 99])
    assert session.tools.ids == (1, 2)
    session.annotation.delete([1])
    assert session.tools.ids == (2,)
    session.choose_image(make_image("two"))
    assert session.tools.ids == ()


def test_review_goes_on_and_a_lock_opens_again(session):
    tools = session.tools
    tools.choose([1, 2])
    tools.accept()
    assert set(states(session).values()) == {ReviewState.ACCEPTED}
    tools.choose([1])
    tools.review()
    tools.toggle_lock()
    assert states(session) == {1: ReviewState.LOCKED, 2: ReviewState.ACCEPTED}
    tools.choose([1, 2])
    tools.toggle_lock()
    assert set(states(session).values()) == {ReviewState.LOCKED}
    tools.toggle_lock()
    assert set(states(session).values()) == {ReviewState.REVIEWED}
    for _ in range(5):
        session.undo()
    assert set(states(session).values()) == {ReviewState.PROPOSED}


def test_without_a_chosen_object_a_sentence_says_what_to_do(session):
    session.tools.choose([])
    with pytest.raises(PromptError, match="Choose an object first"):
        session.tools.accept()
    session.tools.choose([1])
    with pytest.raises(PromptError, match="two objects or more"):
        session.tools.merge()
    session.tools.choose([1, 2])
    with pytest.raises(PromptError, match="one object to cut; 2"):
        session.tools.wait_for(ToolGesture.CUT)
    assert session.tools.gesture is ToolGesture.NONE


def test_without_an_image_too():
    session = make_session(image=False)
    for act in (session.tools.accept, session.tools.finish_view):
        with pytest.raises(NoImageError):
            act()
    with pytest.raises(NoImageError):
        session.tools.wait_for(ToolGesture.TILE)


def test_grow_and_shrink_move_by_the_step(session):
    tools, before = session.tools, session.annotation.labels.copy()
    tools.choose([1])
    tools.set_step(3)
    tools.grow()
    assert (session.annotation.labels == 1).sum() > (before == 1).sum()
    assert (session.annotation.labels[16, 5:27] == 1).all()
    assert session.annotation.labels[16, 4] == 0
    tools.shrink()
    assert session.annotation.labels[16, 7] == 0
    tools.set_step(10_000)
    assert tools.step_px == LARGEST_STEP_PX
    tools.set_step(0)
    assert tools.step_px == 1


def test_a_dragged_rectangle_is_finished_whichever_way_it_went(session):
    tools = session.tools
    tools.wait_for(ToolGesture.TILE)
    tools.take_drag([(40.2, 50.1), (20, 20), (4.9, -7)])
    assert tools.gesture is ToolGesture.NONE
    assert session.correction.tiles == ((5, 0, 40, 50),)


def test_a_dragged_line_parts_the_chosen_object(session):
    session.tools.choose([2])
    session.tools.wait_for(ToolGesture.CUT)
    session.tools.take_drag([(30.0, 43.0), (58.0, 43.0)])
    assert len(session.annotation.records) == 3
    parts = np.unique(session.annotation.labels[36:52, 30:56])
    assert len(parts[parts > 0]) == 2
    session.undo()
    assert len(session.annotation.records) == 2


def test_the_view_that_is_seen_is_finished_and_reopened(session):
    tools = session.tools
    with pytest.raises(PromptError, match="not in view"):
        tools.finish_view()
    tools.read_view = lambda: Box(-10, -10, 30.4, 200)
    tools.finish_view()
    assert session.correction.tiles == ((0, 0, 30, 64),)
    tools.reopen()
    assert session.correction.tiles == ()


def test_the_image_is_finished_and_reopened_by_the_same_key(session):
    session.tools.toggle_image()
    assert session.correction.tiles == ((0, 0, 64, 64),)
    assert set(states(session).values()) == {ReviewState.ACCEPTED}
    session.tools.toggle_image()
    assert session.correction.tiles == ()


def test_drawing_is_the_viewers(session):
    taken = []
    session.tools.choose([1])
    session.tools.take_up = taken.append
    session.tools.draw(DrawingTool.ERASER)
    assert session.annotation.selected_id == 1
    session.tools.draw(DrawingTool.BRUSH, is_new=True)
    assert session.annotation.selected_id is None
    assert taken == [DrawingTool.ERASER, DrawingTool.BRUSH]
