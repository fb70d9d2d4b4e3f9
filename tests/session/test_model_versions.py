"""The versions of a project's model: one is used, one can go back."""

import pytest

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.model_versions import weights_file
from napari_segmoe.project.records import Change, EventKind, ModelVersion
from tests.session.fakes import FakePredictor, make_session

PUBLISHED = {"dice": 0.87, "dice_low": 0.82, "dice_high": 0.9, "old_dice": 0.84}


def publish(store, number, figures=None, *, is_current=True):
    path = weights_file(store.path, number)
    path.parent.mkdir(exist_ok=True)
    path.touch()
    version = ModelVersion(
        number=number,
        weights_sha256="00",
        base="glands",
        is_current=is_current,
        figures=figures or {},
    )
    store.append(EventKind.PUBLISH, Change(model=version))


@pytest.fixture
def session(tmp_path):
    made = make_session(predictor=FakePredictor())
    made.project.create(tmp_path / "study.segmoe")
    publish(made.project.store, 0, is_current=False)
    publish(made.project.store, 1, PUBLISHED)
    yield made
    made.close()


def test_the_timeline_begins_with_what_the_first_round_began_with(session):
    session.training_runs.models.read()
    first, second = session.training_runs.versions
    assert (first.number, first.dice, first.is_current) == (0, 0.84, False)
    assert (second.number, second.dice, second.is_current) == (1, 0.87, True)
    assert second.interval == (0.82, 0.9)


def test_what_a_round_published_answers_from_the_next_click_on(session):
    models = session.training_runs.models
    session.prompting.add_click(12, 12)
    answer = session.prediction
    models.follow_publication()
    path = weights_file(session.project.path, 1)
    assert session.model.choice.weights == str(path)
    assert session.prediction is answer
    assert "Version 1 (hold-out Dice 0.870) answers from the next click on." in (
        session.notes
    )
    session.prompting.add_click(40, 40)
    assert session.prediction is not answer


def test_one_can_go_back_and_forth_and_the_project_knows(session):
    runs = session.training_runs
    runs.models.follow_publication()
    runs.revert(runs.versions[1])
    assert [one.is_current for one in runs.versions] == [True, False]
    assert session.model.choice.weights.endswith("v0000.safetensors")
    runs.use(runs.versions[1])
    assert runs.models.current.number == 1
    events = [one for one in session.project.store.events() if one.kind == "revert"]
    assert [one.change.details["to"] for one in events] == [0, 1]
    with pytest.raises(ProjectError, match="is the oldest"):
        runs.revert(runs.versions[0])


def test_a_project_that_is_opened_again_uses_its_version(session, tmp_path):
    session.close()
    other = make_session(image=False)
    other.project.open(tmp_path / "study.segmoe")
    assert other.model.choice.weights.endswith("v0001.safetensors")
    assert len(other.training_runs.versions) == 2
    other.close()


def test_weights_that_are_gone_are_not_used(session):
    models = session.training_runs.models
    models.read()
    weights_file(session.project.path, 0).unlink()
    before = session.model.choice
    with pytest.raises(ProjectError, match="weights of version 0 are gone"):
        models.use(models.versions[0])
    assert session.model.choice == before
    assert models.current.number == 1


def test_without_a_project_there_are_no_versions():
    assert make_session().training_runs.versions == ()
