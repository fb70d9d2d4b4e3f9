"""The plugin as napari finds it: dock, samples, commands, writer."""

import threading
import time

import pytest
from qtpy.QtCore import QEventLoop

from napari_segmoe.session.jobs import CLICKS, REGIONS
from napari_segmoe.session.session import Session
from napari_segmoe.viewer import commands
from napari_segmoe.viewer.our_layers import OBJECTS
from napari_segmoe.viewer.sessions import find_session
from napari_segmoe.widgets import main_widget
from napari_segmoe.widgets.main_widget import MainWidget
from tests.session.fakes import FakePredictor, make_pixels

PLUGIN = "napari-segmoe"


@pytest.fixture
def plugin_viewer(make_napari_viewer, npe2pm, monkeypatch):
    """A viewer that knows the plugin's manifest; the model is a fake one."""
    from npe2 import PluginManifest

    real = main_widget.Session

    def session_with_fake(load, runner, **options):
        options["devices"] = None
        return real(lambda weights, *, device: FakePredictor(), runner, **options)

    monkeypatch.setattr(main_widget, "Session", session_with_fake)
    npe2pm.register(PluginManifest.from_distribution(PLUGIN))
    viewer = make_napari_viewer(show=True)
    yield viewer
    session = find_session(viewer)
    if session is not None:
        session.close()


def test_the_dock_opens_from_the_manifest(plugin_viewer):
    _, widget = plugin_viewer.window.add_plugin_dock_widget(PLUGIN, "SegMoE")
    assert isinstance(widget, MainWidget)
    assert isinstance(find_session(plugin_viewer), Session)
    assert find_session(plugin_viewer) is widget.session


def test_the_buttons_of_the_empty_dock_open_samples(plugin_viewer, qtbot):
    _, widget = plugin_viewer.window.add_plugin_dock_widget(PLUGIN, "SegMoE")
    assert widget._pages.currentWidget() is widget._empty
    widget._open_sample("phantom_malignant")
    assert widget.session.image is not None
    assert widget._pages.currentWidget() is widget._segment
    qtbot.wait(50)


def test_an_unknown_sample_is_a_toast_not_a_crash(plugin_viewer):
    _, widget = plugin_viewer.window.add_plugin_dock_widget(PLUGIN, "SegMoE")
    widget._open_sample("no such sample")
    assert widget.session.image is None


def test_commands_open_the_dock_and_act(plugin_viewer, qtbot):
    plugin_viewer.add_image(make_pixels())
    commands.segment_image(plugin_viewer)
    session = find_session(plugin_viewer)
    qtbot.waitUntil(lambda: session.prediction is not None)
    commands.commit_object(plugin_viewer)
    assert len(session.annotation.records) == 2
    commands.undo_action(plugin_viewer)
    assert session.annotation.records == ()
    commands.redo_action(plugin_viewer)
    commands.next_uncertain(plugin_viewer)
    assert session.annotation.selected_id == 1
    commands.segment_with_clicks(plugin_viewer)
    commands.reject_object(plugin_viewer)
    plugin_viewer.layers.selection.active = plugin_viewer.layers[0]
    failures = []
    session.failed.connect(failures.append)
    commands.use_labels(plugin_viewer)
    assert "Select a labels layer" in str(failures[0])
    commands.release_model(plugin_viewer)


def test_the_command_for_heatmaps_opens_their_tab(plugin_viewer):
    plugin_viewer.add_image(make_pixels())
    commands.show_heatmaps(plugin_viewer)
    session = find_session(plugin_viewer)
    assert session.explaining.is_open
    (dock,) = plugin_viewer.window.dock_widgets.values()
    assert dock.tabs.currentIndex() == main_widget.HEATMAPS_TAB


def test_napari_saves_the_objects_layer_through_our_writer(
    plugin_viewer, qtbot, tmp_path
):
    plugin_viewer.add_image(make_pixels())
    commands.segment_image(plugin_viewer)
    session = find_session(plugin_viewer)
    qtbot.waitUntil(lambda: session.prediction is not None)
    session.annotation.commit()
    layer = plugin_viewer.layers[OBJECTS]
    written = layer.save(str(tmp_path / "objects.tif"), plugin=PLUGIN)
    assert [w.rsplit("/")[-1] for w in written] == ["objects.tif", "objects.json"]


def test_closing_the_dock_ends_its_worker_and_forgets_the_session(plugin_viewer, qtbot):
    dock, widget = plugin_viewer.window.add_plugin_dock_widget(PLUGIN, "SegMoE")
    workers = start_workers(widget.session.runner)
    plugin_viewer.window.remove_dock_widget(dock)
    widget.deleteLater()
    loop = QEventLoop()
    widget.destroyed.connect(loop.quit)
    loop.exec()
    assert find_session(plugin_viewer) is None
    qtbot.waitUntil(lambda: not any(one.is_alive() for one in workers))


def start_workers(runner):
    """Make both lanes work, and return their threads."""

    def job():
        yield
        found.append(threading.current_thread())

    found = []
    for lane in (CLICKS, REGIONS):
        runner.submit(job, topic=lane, on_done=repr, on_error=found.append, lane=lane)
    while len(found) < 2:
        time.sleep(0.01)
    return found
