"""The README's pictures of a project: its worklist, and the correction tools."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

TILE_PX = 640
SPACING_UM = 0.5
CORNERS_YX = ((2600, 2100), (2600, 2800), (3300, 2100), (3300, 2800), (4000, 2400))
NAMES = ("colon_A", "colon_B", "colon_C", "colon_D", "colon_E")
Settle = Callable[[int], None]
Wait = Callable[[Callable[[], bool]], None]


def write_tiles(folder: Path) -> Path:
    """Cut images with a pixel size out of the sample slide."""
    import tifffile

    from napari_segmoe.data.slides.opening import open_shared
    from napari_segmoe.viewer.samples import sample_slide_path

    folder.mkdir(parents=True)
    source = open_shared(sample_slide_path())
    for name, (y, x) in zip(NAMES, CORNERS_YX, strict=True):
        pixels = source.read(0, (y, x, y + TILE_PX, x + TILE_PX))
        per_cm = 1e4 / SPACING_UM
        tifffile.imwrite(
            folder / f"{name}.tif",
            pixels,
            photometric="rgb",
            resolution=(per_cm, per_cm),
            resolutionunit="CENTIMETER",
        )
    return folder


def picture_project(
    viewer: Any,
    dock: Any,
    folder: Path,
    out: Path,
    *,
    settle: Settle,
    wait: Wait,
    picture: Callable[[Any, Path], None],
) -> None:
    """Make a project, annotate two of its images, and keep pictures."""
    session = dock.session
    session.project.create(folder / "colon_glands.segmoe")
    session.project.annotator = "reader-1"
    session.worklist.add([write_tiles(folder / "tiles")])
    for number in range(2):
        session.worklist.next()
        wait(lambda: session.image is not None and session.model.is_loaded)
        settle(500)
        session.prompting.segment_image()
        wait(lambda: session.prediction is not None and not session.is_busy)
        session.annotation.commit()
        ids = [one.id for one in session.annotation.records]
        session.correction.accept(ids if number == 0 else ids[::2])
        if number == 0:
            session.correction.lock(ids[:1])
            session.worklist.mark_done()
    session.tools.choose(ids[:2])
    session.correction.finish_tile((0, 0, TILE_PX // 2, TILE_PX))
    dock.tabs.setCurrentWidget(dock._objects)
    viewer.reset_view()
    picture(viewer, out / "corrections.png")
    dock.tabs.setCurrentWidget(dock._project)
    session.project_tasks.back_up()
    wait(lambda: session.project_tasks.running is None)
    picture(viewer, out / "project.png")
