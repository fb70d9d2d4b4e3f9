"""Explanations and steering of a session, without Qt and without torch."""

import pytest

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.session.explaining import Wish
from napari_segmoe.session.history import EventKind
from napari_segmoe.session.prompting import STEERED
from napari_segmoe.types import Steering
from tests.session.explaining_fakes import (
    ABSENT,
    EXPERTS,
    MAPS,
    STAGES,
    ExplainingPredictor,
)
from tests.session.fakes import FakePredictor, ManualRunner, make_image, make_session


def make_explaining(**options):
    predictor = ExplainingPredictor()
    return make_session(predictor=predictor, **options), predictor


def asked_for(predictor):
    return [one["explain"] for one in predictor.asked]


def test_nobody_pays_for_explanations_that_are_not_looked_at():
    session, predictor = make_explaining()
    session.prompting.add_click(12, 12)
    assert asked_for(predictor) == [False]
    assert session.explaining.explanations == ()


def test_opening_explains_the_present_answer_and_every_later_one():
    session, predictor = make_explaining()
    session.prompting.add_click(12, 12)
    mask = session.prediction.mask
    session.explaining.show_explanations(True)
    assert asked_for(predictor) == [False, True]
    assert (session.prediction.mask == mask).all()
    assert {one.key for one in session.explaining.explanations} > set(MAPS)
    session.prompting.add_click(40, 40)
    assert asked_for(predictor) == [False, True, True]
    session.explaining.show_explanations(False)
    session.prompting.add_click(41, 41)
    assert asked_for(predictor)[-1] is False


def test_a_shown_map_keeps_explanations_coming_after_the_tab_is_left():
    session, predictor = make_explaining()
    session.explaining.show_explanations(True)
    session.prompting.add_click(12, 12)
    session.explaining.show("distance")
    session.explaining.show_explanations(False)
    session.prompting.add_click(40, 40)
    assert asked_for(predictor) == [True, True]
    session.explaining.hide_all()
    session.prompting.add_click(41, 41)
    assert asked_for(predictor)[-1] is False


def test_asking_why_builds_on_the_same_answer_as_the_question_itself():
    session, predictor = make_explaining()
    session.prompting.add_click(12, 12)
    first = session.prediction
    session.prompting.add_click(40, 40)
    session.explaining.show_explanations(True)
    assert [one["previous"] for one in predictor.asked] == [None, first, first]


def test_an_explained_answer_comes_back_by_undo_without_asking():
    session, predictor = make_explaining()
    session.explaining.show_explanations(True)
    session.prompting.add_click(12, 12)
    first = session.prediction
    session.prompting.add_click(40, 40)
    session.undo()
    assert session.prediction is first
    assert len(predictor.asked) == 2


def test_an_unexplained_answer_comes_back_at_once_and_is_explained_then():
    runner = ManualRunner()
    session, _ = make_explaining(runner=runner)
    runner.finish("load")
    session.prompting.add_click(12, 12)
    runner.finish("predict")
    first = session.prediction
    session.prompting.add_click(40, 40)
    runner.finish("predict")
    session.explaining.show_explanations(True)
    runner.finish("predict")
    session.undo()
    assert session.prediction is first
    assert session.is_busy
    runner.finish("predict")
    assert session.explaining.find("distance") is not None


def test_the_newest_question_wins_and_none_is_put_twice():
    runner = ManualRunner()
    session, predictor = make_explaining(runner=runner)
    runner.finish("load")
    session.prompting.add_click(12, 12)
    session.explaining.show_explanations(True)
    session.explaining.show("distance")
    assert len(runner.jobs) == 2
    runner.finish("predict", 1)
    assert session.explaining.find("distance") is not None
    runner.finish("predict")
    assert session.explaining.find("distance") is not None
    assert asked_for(predictor) == [True, False]


def test_the_catalogue_stays_between_answers_and_goes_with_the_model():
    session, _ = make_explaining()
    session.explaining.show_explanations(True)
    session.prompting.add_click(12, 12)
    session.annotation.commit()
    assert session.explaining.explanations == ()
    assert {one.key for one in session.explaining.catalogue} > set(MAPS)
    assert session.explaining.unavailable == ABSENT
    session.explaining.show_explanations(False)
    session.model.choose(weights="other")
    assert session.explaining.catalogue == ()
    assert session.explaining.experts == {}
    assert session.explaining.unavailable == ABSENT  # said when the other one loaded


def test_maps_that_another_model_lacks_are_no_longer_chosen():
    session, predictor = make_explaining()
    session.explaining.show("distance")
    session.explaining.show("of another model")
    session.prompting.add_click(12, 12)
    assert session.explaining.shown == ("distance",)
    assert asked_for(predictor) == [True]


def test_a_model_without_explanations_is_answered_without_them():
    session = make_session(predictor=FakePredictor())
    session.explaining.show_explanations(True)
    session.prompting.add_click(12, 12)
    assert session.prediction.mask.any()
    assert session.explaining.explanations == ()
    assert session.failures == []


def test_a_veto_changes_the_mask_and_freeing_brings_it_back_without_asking():
    session, predictor = make_explaining()
    session.explaining.show_explanations(True)
    session.prompting.add_click(12, 12)
    free = session.prediction
    assert session.explaining.experts == dict.fromkeys(STAGES, EXPERTS)
    session.explaining.steer("expert 2", Wish.VETOED)
    steering = predictor.asked[-1]["steering"]
    assert steering == Steering(vetoed={"T1": ("expert 2",), "T2": ("expert 2",)})
    assert session.prediction.mask.sum() < free.mask.sum()
    assert STEERED in session.prediction.notes
    table = session.explaining.find("routing")
    assert (table.values[:, 1] == 0).all()
    count = len(predictor.asked)
    session.explaining.free_all()
    assert session.prediction is free
    assert len(predictor.asked) == count
    kinds = [event.kind for event in session.log.events]
    assert kinds.count(EventKind.STEER) == 2


def test_steering_is_asked_of_the_answer_before_not_of_its_own():
    session, predictor = make_explaining()
    session.explaining.show_explanations(True)
    session.prompting.add_click(12, 12)
    session.explaining.steer("expert 2", Wish.VETOED)
    session.explaining.steer("expert 1", Wish.PINNED, stage="T1")
    assert [one["previous"] for one in predictor.asked] == [None, None, None]


def test_wishes_are_told_by_stage():
    session, _ = make_explaining()
    explaining = session.explaining
    explaining.show_explanations(True)
    session.prompting.add_click(12, 12)
    explaining.steer("expert 1", Wish.PINNED, stage="T1")
    assert explaining.wish_of("expert 1", stage="T1") is Wish.PINNED
    assert explaining.wish_of("expert 1", stage="T2") is Wish.FREE
    assert explaining.wish_of("expert 1") is None
    explaining.choose_stage("T2")
    assert explaining.steerable_experts() == EXPERTS
    explaining.choose_stage("no such stage")
    assert explaining.stage is None


def test_vetoing_every_expert_is_refused_in_one_sentence():
    session, predictor = make_explaining()
    session.explaining.show_explanations(True)
    session.prompting.add_click(12, 12)
    session.explaining.steer("expert 1", Wish.VETOED)
    session.explaining.steer("expert 2", Wish.VETOED)
    before = (session.prediction, len(predictor.asked), session.explaining.wishes)
    with pytest.raises(ModelOptionError, match="Leave at least one of expert 1"):
        session.explaining.steer("expert 3", Wish.VETOED, stage="T2")
    assert session.explaining.wishes == before[2]
    assert (session.prediction, len(predictor.asked)) == before[:2]


def test_an_expert_nobody_knows_is_refused_in_one_sentence():
    session, _ = make_explaining()
    with pytest.raises(ModelOptionError, match="There is no expert 'expert 9'"):
        session.explaining.steer("expert 9", Wish.PINNED)


def test_an_image_brings_its_explained_answer_back():
    session, predictor = make_explaining()
    session.explaining.show("distance")
    session.prompting.add_click(12, 12)
    session.choose_image(make_image("two"))
    assert session.explaining.explanations == ()
    session.choose_image(make_image("one"))
    assert session.explaining.find("distance") is not None
    assert len(predictor.asked) == 1


def test_opacity_stays_between_nothing_and_all():
    session, _ = make_explaining()
    session.explaining.change_opacity(7)
    assert session.explaining.opacity == 1
    session.explaining.change_opacity(-1)
    assert session.explaining.opacity == 0
