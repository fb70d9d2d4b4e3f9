"""The viewer's part of the correction tools: what is in sight, and drawing."""

from typing import Any

from napari_segmoe.data.slides.region import SlideRegion
from napari_segmoe.session.correction_tools import DrawingTool
from napari_segmoe.session.session import Session
from napari_segmoe.types import Box
from napari_segmoe.viewer.camera import field_of_view
from napari_segmoe.viewer.layers import LayerSync
from napari_segmoe.viewer.painting import paint_objects


class ViewInSight:
    """Reads the field of view, and takes drawing tools up, when it is asked to.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    layers : LayerSync
        Knows our layer on the session's image.
    session : Session
        Its tools ask.
    """

    def __init__(self, viewer: Any, layers: LayerSync, session: Session) -> None:
        self._viewer = viewer
        self._layers = layers
        self._session = session
        session.tools.read_view = self.read
        session.tools.take_up = self.take_up

    def read(self) -> Box | None:
        """Return what is seen, in pixels of the session's image; edges, not cut."""
        layer, image = self._layers.image_layer, self._session.image
        if layer is None or image is None:
            return None
        y0, x0, y1, x1 = field_of_view(self._viewer, layer)
        if not isinstance(image.pixels, SlideRegion):
            return Box(y0, x0, y1, x1)
        low, high = (image.pixels.from_slide(*at) for at in ((y0, x0), (y1, x1)))
        return Box(*low, *high)

    def take_up(self, tool: DrawingTool) -> None:
        """Select the layer of objects, and one of napari's tools on it."""
        paint_objects(self._viewer, self._session, self._layers, mode=tool.value)
