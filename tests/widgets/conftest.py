"""A window with the dock, and real mouse clicks on its canvas."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_segmoe.viewer.our_layers import PROMPTS
from napari_segmoe.widgets.main_widget import make_main_widget
from napari_segmoe.widgets.none_guard import protect_none


@pytest.fixture(autouse=True, scope="session")
def guarded_none():
    """Tests call Qt a hundred thousand times: see `none_guard`."""
    protect_none()


@dataclass
class Window:
    """A viewer on the screen, with its dock."""

    viewer: Any
    dock: Any
    qtbot: Any

    @property
    def session(self):
        return self.dock.session

    def canvas_point(self, layer, y, x) -> QPoint:
        canvas = self.viewer.window._qt_viewer.canvas
        node = canvas.layer_to_visual[layer].node
        at = node.get_transform("visual", "canvas").map([x + 0.5, y + 0.5])
        return QPoint(round(at[0]), round(at[1]))

    def click(self, y, x, *, layer=None, button=Qt.MouseButton.LeftButton):
        """Click data (y, x) of the image layer with the real mouse events."""
        layer = layer or self.dock.layers.image_layer
        native = self.viewer.window._qt_viewer.canvas.native
        point = self.canvas_point(layer, y, x)
        QTest.mouseMove(native, point)
        QTest.mouseClick(native, button, Qt.KeyboardModifier.NoModifier, point)

    def press_key(self, key, modifier=Qt.KeyboardModifier.NoModifier):
        native = self.viewer.window._qt_viewer.canvas.native
        QTest.keyClick(native, key, modifier)

    def wait_for_prompts_layer(self):
        def is_active():
            active = self.viewer.layers.selection.active
            return active is not None and active.name == PROMPTS

        self.qtbot.waitUntil(is_active)
        self.qtbot.wait(50)  # let the canvas take its size and camera

    def wait_for_mask(self, timeout=60_000):
        def answered():
            prediction = self.session.prediction
            return prediction is not None and not self.session.is_busy

        self.qtbot.waitUntil(answered, timeout=timeout)
        return self.session.prediction


@pytest.fixture
def open_window(make_napari_viewer, qtbot):
    """Open windows with a dock; their workers are ended afterwards."""
    opened = []

    def open_one(**options) -> Window:
        viewer = make_napari_viewer(show=True)
        dock = make_main_widget(viewer, **options)
        viewer.window.add_dock_widget(dock, name="SegMoE", area="right")
        opened.append(dock)
        return Window(viewer, dock, qtbot)

    yield open_one
    for dock in opened:
        dock.session.close()


def iou(mask, truth) -> float:
    union = np.logical_or(mask, truth).sum()
    return float(np.logical_and(mask, truth).sum() / union)
