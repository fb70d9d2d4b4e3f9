"""The whole loop by real clicks: correct, learn, let the guard decide, use, go back.

A predictor and a trainer run in processes of their own, on a tiny network that sees
bright discs only: it learns from dim ones that are painted.
"""

import os
from functools import partial

import imageio.v3 as iio
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from napari_segmoe.project.records import EventKind, Provenance, ReviewState
from napari_segmoe.project.verification import verify_project
from napari_segmoe.session.training_run import RunState
from napari_segmoe.training.run_process import end_process
from napari_segmoe.viewer.our_layers import OBJECTS
from tests.conftest import REPOSITORY
from tests.training.finetune.tiny import save_tiny
from tests.widgets.conftest import iou

LEFT = Qt.MouseButton.LeftButton
NONE, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
START_MS = 120_000  # importing torch on a busy machine
SHAPE = (72, 80)
RADIUS = 8
DIM = ((18, 16), (22, 60))  # of every image: what the network misses
BRIGHT = (52, 60)  # of the first image, and of the last
# what is bright changes for the tiny network anywhere: old images may lose
SETTINGS = {
    "steps": 40,
    "batch_size": 4,
    "validate_every": 4,
    "patience": 20,
    "learning_rate": "0.02",
    "replay_weight": "2.0",
    "old_domain_loss": "1.0",
}
IMAGES = 5  # the last one stays unlabelled


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Five images, weights of the tiny network, processes that know it."""
    monkeypatch.setenv("SEGMOE_STATE", str(tmp_path / "state"))
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "from tests.training.finetune.tiny import register_tiny\nregister_tiny()\n"
    )
    path = os.pathsep.join((str(site), str(REPOSITORY)))
    monkeypatch.setenv("PYTHONPATH", path)
    scans = tmp_path / "scans"
    scans.mkdir()
    for number in range(IMAGES):
        grey = np.full(SHAPE, 0.12) + np.random.default_rng(number).normal(
            0, 0.02, SHAPE
        )
        for centre in discs_of(number):
            grey[disc(centre)] += 0.55 if centre == BRIGHT else 0.23
        pixels = (grey.clip(0, 1) * 255).astype(np.uint8)
        iio.imwrite(scans / f"scan-{number}.png", np.repeat(pixels[..., None], 3, 2))
    return save_tiny(tmp_path / "tiny.safetensors", classes=())


def discs_of(number):
    return (*DIM, BRIGHT) if number in (0, IMAGES - 1) else DIM


def disc(centre):
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < RADIUS**2


@pytest.fixture
def open_loop(open_window, world):
    """Open windows with the real predictor; trainers end with the test."""
    opened = []

    def open_one():
        window = open_window(weights=str(world))
        opened.append(window)
        window.viewer.window._qt_window.resize(1300, 1000)
        return window

    yield open_one
    for window in opened:
        for run in window.session.training_runs.active:
            end_process(run.mark)


def show_tab(window, title):
    tabs = window.dock.tabs
    titles = [tabs.tabText(at).split(" ")[0] for at in range(tabs.count())]
    QTest.mouseClick(
        tabs.tabBar(), LEFT, NONE, tabs.tabBar().tabRect(titles.index(title)).center()
    )
    if tabs.currentIndex() != titles.index(title):  # behind the arrows of a narrow bar
        tabs.setCurrentIndex(titles.index(title))
    window.qtbot.wait(200)


def press(button):
    assert button.isEnabled(), button.text()
    QTest.mouseClick(button, LEFT)


def answer(monkeypatch, kind, path):
    value = (str(path), "") if kind == "getSaveFileName" else str(path)
    monkeypatch.setattr(QFileDialog, kind, lambda *_: value)


def place_of(window):
    """Return the place of the present image in the worklist; before the first: -1."""
    rows = window.session.worklist.rows
    return next((at for at, row in enumerate(rows) if row.is_current), -1)


def says(bar, text):
    return bar.text.startswith(text)


def go_to(window, number):
    """Step through the worklist until an image is shown."""
    bar = window.dock.worklist_bar
    while (place := place_of(window)) != number:
        shown = f"{place + 1} of {IMAGES}" if place >= 0 else f"{IMAGES} images"
        window.qtbot.waitUntil(partial(says, bar, shown))
        press(bar._on if place < number else bar._back)
    assert window.session.image.name == f"scan-{number}"
    window.wait_for_prompts_layer()
    window.viewer.fit_to_view()
    window.qtbot.wait(100)


def paint_disc(window, centre):
    """Paint a new object with the real brush: one press with a brush of its size."""
    window.press_key(Qt.Key.Key_D, SHIFT)
    layer = window.viewer.layers[OBJECTS]
    assert layer.mode == "paint"
    layer.brush_size = 2 * RADIUS
    count = len(window.session.annotation.records)
    window.click(*centre)
    assert len(window.session.annotation.records) == count + 1


def ask(window, centre):
    """Click, and return the mask."""
    window.session.prompting.reject()
    window.dock.layers.activate_prompts()
    window.click(*centre)
    return window.wait_for_mask(START_MS).mask


def open_project(window, tmp_path, monkeypatch):
    show_tab(window, "Project")
    answer(monkeypatch, "getSaveFileName", tmp_path / "study.segmoe")
    press(window.dock.project.start._new)
    answer(monkeypatch, "getExistingDirectory", tmp_path / "scans")
    press(window.dock.project.worklist._folder)
    assert len(window.session.worklist.rows) == IMAGES


def commit_and_accept(window):
    """Keep what a click finds, and accept what the network found by itself."""
    session = window.session
    go_to(window, 0)
    assert iou(ask(window, BRIGHT), disc(BRIGHT)) > 0.7
    window.press_key(Qt.Key.Key_C)
    assert [one.state for one in session.annotation.records] == [ReviewState.ACCEPTED]
    assert not ask(window, DIM[0]).any()
    go_to(window, IMAGES - 1)
    window.press_key(Qt.Key.Key_A)
    window.wait_for_mask(START_MS)
    window.press_key(Qt.Key.Key_C)
    (found,) = session.annotation.records
    assert found.state is ReviewState.PROPOSED
    window.press_key(Qt.Key.Key_Y)
    assert session.annotation.find(found.id).state is ReviewState.ACCEPTED


def paint_what_is_missed(window):
    for number in reversed(range(IMAGES - 1)):
        go_to(window, number)
        for centre in DIM:
            paint_disc(window, centre)
    store = window.session.project.store
    assert sum(store.count_objects().values()) == len(DIM) * (IMAGES - 1) + 2
    painted = store.objects("image-0003")
    assert {one.provenance for one in painted.values()} == {Provenance.DRAWN}


def learn(window):
    """Train from the tab, and watch until the guard has decided."""
    show_tab(window, "Train")
    view, runs = window.dock.train, window.session.training_runs
    assert f"{len(DIM) * (IMAGES - 1) + 2} accepted" in view.material.text
    form = view.round_form
    form._preset.setCurrentIndex(form._preset.findData("quick"))
    for name, value in SETTINGS.items():
        form.others.row(name).value = value
    window.qtbot.waitUntil(view._train.isEnabled, timeout=10_000)
    press(view._train)
    window.qtbot.waitUntil(lambda: view.curves.points[0] >= 2, timeout=START_MS)
    window.qtbot.waitUntil(lambda: not runs.active, timeout=START_MS)
    run = runs.selected
    assert run.state is RunState.DONE, run.reason
    assert view.guard_text.startswith("Published as version 1."), view.guard_text
    assert "Better on the hold-out" in view.guard_text
    assert runs.models.current.number == 1


def use_and_revert(window):
    """The new version answers from the next click on; going back is a click."""
    go_to(window, IMAGES - 1)
    learnt = ask(window, DIM[1])
    assert iou(learnt, disc(DIM[1])) > 0.6
    press(window.dock.train.versions.buttons[1])
    assert window.session.training_runs.models.current.number == 0
    assert not ask(window, DIM[1]).any()
    window.session.prompting.reject()


def test_a_model_learns_from_what_was_corrected_in_the_window(
    open_loop, tmp_path, monkeypatch
):
    window = open_loop()
    open_project(window, tmp_path, monkeypatch)
    commit_and_accept(window)
    paint_what_is_missed(window)
    learn(window)
    use_and_revert(window)
    session = window.session
    before = {row.image: (row.status, row.objects) for row in session.worklist.rows}
    labels = session.project.store.labels("image-0003")

    session.close()  # and open again: everything is there
    window.dock._runs_timer.stop()
    window = open_loop()
    show_tab(window, "Project")
    (recent,) = window.dock.project.start.recent_buttons
    press(recent)
    session = window.session
    rows = session.worklist.rows
    assert {row.image: (row.status, row.objects) for row in rows} == before
    assert window.dock.banner.isHidden()
    assert [one.number for one in session.training_runs.versions] == [0, 1]
    assert session.training_runs.models.current.number == 0
    (again,) = session.training_runs.runs
    assert again.state is RunState.DONE
    go_to(window, 2)
    np.testing.assert_array_equal(session.annotation.labels, labels)
    np.testing.assert_array_equal(window.viewer.layers[OBJECTS].data, labels)
    kinds = {one.kind for one in session.project.store.headlines(limit=500)}
    told = {EventKind.COMMIT, EventKind.CORRECT, EventKind.ACCEPT, EventKind.PUBLISH}
    assert told | {EventKind.REVERT, EventKind.RUN} <= kinds
    session.project.end()
    assert verify_project(tmp_path / "study.segmoe").faults == ()
