"""Objects, classes and the one stack of undo."""

import hashlib

import numpy as np
import pytest

from napari_segmoe.errors import ClassListError, PromptError
from napari_segmoe.session.history import EventKind
from napari_segmoe.session.objects import ClassSource
from tests.session.fakes import FakeCard, FakePredictor, make_image, make_session


def state_of(session) -> str:
    s = session.snapshot
    parts = (
        session.annotation.labels.tobytes(),
        repr([(r.id, r.class_id, r.source, r.probability) for r in s.records]),
        repr((s.prompts, s.is_automatic, s.classes)),
    )
    return hashlib.sha256("".join(map(str, parts)).encode()).hexdigest()


def with_two_objects():
    session = make_session()
    session.prompting.segment_image()
    session.annotation.commit()
    return session


def class_id(session, name):
    return session.classes.table.find_name(name).id


def test_commit_writes_pixels_class_and_measures():
    session = make_session()
    session.prompting.add_click(12, 12)
    assert session.annotation.commit() == (1,)
    record = session.annotation.records[0]
    assert session.classes.table.find(record.class_id).name == "malignant"
    assert record.source is ClassSource.MODEL
    assert record.probability == pytest.approx(0.83)
    assert record.measured.area_px == 256
    assert record.measured.area_um2 == 256 * 50 * 100
    assert record.measured.box == (8, 8, 24, 24)
    assert record.measured.width_height_ratio == pytest.approx(2.0)
    assert (session.annotation.labels == 1).sum() == 256
    assert not session.prompts
    assert session.prediction is None


def test_each_object_of_the_automatic_mode_keeps_its_own_class():
    session = with_two_objects()
    names = [
        session.classes.table.find(r.class_id).name for r in session.annotation.records
    ]
    assert names == ["malignant", "benign"]


def test_commits_never_change_committed_pixels():
    class Greedy(FakePredictor):
        def predict(self, *args, locked=None, **kwargs):
            prediction = super().predict(*args, locked=None, **kwargs)
            prediction.labels[:] = 1
            prediction.mask[:] = True
            return prediction

    session = make_session(predictor=Greedy())
    session.prompting.add_click(12, 12)
    session.annotation.commit()
    before = session.annotation.labels.copy()
    session.prompting.add_click(40, 40)
    with pytest.raises(PromptError, match="cover all of this mask"):
        session.annotation.commit()
    np.testing.assert_array_equal(session.annotation.labels, before)


def test_commit_without_a_mask_says_what_to_do():
    with pytest.raises(PromptError, match="Click an object first"):
        make_session().annotation.commit()


def test_an_uncertain_answer_is_committed_unclassified():
    session = make_session(predictor=FakePredictor(FakeCard(uncertain_below=0.95)))
    session.prompting.add_click(12, 12)
    session.annotation.commit()
    record = session.annotation.records[0]
    assert record.class_id is None
    assert record.model_class == "malignant"


def test_a_chosen_class_overrules_the_model():
    session = make_session()
    session.annotation.choose_class(class_id(session, "benign"))
    session.prompting.add_click(12, 12)
    session.annotation.commit()
    record = session.annotation.records[0]
    assert record.class_id == class_id(session, "benign")
    assert record.source is ClassSource.USER


def test_an_unmapped_class_is_committed_unclassified():
    session = make_session()
    session.classes.map("malignant", None)
    session.prompting.add_click(12, 12)
    session.annotation.commit()
    assert session.annotation.records[0].class_id is None


def test_a_model_class_maps_to_a_class_of_the_user():
    session = make_session()
    cyst = session.classes.make("cyst")
    session.classes.map("malignant", cyst)
    session.prompting.add_click(12, 12)
    session.annotation.commit()
    assert session.annotation.records[0].class_id == cyst


def test_one_stack_undoes_and_redoes_everything_exactly():
    session = make_session()
    states = [state_of(session)]
    actions = [
        lambda: session.prompting.add_click(12, 12),
        lambda: session.prompting.add_click(22, 22, positive=False),
        lambda: session.annotation.commit(),
        lambda: session.classes.make("cyst", "#112233"),
        lambda: session.annotation.assign_class([1], 3),
        lambda: session.classes.recolour(3, "#445566"),
        lambda: session.prompting.segment_image(),
        lambda: session.annotation.commit(),
        lambda: session.annotation.delete([1]),
        lambda: session.classes.delete(3),
    ]
    for act in actions:
        act()
        states.append(state_of(session))
    for expected in reversed(states[:-1]):
        session.undo()
        assert state_of(session) == expected
    assert not session.workspace.history.can_undo
    for expected in states[1:]:
        session.redo()
        assert state_of(session) == expected
    session.redo()
    assert session.notes == ["There is nothing to redo."]


def test_undo_of_a_commit_shows_the_same_mask_without_asking_again():
    predictor = FakePredictor()
    session = make_session(predictor=predictor)
    session.prompting.add_click(12, 12)
    shown = session.prediction
    session.annotation.commit()
    session.undo()
    assert session.prediction is shown
    assert len(predictor.asked) == 1


def test_a_new_action_forgets_what_was_undone():
    session = make_session()
    session.prompting.add_click(12, 12)
    session.undo()
    session.prompting.add_click(40, 40)
    assert not session.workspace.history.can_redo


def test_events_are_kept_besides_the_stack():
    session = make_session()
    session.prompting.add_click(12, 12)
    session.annotation.commit()
    session.undo()
    kinds = [event.kind for event in session.log.events]
    assert kinds == [EventKind.IMAGE, EventKind.CLICK, EventKind.COMMIT, EventKind.UNDO]
    assert session.log.events[1].payload == {"y": 12.0, "x": 12.0, "positive": True}


def test_a_deleted_class_leaves_its_objects_unclassified_and_undo_brings_it_back():
    session = with_two_objects()
    gone = class_id(session, "benign")
    session.classes.delete(gone)
    record = session.annotation.records[1]
    assert session.classes.table.find(record.class_id) is None
    assert session.classes.table.resolve("benign") is None
    session.undo()
    assert session.classes.table.find(record.class_id).name == "benign"


def test_a_renamed_class_keeps_its_objects():
    session = with_two_objects()
    session.classes.rename(class_id(session, "benign"), "fibroadenoma")
    record = session.annotation.records[1]
    assert session.classes.table.find(record.class_id).name == "fibroadenoma"
    assert session.classes.table.resolve("benign").name == "fibroadenoma"


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda c: c.make("  "), "needs a name"),
        (lambda c: c.make("benign"), "already"),
        (lambda c: c.rename(1, "malignant"), "already"),
        (lambda c: c.recolour(1, "red"), "#RRGGBB"),
        (lambda c: c.delete(99), "no class 99"),
        (lambda c: c.map("benign", 99), "no class 99"),
    ],
)
def test_bad_class_changes_say_what_is_wrong_and_change_nothing(act, words):
    session = make_session()
    before = session.classes.table
    with pytest.raises(ClassListError, match=words):
        act(session.classes)
    assert session.classes.table is before


def test_class_steps_of_another_image_cannot_bring_back_old_classes():
    session = make_session()
    session.classes.make("cyst")
    session.choose_image(make_image("two"))
    session.classes.make("scar")
    session.choose_image(make_image("one"))
    session.undo()
    assert session.classes.table.find_name("scar") is not None


def test_delete_clears_pixels_and_only_those():
    session = with_two_objects()
    session.annotation.select(1)
    session.annotation.delete([1])
    assert set(np.unique(session.annotation.labels)) == {0, 2}
    assert session.annotation.selected_id is None
    session.undo()
    assert [r.id for r in session.annotation.records] == [1, 2]


def test_next_object_commits_a_mask_and_clears_prompts_without_one():
    session = make_session()
    session.prompting.add_click(12, 12)
    session.annotation.next_object()
    assert len(session.annotation.records) == 1
    session.prompting.add_click(60, 60)
    session.annotation.next_object()
    assert len(session.annotation.records) == 1
    assert not session.prompts


def test_painting_is_one_undoable_step_with_new_measures():
    session = with_two_objects()
    painted = session.annotation.labels.copy()
    painted[8:24, 24:28] = 1
    painted[0:2, 0:2] = 7
    session.annotation.correct(painted)
    areas = {r.id: r.measured.area_px for r in session.annotation.records}
    assert areas == {1: 320, 2: 416, 7: 4}
    session.undo()
    areas = {r.id: r.measured.area_px for r in session.annotation.records}
    assert areas == {1: 256, 2: 416}


def test_labels_with_features_come_back():
    session = with_two_objects()
    rows = [{"index": 2, "class": "cyst", "p": 0.7, "source": "user"}]
    other = make_session()
    other.annotation.load(session.annotation.labels.astype(np.uint16), rows)
    records = other.annotation.records
    assert [r.id for r in records] == [1, 2]
    assert other.classes.table.find(records[1].class_id).name == "cyst"
    assert records[0].class_id is None


def test_labels_of_another_size_are_refused():
    with pytest.raises(PromptError, match="10 x 12 px; the image is 64 x 64"):
        make_session().annotation.load(np.ones((10, 12), np.uint32))


def test_uncertain_objects_are_visited_least_certain_first():
    session = with_two_objects()
    session.annotation.select_uncertain()
    assert session.annotation.selected_id == 1
    session.annotation.select_uncertain()
    assert session.annotation.selected_id == 2


def test_objects_changed_tells_the_changed_box():
    session = make_session()
    boxes = []
    session.objects_changed.connect(boxes.append)
    session.prompting.add_click(40, 40)
    session.annotation.commit()
    session.annotation.assign_class([1], None)
    assert boxes == [(36, 30, 52, 56), None]
