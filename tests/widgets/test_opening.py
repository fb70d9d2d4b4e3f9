"""Opening the dock as napari's menu does it, not as our own code would."""

import pytest
from napari._app_model import get_app_model

from napari_segmoe.cli.demo import _SAMPLE as DEMO_SAMPLE
from napari_segmoe.types import Modality
from napari_segmoe.viewer.launch import PLUGIN, WIDGET
from napari_segmoe.viewer.sessions import find_session
from napari_segmoe.widgets import main_widget
from tests.session.fakes import FakePredictor

COMMAND = "napari-segmoe.make_main_widget"


def load_fake(weights, *, device):
    return FakePredictor()


@pytest.fixture(params=["menu", "dock"])
def open_dock(request, make_napari_viewer, monkeypatch):
    """Open the dock through its manifest, with a predictor that needs no weights."""
    monkeypatch.setattr(main_widget, "load_torch_predictor", load_fake)
    opened = []

    def open_one():
        viewer = make_napari_viewer()
        if request.param == "menu":
            get_app_model().commands.execute_command(COMMAND).result()
        else:
            viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
        opened.append(find_session(viewer))
        return viewer, opened[-1]

    yield open_one
    for session in opened:
        session.close()


def test_the_dock_gets_the_viewer_itself(open_dock):
    viewer, session = open_dock()
    assert session is not None
    docks = [
        dock.inner_widget() for dock in viewer.window._wrapped_dock_widgets.values()
    ]
    mine = [dock for dock in docks if isinstance(dock, main_widget.MainWidget)]
    assert [dock.session for dock in mine] == [session]
    assert mine[0]._viewer is viewer


def test_a_sample_becomes_the_image_of_the_session(open_dock, qtbot):
    viewer, session = open_dock()
    viewer.open_sample(PLUGIN, "phantom_benign")
    qtbot.waitUntil(lambda: session.image is not None)
    assert session.image.modality is Modality.ULTRASOUND


def test_a_key_of_the_demo_is_a_sample_of_the_manifest(make_napari_viewer):
    viewer = make_napari_viewer()
    viewer.open_sample(PLUGIN, DEMO_SAMPLE)
    assert len(viewer.layers) == 1
