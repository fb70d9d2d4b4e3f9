"""Make the README's pictures: the real dock, the shipped weights, a made-up scan.

Run `python benchmarks/make_screenshots.py`; without a screen, `xvfb-run -a -s
"-screen 0 1600x1100x24" python benchmarks/make_screenshots.py`. Then look at them.
"""

import argparse
import math
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from screenshot_project import picture_project

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
SAMPLE_KIND = "malignant"
WINDOW_PX = (1280, 860)
WANTED_MAPS = ("distance", "uncertainty")
GLANDS_YX = (3000.0, 2500.0)  # of the sample slide, level 0
SMALLEST_GLAND_UM2 = 9000.0
LONGEST_WAIT_MS = 120_000


def main() -> int:
    """Open the window, click, commit, and keep a picture of each step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="breast_ultrasound", help="name or path")
    parser.add_argument("--slide-weights", default="glands", help="name or path")
    parser.add_argument(
        "--only", choices=("scan", "slide", "project"), help="by default all pictures"
    )
    parser.add_argument("--out", type=Path, default=IMAGES)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    # Before napari is first imported: a user's settings stay as they are.
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        os.environ["SEGMOE_STATE"] = folder
        if arguments.only in (None, "scan"):
            viewer, dock = _open_window(arguments.weights, f"phantom_{SAMPLE_KIND}")
            _make_pictures(viewer, dock, arguments.out)
            viewer.close()
        if arguments.only in (None, "slide"):
            viewer, dock = _open_window(arguments.slide_weights, "he_slide")
            _picture_slide(viewer, dock, arguments.out / "slide.png")
            _picture_region(viewer, dock, arguments.out / "region.png")
            viewer.close()
        if arguments.only in (None, "project"):
            viewer, dock = _open_window(arguments.slide_weights, None)
            picture_project(
                viewer,
                dock,
                Path(folder),
                arguments.out,
                settle=_settle,
                wait=_wait_until,
                picture=_picture,
            )
            viewer.close()
    return 0


def _open_window(weights: str, sample: str | None) -> tuple[Any, Any]:
    import napari

    from napari_segmoe.widgets.main_widget import PLUGIN, make_main_widget

    viewer = napari.Viewer(title="SegMoE", show=True)
    viewer.window.resize(*WINDOW_PX)
    dock = make_main_widget(viewer, weights=weights)
    viewer.window.add_dock_widget(dock, name="SegMoE", area="right")
    if sample is not None:
        viewer.open_sample(PLUGIN, sample)
    _settle(1500)
    viewer.reset_view()
    return viewer, dock


def _make_pictures(viewer: Any, dock: Any, out: Path) -> None:
    y, x = _middle_of_the_lesion()
    session = dock.session
    session.prompting.add_click(y, x)
    _wait_until(lambda: session.prediction is not None and not session.is_busy)
    _picture(viewer, out / "dock.png")
    if not session.prediction.mask.any():
        raise SystemExit("The weights see no lesion under the click; use others.")
    _picture_heatmaps(viewer, dock, out / "heatmaps.png")
    session.annotation.commit()
    _wait_until(lambda: not session.is_busy)
    dock.tabs.setCurrentIndex(1)
    _picture(viewer, out / "objects.png")


def _picture_heatmaps(viewer: Any, dock: Any, path: Path) -> None:
    """Show the first of the wanted maps that the network has, and its tab."""
    from napari_segmoe.widgets.main_widget import HEATMAPS_TAB

    session, first_tab = dock.session, dock.tabs.currentIndex()
    dock.tabs.setCurrentIndex(HEATMAPS_TAB)
    _wait_until(lambda: bool(session.explaining.explanations) and not session.is_busy)
    found = {one.key for one in session.explaining.explanations}
    session.explaining.show(next(key for key in WANTED_MAPS if key in found))
    _picture(viewer, path)
    session.explaining.hide_all()
    dock.tabs.setCurrentIndex(first_tab)


def _picture_slide(viewer: Any, dock: Any, path: Path) -> None:
    """Click one gland of a region of the slide, and keep three others before."""
    session = dock.session
    _wait_until(lambda: session.model.is_loaded)
    first, *others = _glands_near(GLANDS_YX, 4)
    for gland in (*others, first):
        region = session.regions.show_at(*gland).region
        session.prompting.add_click(*region.from_slide(*gland))
        _wait_until(lambda: session.prediction is not None and not session.is_busy)
        if gland is not first and session.prediction.mask.any():
            session.annotation.commit()
    dock.layers.zoom_to_image()
    _settle(1500)
    _picture(viewer, path)


def _picture_region(viewer: Any, dock: Any, path: Path) -> None:
    """Segment a region beside the first one, and stop when most of it is done."""
    session = dock.session
    session.prompting.reject()
    y0, x0, y1, x1 = session.regions.current.box
    target = (y0, x1, y1, 2 * x1 - x0)
    session.regions.show_box(target)
    dock.layers.zoom_to_image()
    session.regions.segment(target)

    def is_nearly_done() -> bool:
        step = session.regions.progress
        return step is not None and step.done >= 0.7 * step.total

    _wait_until(is_nearly_done)
    viewer.window.screenshot(str(path), flash=False)
    print(path)
    session.regions.cancel()


def _glands_near(middle: tuple[float, float], count: int) -> list[tuple[float, float]]:
    """Return level-0 centres of large glands of the sample slide, nearest first."""
    import csv

    from napari_segmoe.data.synthetic_slide import truth_paths
    from napari_segmoe.viewer.samples import sample_slide_path

    with truth_paths(sample_slide_path())[1].open(encoding="utf-8") as file:
        large = [
            (float(row["centre_y"]), float(row["centre_x"]))
            for row in csv.DictReader(file)
            if float(row["area_um2"]) > SMALLEST_GLAND_UM2
        ]
    return sorted(large, key=lambda at: math.dist(at, middle))[:count]


def _middle_of_the_lesion() -> tuple[float, float]:
    """Click where a person would: the point of the truth farthest from its edge."""
    from napari_segmoe.data.click_simulation import next_click
    from napari_segmoe.data.phantom import make_breast_phantom
    from napari_segmoe.viewer.samples import _SEED

    truth = make_breast_phantom(_SEED, kind=SAMPLE_KIND).mask
    click = next_click(truth & False, truth)
    assert click is not None, "a phantom has a lesion"
    return click.y, click.x


def _picture(viewer: Any, path: Path) -> None:
    _settle(800)
    viewer.window.screenshot(str(path), flash=False)
    print(path)


def _settle(milliseconds: int) -> None:
    """Let the event loop run for a while."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def _wait_until(is_done: Callable[[], bool]) -> None:
    for _ in range(LONGEST_WAIT_MS // 50):
        if is_done():
            return
        _settle(50)
    raise TimeoutError(f"The window did not answer in {LONGEST_WAIT_MS // 1000} s.")


if __name__ == "__main__":
    sys.exit(main())
