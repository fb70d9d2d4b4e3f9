"""Opening the dock as napari's menu does it, not as our own code would."""

import pytest

from napari_segmoe.types import Modality
from napari_segmoe.viewer.launch import PLUGIN, WIDGET
from napari_segmoe.viewer.sessions import find_session
from napari_segmoe.widgets import main_widget
from tests.session.fakes import FakePredictor


@pytest.fixture
def open_from_menu(make_napari_viewer, monkeypatch):
    """Open the dock through its manifest, with a predictor that needs no weights."""
    defaults = main_widget.make_main_widget.__kwdefaults__
    monkeypatch.setitem(defaults, "load_predictor", lambda *_, **__: FakePredictor())
    docks = []

    def open_one():
        viewer = make_napari_viewer()
        _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
        docks.append(dock)
        return viewer, dock

    yield open_one
    for dock in docks:
        dock.session.close()


def test_the_plugins_menu_opens_the_dock_on_the_viewer_itself(open_from_menu):
    viewer, dock = open_from_menu()
    assert isinstance(dock, main_widget.MainWidget)
    assert dock._viewer is viewer
    assert find_session(viewer) is dock.session


def test_a_sample_of_the_menu_becomes_the_image_of_the_session(open_from_menu, qtbot):
    viewer, dock = open_from_menu()
    viewer.open_sample(PLUGIN, "phantom_benign")
    qtbot.waitUntil(lambda: dock.session.image is not None)
    assert dock.session.image.modality is Modality.ULTRASOUND
    assert any(dock.layers.image_layer is layer for layer in viewer.layers)
