"""Pseudo-labels by real clicks: ask, choose, show, accept, reject; and the layer."""

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_segmoe.project.records import PlaceVerdict
from napari_segmoe.types import Prediction
from napari_segmoe.viewer.pseudo_layer import HATCHED, NAME, OUTLINE
from napari_segmoe.widgets.pseudo_labels_view import AGAIN, ASK, say_progress
from tests.session.fakes import FakePredictor
from tests.session.project_fakes import write_images
from tests.session.pseudo_fakes import write_round

NARROW_PX = 330


class Finding(FakePredictor):
    """Finds all that is bright, in two steps."""

    def predict_steps(self, *, locked=None):
        yield None
        found = self.predict()
        return Prediction(
            found.mask, found.probability, found.labels, found.objects, found.classes
        )


def load_fake(weights, *, device):
    return Finding()


@pytest.fixture
def window(open_window, tmp_path, monkeypatch, qtbot):
    """A window on its Train tab, with a project of three images."""
    monkeypatch.setenv("SEGMOE_STATE", str(tmp_path / "state"))
    write_images(tmp_path / "scans", "a", "b", "c")
    window = open_window(load_predictor=load_fake)
    window.viewer.window._qt_window.resize(1200, 1300)
    session = window.session
    session.project.create(tmp_path / "study.segmoe")
    session.worklist.add([tmp_path / "scans"])
    qtbot.waitUntil(lambda: len(session.project.store.images()) == 3)
    tabs = window.dock.tabs
    names = [tabs.tabText(at) for at in range(tabs.count())]
    tabs.setCurrentIndex(names.index("Train"))
    window.view = window.dock.train.pseudo
    qtbot.waitUntil(window.view.isVisible)
    return window


def click(button):
    assert button.isVisible()
    assert button.isEnabled()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def click_row(window, title):
    """Click a row of the table with the mouse."""
    view = window.view
    at = next(n for n, row in enumerate(view.rows) if row.title == title)
    rect = view.table.visualRect(view.table.model().index(at, 0))
    view.table.scrollTo(view.table.model().index(at, 0))
    QTest.mouseClick(
        view.table.viewport(), Qt.MouseButton.LeftButton, pos=rect.center()
    )
    qtbot, session = window.qtbot, window.session
    qtbot.waitUntil(lambda: session.image is not None)
    qtbot.waitUntil(lambda: session.image.path.stem == title)
    qtbot.wait(120)


def layer_of(window):
    return next((one for one in window.viewer.layers if one.name == NAME), None)


def ask(window):
    click(window.view._ask)
    window.qtbot.waitUntil(lambda: len(window.view.rows) == 3)
    window.qtbot.waitUntil(lambda: window.view._ask.text() == ASK)


def verdict(window, title):
    found = (one for one in window.session.pseudo_labels.rows if one.title == title)
    return next(found).verdict


def test_suggestions_are_shown_accepted_and_rejected_by_clicks(window, qtbot):
    view, session = window.view, window.session
    assert "Accept what is right" in view._empty.text()
    assert not view.table.isVisible()
    ask(window)
    assert view.text.startswith("3 proposed")
    assert layer_of(window) is None

    click_row(window, "b")
    layer = layer_of(window)
    layers = window.viewer.layers
    assert set(np.unique(layer.data)) == {0, HATCHED, OUTLINE}
    assert layer.data[15, 15] in (0, HATCHED)
    assert layer.data[8, 15] == OUTLINE
    assert layers.index(layer) > layers.index(window.dock.layers.image_layer)
    assert not layer.editable
    click(view._show)
    assert layer_of(window) is None
    click(view._show)
    assert layer_of(window) is not None

    click(view._accept)
    qtbot.waitUntil(lambda: not view._accept.isEnabled())
    assert layer_of(window) is None
    assert len(session.annotation.records) == 2
    assert window.dock.layers.objects.current.data[15, 15] == 1
    assert verdict(window, "b") is PlaceVerdict.ACCEPTED

    click_row(window, "c")
    click(view._reject)
    qtbot.waitUntil(lambda: view._reject.text() == AGAIN)
    assert verdict(window, "c") is PlaceVerdict.REJECTED
    assert "1 proposed · 1 accepted · 1 rejected" in view.text
    click(view._reject)
    qtbot.waitUntil(lambda: view._reject.text() == "Reject")
    assert verdict(window, "c") is PlaceVerdict.PROPOSED

    click(view._accept_all)  # 0.90 is what the model is sure of
    qtbot.waitUntil(lambda: "3 accepted" in view.text)
    assert len(session.project.store.objects("image-0001")) == 2
    assert window.session.project.unsaved == 0


def test_a_layer_that_the_user_removes_is_hidden_until_it_is_asked_for(window, qtbot):
    view = window.view
    ask(window)
    click_row(window, "a")
    window.viewer.layers.remove(layer_of(window))
    qtbot.waitUntil(lambda: not view._show.isChecked())
    click_row(window, "b")
    assert layer_of(window) is not None
    window.session.worklist.next()
    qtbot.waitUntil(lambda: layer_of(window) is None)


def test_tiles_of_a_round_are_numbered_and_lie_where_they_were_taught(window, qtbot):
    view = window.view
    write_round(window.session, (0, 0, 32, 32), (20, 24, 60, 64))
    qtbot.waitUntil(lambda: len(view.rows) == 2)
    texts = [view.table.model().index(at, 0).data() for at in range(2)]
    assert texts == ["b · 1", "b · 2"]
    tip = view.table.model().index(1, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert "rows 20 to 60" in tip
    assert "weight 0.3" in tip
    assert "agreed on 97 %" in tip
    view.table.selectRow(1)
    qtbot.waitUntil(lambda: layer_of(window) is not None)
    rows, columns = np.nonzero(layer_of(window).data)
    assert (rows.min(), rows.max() + 1) == (22, 58)
    assert (columns.min(), columns.max() + 1) == (26, 62)


def test_the_list_fits_a_narrow_dock_and_says_how_far_it_is(window):
    ask(window)
    assert window.view.minimumSizeHint().width() <= NARROW_PX - 36
    assert say_progress(0, 0) == "The model begins…"
    assert say_progress(2, 7) == "The model answers: 2 of 7."
