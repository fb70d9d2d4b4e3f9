"""A window with real mouse strokes, to be killed at any point: ``PROJECT SCANS SEED``.

It says after each action what the project then holds, as `tests.session.kill_script`.
"""

import itertools
import sys
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtTest import QTest

from napari_segmoe.viewer.painting import paint_objects
from napari_segmoe.widgets.main_widget import make_main_widget
from tests.session.fakes import FakePredictor
from tests.session.kill_script import say


def stroke(viewer, dock, rng):
    """Draw a new object or go on with the chosen one, with the real mouse."""
    session = dock.session
    layer = paint_objects(
        viewer, session, dock.layers, mode="paint", is_new=bool(rng.integers(2))
    )
    layer.brush_size = 5
    canvas = viewer.window._qt_viewer.canvas
    node = canvas.layer_to_visual[layer].node

    def point(y, x):
        at = node.get_transform("visual", "canvas").map([x + 0.5, y + 0.5])
        return QPoint(round(at[0]), round(at[1]))

    y, x = rng.integers(8, 50, 2)
    places = [point(y + step, x + step // 2) for step in range(0, 12, 3)]
    button, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QTest.mousePress(canvas.native, button, none, places[0])
    for place in places[1:]:
        QTest.mouseMove(canvas.native, place)
        QTest.qWait(5)
    QTest.mouseRelease(canvas.native, button, none, places[-1])


def main():
    project, folder, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    viewer = napari.Viewer(show=True)
    dock = make_main_widget(
        viewer, load_predictor=lambda weights, *, device: FakePredictor()
    )
    viewer.window.add_dock_widget(dock, name="SegMoE", area="right")
    session = dock.session
    session.failed.connect(lambda error: sys.exit(f"failed: {error}"))
    session.project.open(project)
    scans = sorted(folder.glob("*.png"))
    viewer.open(str(scans[seed % len(scans)]), plugin="napari-segmoe")
    seeds = itertools.count(seed + 1)

    def act():
        number = next(seeds)
        rng = np.random.default_rng(number)
        ids = [one.id for one in session.annotation.records]
        actions = [
            lambda: stroke(viewer, dock, rng),
            lambda: stroke(viewer, dock, rng),
            session.undo,
            session.redo,
            lambda: session.correction.accept(ids),
            lambda: session.correction.grow(ids[:1], 1),
            lambda: session.annotation.delete(ids[:1]),
        ]
        actions[rng.integers(len(actions))]()
        say(session, number)
        QTimer.singleShot(0, act)

    QTimer.singleShot(500, act)
    napari.run()


if __name__ == "__main__":
    main()
