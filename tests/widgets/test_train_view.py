"""The Train tab shows what the session knows of runs, material and versions."""

import json
import os

import pytest
from napari._qt.qt_resources import get_stylesheet
from qtpy.QtWidgets import QScrollArea

from napari_segmoe.errors import ConfigError
from napari_segmoe.project.records import (
    Change,
    EventKind,
    ImageRecord,
    ObjectState,
    Provenance,
    ReviewState,
)
from napari_segmoe.session.round_estimate import estimate_round, say_duration
from napari_segmoe.session.run_list import note_run
from napari_segmoe.session.run_words import round_words
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.finetune.settings import STEPS, RoundSettings, make_settings
from napari_segmoe.training.run_process import mark_of, write_mark
from napari_segmoe.widgets.settings_form import SettingsForm
from napari_segmoe.widgets.train_material_view import NO_PROJECT
from napari_segmoe.widgets.train_view import Source, TrainView
from napari_segmoe.widgets.versions_view import NONE_YET
from tests.session.fakes import make_session
from tests.session.test_model_versions import PUBLISHED, publish

NARROW_PX = 330


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGMOE_STATE", str(tmp_path / "state"))


@pytest.fixture
def show(qtbot):
    hosts = []  # else Python deletes them with what they hold

    def show(session, theme="dark"):
        view = TrainView(session)
        host = QScrollArea()
        host.setStyleSheet(get_stylesheet(theme))
        host.setWidgetResizable(True)
        host.setWidget(view)
        host.resize(NARROW_PX, 900)
        hosts.append(host)
        qtbot.addWidget(host)
        host.show()
        return view

    return show


@pytest.fixture
def project(tmp_path):
    """A session in a project of six images with a drawn object each."""
    session = make_session(image=False)
    session.project.create(tmp_path / "study.segmoe")
    store = session.project.store
    (kind,) = {one.id for one in store.classes() if one.name == "benign"} or {None}
    for number in range(6):
        name = f"image-{number + 1:04}"
        record = ImageRecord(name=name, fingerprint=name, shape=(64, 64))
        store.add_image(record)
        state = ObjectState(
            class_id=kind,
            state=ReviewState.ACCEPTED,
            provenance=Provenance.DRAWN,
            source="user",
            area_px=64,
            box=(4, 4, 12, 12),
        )
        store.append(EventKind.COMMIT, Change(objects={1: state}), image=name)
    yield session
    session.close()


def make_run(folder, *events, mark=None):
    folder.mkdir(parents=True)
    (folder / "config.yaml").touch()
    lines = "".join(json.dumps(event) + "\n" for event in events)
    (folder / "events.jsonl").write_text(lines)
    if mark is not None:
        write_mark(folder, mark)
    return folder


def epoch(number, loss, score):
    return {
        "event": "epoch",
        "epoch": number,
        "train": {"loss": loss},
        "validation": {"score": score, "dice": score / 2},
    }


START = {"event": "start", "epoch": 0, "epochs": 9, "notes": []}


# ---- what there is to learn from -----------------------------------------------------


def test_without_a_project_the_way_to_one_is_said(show):
    view = show(make_session())
    assert view.source is Source.FOLDER
    view.choose_source(Source.PROJECT)
    assert view.material.text == NO_PROJECT
    assert not view._train.isEnabled()


def test_material_is_counted_and_its_judge_named(show, project):
    view = show(project)
    assert view.source is Source.PROJECT
    text = view.material.text
    assert "6 accepted objects</b> in 6 images" in text
    assert "6 drawn by hand" in text
    assert "cross-fitting in 2 parts" in text
    assert view._train.isEnabled()


def test_too_little_material_is_a_warning_and_no_button(show, tmp_path):
    session = make_session()
    session.project.create(tmp_path / "empty.segmoe")
    view = show(session)
    assert "no object is accepted yet" in view.material.text
    assert not view._train.isEnabled()
    session.close()


def test_a_project_that_is_opened_later_is_counted(show, tmp_path):
    session = make_session()
    view = show(session)
    session.project.create(tmp_path / "new.segmoe")
    assert view.source is Source.PROJECT
    assert "Nothing to learn from" in view.material.text
    session.close()


def test_the_estimate_follows_what_is_set(show, project):
    view = show(project)
    form = view.round_form
    form._weights.setCurrentIndex(form._weights.findData("glands"))
    assert form.estimate_text.startswith("About ")
    assert " GB, one thread in the background." in form.estimate_text
    material = project.training_runs.material.counted
    normal, quick = (
        estimate_round(material, weights="glands", preset=one, minutes=60)
        for one in ("normal", "quick")
    )
    assert quick.seconds < normal.seconds
    assert 0.3 < normal.memory_gb < 8
    form._minutes.setValue(1)
    limited = estimate_round(material, weights="glands", preset="normal", minutes=0.2)
    assert limited.text.startswith("About 20 s")


def test_other_settings_of_a_round_are_handed_on(show, project):
    form = show(project).round_form
    assert form.request.settings == {}
    form.others.row("seed").value = 3
    form.pseudo_labels.click()
    is_on = form.pseudo_labels.isChecked()
    expected = {"seed": 3, "pseudo_weight": 0.5 if is_on else 0.0}
    assert form.request.settings == expected
    words = round_words(project.project.path, form.request)
    assert "seed=3" in words
    config = make_settings(**form.request.settings)
    assert config.seed == 3


def test_the_pace_of_the_last_round_counts_more_than_a_guess(show, project):
    steps = [
        {"event": "progress", "epoch": 0, "step": one, "steps": 10, "loss": 1.0}
        for one in range(1, 11)
    ]
    done = {"event": "done", "epoch": 1, "seconds": 500.0}
    folder = project.project.path / "runs" / "round-0001"
    make_run(folder, START, *steps, epoch(0, 1.0, 0.5), done)
    view = show(project)
    assert project.training_runs.seconds_a_step == 50
    form = view.round_form
    form._weights.setCurrentIndex(form._weights.findData("glands"))
    form._minutes.setValue(1000)
    material = project.training_runs.material.counted
    minutes = STEPS["normal"] * material.trainings * 50 / 60
    assert form.estimate_text.startswith(f"About {minutes:.0f} min")


def test_a_missing_model_leaves_only_the_longest_time(project):
    project.training_runs.material.count()
    material = project.training_runs.material.counted
    found = estimate_round(material, weights="gone", preset=None, minutes=10)
    assert found.text == "At most 10 min."


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3, "10 s"), (41, "50 s"), (90, "2 min"), (3600, "60 min"), (7260, "2 h 01 min")],
)
def test_durations_are_said_as_people_do(seconds, words):
    assert say_duration(seconds) == words


# ---- runs ----------------------------------------------------------------------------


def test_a_chosen_run_is_drawn_and_can_be_resumed(show, tmp_path):
    died = make_run(tmp_path / "died", START, epoch(0, 2.0, 0.5), epoch(1, 1.0, 0.7))
    done = make_run(tmp_path / "done", START, {"event": "done"})
    for folder in (died, done):
        (folder / "best.safetensors").touch()
        note_run(folder)
    session = make_session()
    view = show(session)
    runs = session.training_runs
    assert view.runs.texts == ["done · done", "died · died · best 0.700"]
    view.runs.list_widget.setCurrentRow(1)
    assert runs.selected.name == "died"
    assert view.curves.points == (2, 2)
    assert view.curves.figures == ["score", "dice"]
    assert view._resume.isEnabled()
    assert not view._kill.isEnabled()
    view.runs.list_widget.setCurrentRow(0)
    assert view.curves.points == (0, 0)
    assert not view._resume.isEnabled()
    view.runs._use.click()
    assert session.model.choice.weights == str(done / "best.safetensors")
    view.runs._forget.click()
    assert view.runs.texts == ["died · died · best 0.700"]


def test_a_run_that_goes_on_moves_bar_curve_and_buttons(show, tmp_path):
    folder = make_run(tmp_path / "run", START, mark=mark_of(os.getpid()))
    note_run(folder)
    session = make_session()
    view = show(session)
    assert view._stop.isEnabled()
    assert view._kill.isEnabled()
    assert "epoch 1 of 9" in view.state_text
    with (folder / "events.jsonl").open("a") as file:
        for number in range(3):
            file.write(json.dumps(epoch(number, 1.0, 0.5)) + "\n")
    session.training_runs.poll()
    assert "epoch 4 of 9" in view.state_text
    assert view._bar.value() == 333
    assert view.curves.points == (3, 3)
    view._stop.click()
    assert (folder / "stop").is_file()
    assert "stops when it is done" in view.state_text
    assert not view._stop.isEnabled()


def test_the_guards_decision_is_said(show, project):
    guard = {
        "event": "guard",
        "decision": "rollback",
        "version": None,
        "reason": "No gain beyond noise.",
    }
    folder = project.project.path / "runs" / "round-0001"
    make_run(folder, START, epoch(0, 1.0, 0.5), guard, {"event": "done"})
    view = show(project)
    assert view.guard_text == (
        "Not published: the model before stays in use. No gain beyond noise."
    )
    assert "round-0001" in view.state_text


def test_another_figure_of_the_validation_can_be_drawn(show, tmp_path):
    note_run(make_run(tmp_path / "run", START, epoch(0, 2.0, 0.5)))
    view = show(make_session())
    curves = view.curves
    assert curves._newest_score.text() == "0.500, best 0.500"
    curves._figure.setCurrentIndex(1)
    curves._figure.activated.emit(1)
    assert curves._newest_score.text() == "0.250, best 0.250"


# ---- versions ------------------------------------------------------------------------


def test_versions_are_used_and_reverted_by_one_click(show, project):
    store = project.project.store
    view = show(project)
    assert view.versions._empty.text() == NONE_YET
    assert view.versions.texts == []
    publish(store, 0, is_current=False)
    publish(store, 1, PUBLISHED)
    project.training_runs.models.follow_publication()
    assert view.versions.texts == ["0.870 (0.82-0.90)", "0.840"]
    assert view.versions.buttons[1].text() == "Revert"
    assert view.versions.buttons[0].text() == "Use"
    view.versions.buttons[1].click()
    assert project.training_runs.models.current.number == 0
    assert view.versions.buttons[1].text() == "Use"
    assert not view.versions.buttons[0].isEnabled()
    assert project.model.choice.weights.endswith("v0000.safetensors")
    assert view.round_form.request.weights is None


# ---- the form of a recipe, and the tab's looks ---------------------------------------


def test_only_what_was_changed_is_handed_on():
    names = ("recipe", "epochs", "learning_rate", "image_head", "spacing_um", "exclude")
    form = SettingsForm(TrainingConfig, names)
    assert form.changed() == {}
    form.row("learning_rate").value = "1e-3"
    form.row("epochs").value = 7
    form.row("image_head").value = False
    form.row("exclude").value = "{class: normal}"
    changed = form.changed()
    assert changed.pop("exclude") == {"class": "normal"}
    config = TrainingConfig(data="d", out="o", **changed)
    assert (config.epochs, config.learning_rate, config.image_head) == (7, 1e-3, False)
    form.show({"spacing_um": 0.5})
    assert form.changed() == {"spacing_um": 0.5}
    form.row("spacing_um").value = "{"
    with pytest.raises(ConfigError, match="Spacing"):
        form.changed()


def test_every_setting_has_a_row_that_reads_as_its_default():
    names = [one for one in TrainingConfig.model_fields if one not in ("data", "out")]
    assert SettingsForm(TrainingConfig, names).changed() == {}
    assert SettingsForm(RoundSettings, RoundSettings.model_fields).changed() == {}


def test_a_network_suggests_the_recipe_of_its_paper(show):
    form = show(make_session()).recipe_form
    form._model.setCurrentIndex(form._model.findData("utanet_lite"))
    form._model.activated.emit(form._model.currentIndex())
    assert form.usual.row("recipe").value == "two_stage"
    assert form.values["recipe"] == "two_stage"
    assert form.values["model"] == "utanet_lite"
    assert "out" not in form.values
    form._out.setText("runs/mine")
    assert str(form.values["out"]) == "runs/mine"


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_tab_fits_a_narrow_dock(show, project, tmp_path, theme):
    note_run(make_run(tmp_path / "a_run_with_a_long_name", START, epoch(0, 2, 0.5)))
    publish(project.project.store, 0, is_current=False)
    publish(project.project.store, 1, PUBLISHED)
    project.training_runs.models.read()
    view = show(project, theme)
    for source in Source:
        view.choose_source(source)
        assert view.minimumSizeHint().width() <= NARROW_PX - 36, source


def test_ended_runs_are_not_read_again_and_again(tmp_path):
    for number in range(20):
        note_run(make_run(tmp_path / f"run{number}", START, {"event": "done"}))
    session = make_session()
    session.training_runs.look_around()
    reads = []
    for run in session.training_runs.runs:
        run._tail.read = lambda: reads.append(1)
    session.training_runs.poll()
    assert not reads
