"""The slide's own part of the layers: frames of its regions, progress, line widths."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer, Shapes
from numpy.typing import NDArray

from napari_segmoe.errors import SegmoeError
from napari_segmoe.session.regions import Regions
from napari_segmoe.session.session import Session
from napari_segmoe.session.slide_scene import LevelBox, RegionChoice, SpacingSource
from napari_segmoe.viewer import drawing
from napari_segmoe.viewer.camera import (
    camera_of,
    field_of_view,
    look_at_box,
    pixels_per_point,
)
from napari_segmoe.viewer.our_layers import FRAMES
from napari_segmoe.viewer.placement import read_spacing_um
from napari_segmoe.viewer.readers import SLIDE_PATH

CURRENT_COLOUR = "#FFD166"
REGION_COLOUR = "#9A8C5C"
TARGET_COLOUR = "#35C9FF"
LINE_POINTS = 2.0  # width of lines on the screen
_SAME = 1e-6
_TOLERANCE = 1.35  # lines this much too wide or narrow are drawn anew
_PROGRESS_PX = 1024  # largest side of the progress that is drawn: panning goes on
_REST = 12.0  # drawing progress takes at most one part in so many of the time
_LARGEST_REDRAWN_PX = 2048**2  # outlines of more pixels keep their width

Require = Callable[[str], Any]


class SlideLayers:
    """Shows where regions lie and how a run goes, in lines that suit the zoom.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    session : Session
        Its session.
    require : callable
        Returns our layer of a role, made if need be.
    redraw_lines : callable
        Draws other lines anew, in the width that suits the zoom.
    """

    def __init__(
        self,
        viewer: Any,
        session: Session,
        require: Require,
        redraw_lines: Callable[[], None],
    ) -> None:
        self._viewer = viewer
        self._redraw_lines = redraw_lines
        self._session = session
        self._require = require
        self._image: Image | None = None
        self._lines_px = 0.0  # width of lines as drawn, in the slide's pixels
        self._dragged: LevelBox | None = None
        self._next_progress = 0.0  # when progress may be drawn again
        camera = camera_of(viewer)
        for event in (camera.events.zoom, camera.events.center):
            event.connect(self._on_view_changed)

    @property
    def regions(self) -> Regions:
        """The session's regions."""
        return self._session.regions

    def follow(self, image: Image | None) -> None:
        """Show the regions of a slide's layer; None where no slide is open."""
        self._image = image
        self._dragged = None
        if image is not None:
            self._lines_px = 0.0
            self._on_view_changed()

    def close(self) -> None:
        """Let go of the viewer."""
        camera = camera_of(self._viewer)
        for event in (camera.events.zoom, camera.events.center):
            event.disconnect(self._on_view_changed)

    def drag_rectangle(self, box: LevelBox | None) -> None:
        """Draw the rectangle that is being dragged, level-0 edges; None: none is."""
        self._dragged = box
        self.show_frames()

    def show_frames(self) -> None:
        """Draw the regions' frames, the current one brighter, and the rectangle."""
        if self._image is None:
            return
        boxes = [(one.box, REGION_COLOUR) for one in self.regions.all]
        if self.regions.current is not None:
            boxes.append((self.regions.current.box, CURRENT_COLOUR))
        is_drawn = self.regions.choice is RegionChoice.RECTANGLE
        target = self._dragged or (self.regions.rectangle if is_drawn else None)
        if target is not None:
            boxes.append((target, TARGET_COLOUR))
        layer: Shapes = self._require(FRAMES)
        drawn = tuple(boxes), self._lines_px
        if layer.metadata.get("drawn") == drawn:
            return
        layer.metadata["drawn"] = drawn
        layer.data = []
        if boxes:
            layer.add_rectangles(
                [_corners(box) for box, _ in boxes],
                edge_color=[colour for _, colour in boxes],
                face_color="transparent",
                edge_width=self._lines_px,
            )
        layer.selected_data = set()

    def point_at(self, position: Any) -> tuple[float, float] | None:
        """Return the level-0 point at a world position; None where no slide is."""
        if self._image is None:
            return None
        y, x = np.asarray(self._image.world_to_data(position), float)[-2:]
        return float(y), float(x)

    def enter(self, position: Any) -> bool:
        """Make the region at a world position current, where a slide is open.

        Returns
        -------
        bool
            Whether there is an image or a region to give prompts on.
        """
        point = self.point_at(position)
        if point is None:
            return True
        try:
            self.regions.show_at(*point)
        except SegmoeError as error:
            self._session.notified.emit(str(error))
            return False
        return True

    def read_spacing(self) -> None:
        """Take the pixel size that the user gave the slide's layer."""
        slide = self.regions.slide
        shown_um = read_spacing_um(self._image) if self._image is not None else None
        if slide is None or shown_um is None:
            return
        known_um = slide.spacing_um
        if known_um is None or not np.allclose(shown_um, known_um, rtol=_SAME):
            self.regions.set_spacing(shown_um, SpacingSource.LAYER)

    def show_spacing(self) -> None:
        """Give our reader's layer the pixel size that the user stated; the view stays.

        Layers of other readers keep the scale they were given.
        """
        slide, image = self.regions.slide, self._image
        if slide is None or image is None or SLIDE_PATH not in image.metadata:
            return
        is_users = slide.spacing_source is SpacingSource.USER
        stated_um, shown_um = slide.spacing_um, read_spacing_um(image)
        if not is_users or stated_um is None:
            return
        if shown_um is not None and np.allclose(shown_um, stated_um, rtol=_SAME):
            return
        box = field_of_view(self._viewer, image)
        image.scale, image.units = stated_um, ("um", "um")
        look_at_box(self._viewer, image, box, room=1.0)

    def outline_px(self, layer: Layer, shape: tuple[int, int]) -> int | None:
        """Return the width of outlines in a layer's pixels; None: as for an image."""
        if self._image is None:
            return None
        largest = max(2, min(shape) // 64)
        return int(np.clip(round(self._line_width(layer)), 1, largest))

    def set_line_width(self, layer: Shapes) -> None:
        """Give the lines of one of our layers the width that suits the zoom."""
        if self._image is not None:
            width = self._line_width(layer)
            layer.current_edge_width = width  # of what is drawn next
            if len(layer.data):
                layer.edge_width = [width] * len(layer.data)

    def is_redrawn(self, shape: tuple[int, int]) -> bool:
        """Whether outlines of that size are drawn anew at another zoom."""
        return self._image is not None and shape[0] * shape[1] <= _LARGEST_REDRAWN_PX

    def show_progress(self, layer: Labels) -> None:
        """Tint what the running segmentation has found, coarsely and now and then."""
        partial = self.regions.partial
        if partial is None or time.monotonic() < self._next_progress:
            return
        started = time.monotonic()
        colours = drawing.progress_colours(self._session.options.fill_opacity)
        if not drawing.has_colours(layer.colormap, colours):
            layer.colormap = colours
        factor = -(-max(partial.shape) // _PROGRESS_PX)
        layer.data = partial[::factor, ::factor].astype(np.uint8)
        set_grain(layer, factor)
        took = time.monotonic() - started
        self._next_progress = time.monotonic() + max(_REST * took, 0.2)

    def _on_view_changed(self, _: Any = None) -> None:
        slide = self.regions.slide
        if self._image is None or slide is None:
            return
        self.regions.note_view(slide.cut(field_of_view(self._viewer, self._image)))
        wanted = self._line_width(self._image)
        if not self._lines_px / _TOLERANCE < wanted < self._lines_px * _TOLERANCE:
            self._lines_px = wanted
            self.show_frames()
            self._redraw_lines()

    def _line_width(self, layer: Layer) -> float:
        return LINE_POINTS * pixels_per_point(self._viewer, layer)


def set_grain(layer: Labels, factor: int) -> None:
    """Let a pixel of one of our layers stand for a square of ``factor`` px."""
    if layer.scale[0] != factor:
        layer.scale = (factor, factor)
        layer.translate = ((factor - 1) / 2, (factor - 1) / 2)


def _corners(box: LevelBox) -> NDArray[np.float64]:
    """Return the corners of a box, level-0 edges, as napari's rectangles have them."""
    y0, x0, y1, x1 = (edge - 0.5 for edge in box)
    return np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)])
