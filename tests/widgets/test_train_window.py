"""A real training from the tab, by real clicks: it lives longer than the window."""

import os
import signal
from pathlib import Path

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_segmoe.session.training_run import RunState
from napari_segmoe.training.run_process import end_process, find_process
from tests.session.fakes import FakePredictor, make_pixels
from tests.training.lesions import write_lesions

START_MS = 120_000  # importing torch on a busy machine


def load_fake(weights, *, device):
    return FakePredictor()


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGMOE_STATE", str(tmp_path / "state"))
    return write_lesions(tmp_path / "lesions")


@pytest.fixture
def open_train(open_window, data, qtbot):
    """Open a window on its Train tab; trainers that are left end with the test."""
    opened = []

    def open_one():
        window = open_window(load_predictor=load_fake)
        opened.append(window)
        window.viewer.add_image(make_pixels(), name="scan")
        window.wait_for_prompts_layer()
        window.viewer.window._qt_window.resize(1200, 1000)
        tabs = window.dock.tabs
        names = [tabs.tabText(at) for at in range(tabs.count())]
        tabs.setCurrentIndex(names.index("Train"))
        qtbot.waitUntil(window.dock.train.isVisible)
        return window, window.dock.train, window.session.training_runs

    yield open_one
    for window in opened:
        for run in window.session.training_runs.active:
            end_process(run.mark)


def click(button):
    assert button.isVisible()
    assert button.isEnabled()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def fill_in(view, data):
    click(view._sources["folder"])
    QTest.keyClicks(view.recipe_form.data, str(data))
    usual, others = view.recipe_form.usual, view.recipe_form.others
    usual.row("recipe").value = "supervised"
    usual.row("epochs").value = 500
    usual.row("input_px").value = 32
    usual.row("batch_size").value = 4
    others.row("patience").value = 500
    others.row("device").value = "cpu"
    others.row("precision").value = "32-true"


def test_a_run_outlives_its_window_and_a_kill(open_train, data, qtbot):
    window, view, runs = open_train()
    fill_in(view, data)
    click(view._train)
    run = runs.selected
    assert run.state is RunState.STARTING
    assert "starting" in view.state_text
    qtbot.waitUntil(lambda: view.curves.points[0] >= 2, timeout=START_MS)
    assert run.state is RunState.RUNNING
    assert view.curves.points[1] >= 1
    assert "score" in view.curves.figures
    assert "epoch " in view.state_text
    assert view.runs.texts[0].startswith(f"{run.name} · running")

    os.kill(run.mark.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: run.state is RunState.DIED, timeout=20_000)
    assert "ended unexpectedly" in view.state_text
    assert "It can be resumed." in view.state_text
    told = run.history.epoch
    click(view._resume)
    qtbot.waitUntil(lambda: run.state is RunState.RUNNING, timeout=START_MS)
    qtbot.waitUntil(lambda: run.history.epoch > told, timeout=60_000)
    drawn = [at for at, _ in run.history.train_loss]
    assert drawn == sorted(set(drawn)), "no epoch is drawn twice"

    window.session.close()
    window.dock._runs_timer.stop()
    assert find_process(run.mark) is not None

    _, view, runs = open_train()
    found = next(one for one in runs.runs if one.folder == run.folder)
    assert found is not run
    runs.select(found)
    assert found.state is RunState.RUNNING
    assert found.history.train_loss[: len(drawn)] == run.history.train_loss
    click(view._stop)
    qtbot.waitUntil(lambda: found.state is RunState.STOPPED, timeout=60_000)
    qtbot.waitUntil(lambda: find_process(found.mark) is None, timeout=START_MS)
    assert "it can go on" in view.state_text
    assert view._resume.isEnabled()
    assert not view._stop.isEnabled()
    click(view.runs._use)
    used = Path(runs._session.model.choice.weights)
    assert used == found.folder / "best.safetensors"


def test_a_data_folder_that_cannot_be_read_is_said_in_a_sentence(
    open_train, data, qtbot
):
    (data / "labels.csv").write_text("nonsense\n")
    window, view, runs = open_train()
    told = []
    window.session.failed.connect(told.append)
    fill_in(view, data)
    click(view._train)
    run = runs.selected
    qtbot.waitUntil(lambda: not run.state.is_active, timeout=START_MS)
    assert run.state in (RunState.DIED, RunState.FAILED)
    assert "labels.csv" in run.reason
    assert "Traceback" not in run.reason
    assert "labels.csv" in str(told[-1])
    assert "labels.csv" in view.state_text
