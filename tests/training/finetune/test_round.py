"""A round on a tiny project: learns, is judged, is published or rolled back."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from napari_segmoe.errors import ConfigError, TrainingError
from napari_segmoe.models.card import read_card
from napari_segmoe.project.model_versions import weights_file
from napari_segmoe.project.records import Change, EventKind, ReviewState
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.training.finetune import stepping
from napari_segmoe.training.finetune.round import run_round
from napari_segmoe.training.finetune.settings import make_settings
from tests.training.finetune.tiny import make_project, save_tiny

FAST = {
    "steps": 10,
    "batch_size": 4,
    "learning_rate": 0.02,
    "replay_weight": 1.0,
    "validate_every": 4,
    "nice": 0,
    "device": "cpu",
    "precision": "32-true",
    "old_domain_loss": 1.0,  # what is bright changes for the tiny network anywhere
}


def settings(weights, **values):
    return make_settings(**{**FAST, "weights": str(weights), **values})


@pytest.fixture
def weights(tmp_path):
    return save_tiny(tmp_path / "tiny.safetensors")


def run(project, weights, **values):
    events = list(run_round(project, settings(weights, **values)))
    return events, events[-1]


def look_at_start(project, weights):
    """Return what a round says first, and train no further."""
    events = run_round(project, settings(weights))
    first = next(events)
    events.close()
    return first


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A project with a published round, one of its files named after a patient."""
    folder = tmp_path_factory.mktemp("published")
    project = make_project(folder / "p.segmoe")
    file = folder / "p" / "images" / "0.png"
    file.rename(file.with_name("Meier_Anna.png"))
    events, _ = run(project, save_tiny(folder / "tiny.safetensors"))
    return project, events


def test_corrections_that_help_are_published(published):
    project, events = published
    done = events[-1]
    assert done["decision"] == "publish", done["reason"]
    assert done["published"] == 1
    assert done["hold_out"]["dice"] > done["hold_out"]["old_dice"] + 0.2
    kinds = [event["event"] for event in events]
    assert kinds[0] == "start"
    assert kinds[-2:] == ["guard", "done"]
    assert kinds.count("epoch") == 3  # two folds, then all of it
    with ProjectStore.open(project) as store:
        versions = {one.number: one for one in store.models()}
        assert (versions[0].is_current, versions[1].is_current) == (False, True)
        last = list(store.events())[-1]
        assert last.kind is EventKind.PUBLISH
        assert last.change.details["figures"]["dice"] == done["hold_out"]["dice"]
        assert [one.state for one in store.runs()] == ["published"]
    card = read_card(weights_file(project, 1))
    assert card.metrics["hold_out"]["gain"] > 0
    assert card.training["round"] == "round-0001"


def test_the_run_folder_tells_the_same_as_the_events(published):
    project, events = published
    folder = project / "runs" / "round-0001"
    lines = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == events
    assert json.loads((folder / "metrics.json").read_text()) == events[-1]


def test_a_round_leaves_a_page_with_pictures(published):
    project, events = published
    folder = project / "runs" / "round-0001"
    page = (folder / "report.md").read_text(encoding="utf-8")
    assert "**Published as version 1.**" in page
    assert events[-1]["reason"] in page
    for name in ("curves.png", "answers.png"):
        assert f"report/{name}" in page
        with Image.open(folder / "report" / name) as picture:
            assert min(picture.size) > 200


def test_the_same_seed_gives_the_same_answer(tmp_path, weights):
    first = make_project(tmp_path / "a.segmoe")
    second = tmp_path / "b.segmoe"
    shutil.copytree(first, second)
    told = [run(project, weights, steps=2)[1] for project in (first, second)]
    for name in ("hold_out", "old_domain", "corrections"):
        assert told[0][name] == told[1][name]


def test_a_second_round_starts_from_the_first_and_judges_by_new_objects(
    tmp_path, published
):
    project = tmp_path / "p.segmoe"
    shutil.copytree(published[0], project)
    events = list(run_round(project, make_settings(**{**FAST, "steps": 2})))
    assert events[0]["round"] == "round-0002"
    first, second = published[1][-1]["hold_out"], events[-1]["hold_out"]
    assert second["old_dice"] > first["old_dice"] + 0.2
    with ProjectStore.open(project) as store:
        assert len(store.runs()) == 2


def test_a_round_whose_folder_was_deleted_keeps_its_number(tmp_path, published):
    project = tmp_path / "p.segmoe"
    shutil.copytree(published[0], project)
    shutil.rmtree(project / "runs")
    events = run_round(project, make_settings(**{**FAST, "steps": 2}))
    assert next(events)["round"] == "round-0002"
    events.close()


def test_many_objects_are_judged_by_a_quarantine_that_is_never_learnt_from(
    tmp_path, weights
):
    project = make_project(tmp_path / "p.segmoe", images=16)
    events, done = run(project, weights)
    assert events[0]["mode"] == "quarantine"
    assert [e["event"] for e in events].count("epoch") == 1
    assert any(event["event"] == "validation" for event in events)
    assert done["hold_out"]["images"] < 8
    assert done["decision"] == "publish", done["reason"]


def inverted(ids, name, number):
    rows, columns = np.nonzero(ids)
    box = np.zeros(ids.shape, bool)
    box[rows.min() - 3 : rows.max() + 3, columns.min() - 3 : columns.max() + 3] = True
    return np.where(box & (ids == 0), np.uint32(1), np.uint32(0)), name


def shifted(ids, name, number):
    return np.roll(ids, 12, axis=1), name


@pytest.mark.parametrize("poison", [inverted, shifted])
def test_poisoned_masks_are_never_published(tmp_path, weights, poison):
    project = make_project(tmp_path / "p.segmoe", change=poison)
    _, done = run(project, weights)
    assert done["decision"] == "rollback"
    assert done["reason"]
    with ProjectStore.open(project) as store:
        assert store.models() == ()
        assert list(store.events())[-1].kind is EventKind.ROLLBACK
    assert not (project / "weights").exists()


def test_what_forgets_old_images_is_rolled_back(tmp_path, weights):
    project = make_project(tmp_path / "p.segmoe")
    _, done = run(project, weights, old_domain_loss=0.01)
    assert done["decision"] == "rollback"
    assert done["old_domain"]["old_domain_loss"] > 0.01
    assert "Old images lose" in done["reason"]


def test_corrections_of_what_is_right_already_are_not_published(tmp_path, weights):
    project = make_project(tmp_path / "p.segmoe", bright=0.9)
    _, done = run(project, weights, learning_rate=1e-5)
    assert done["decision"] == "rollback"
    assert "No gain" in done["reason"]


def test_a_missing_image_is_skipped_and_said(tmp_path, weights):
    project = make_project(tmp_path / "p.segmoe", images=7)
    next((tmp_path / "p" / "images").glob("*.png")).unlink()
    first = look_at_start(project, weights)
    assert first["images"] == 6
    assert any("left out" in note for note in first["notes"])


def test_a_moved_image_is_found_by_its_content(tmp_path, weights):
    project = make_project(tmp_path / "p.segmoe")
    folder = tmp_path / "p" / "images"
    (folder / "0.png").rename(folder / "renamed.png")
    assert look_at_start(project, weights)["images"] == 6


def test_images_that_are_all_gone_are_one_sentence(tmp_path, weights):
    project = make_project(tmp_path / "p.segmoe")
    for file in (tmp_path / "p" / "images").iterdir():
        file.unlink()
    with pytest.raises(TrainingError, match="No accepted object can be learnt from"):
        run(project, weights)


def test_nothing_accepted_is_nothing_to_learn_from(tmp_path, weights):
    project = make_project(tmp_path / "p.segmoe", images=3)
    with ProjectStore.open(project) as store:
        for record in store.images():
            states = {
                number: state.model_copy(update={"state": ReviewState.PROPOSED})
                for number, state in store.objects(record.name).items()
            }
            store.append(EventKind.UNDO, Change(objects=states), image=record.name)
    with pytest.raises(TrainingError, match="Nothing to learn from"):
        run(project, weights)
    assert not (project / "runs").exists()


def test_two_images_are_too_few(tmp_path, weights):
    project = make_project(tmp_path / "p.segmoe", images=2)
    with pytest.raises(TrainingError, match="Too few to judge"):
        run(project, weights)


def test_one_class_only_is_said_and_not_learnt(tmp_path, weights):
    project = make_project(
        tmp_path / "p.segmoe", change=lambda ids, name, number: (ids, "small")
    )
    events, _ = run(project, weights, steps=2)
    assert any("one class" in note for note in events[0]["notes"])
    epochs = [event for event in events if event["event"] == "epoch"]
    assert "object_class" not in epochs[0]["train"]


def test_classes_that_the_weights_do_not_know_are_said(tmp_path, weights):
    project = make_project(
        tmp_path / "p.segmoe", change=lambda ids, name, number: (ids, "odd")
    )
    notes = look_at_start(project, weights)["notes"]
    assert any("Masks of odd are learnt from" in note for note in notes)


def test_masks_alone_are_learnt_where_asked(tmp_path, weights):
    project = make_project(tmp_path / "p.segmoe")
    events, _ = run(project, weights, steps=2, learn_classes=False)
    assert any("classes are not" in note for note in events[0]["notes"])
    epochs = [event for event in events if event["event"] == "epoch"]
    assert "object_class" not in epochs[0]["train"]
    with_them, _ = run(make_project(tmp_path / "q.segmoe"), weights, steps=2)
    epochs = [event for event in with_them if event["event"] == "epoch"]
    assert "object_class" in epochs[0]["train"]


def test_a_project_without_weights_asks_which(tmp_path):
    project = make_project(tmp_path / "p.segmoe")
    with pytest.raises(ConfigError, match="--weights"):
        list(run_round(project, make_settings(**FAST)))


def test_a_loss_that_is_no_number_is_one_sentence_and_publishes_nothing(
    tmp_path, weights, monkeypatch
):
    real = stepping.partial_loss

    def spoilt(*arguments):
        losses = real(*arguments)
        return {**losses, "loss": losses["loss"] * float("nan")}

    monkeypatch.setattr(stepping, "partial_loss", spoilt)
    project = make_project(tmp_path / "p.segmoe")
    with pytest.raises(TrainingError, match="not finite"):
        run(project, weights)
    with ProjectStore.open(project) as store:
        assert [one.state for one in store.runs()] == ["failed"]
        assert store.models() == ()


def test_no_name_of_a_file_is_in_the_project(published):
    project, _ = published
    for path in project.rglob("*"):
        if path.is_file() and path.name != "local.json":
            assert b"Meier" not in path.read_bytes(), path
            assert str(project).encode() not in path.read_bytes(), path
