"""napari's own tools on the layer of committed objects."""

from typing import Any

from napari.layers import Labels

from napari_segmoe.session.session import Session
from napari_segmoe.viewer.layers import LayerSync

MODES = ("paint", "erase", "polygon", "fill", "pan_zoom")


def paint_objects(
    viewer: Any, session: Session, layers: LayerSync, *, mode: str, is_new: bool = False
) -> Labels | None:
    """Select the layer of objects, made where there is none yet, and a tool on it.

    Each stroke is one correction, to be undone like any other step.

    Parameters
    ----------
    viewer : ViewerModel
    session : Session
    layers : LayerSync
    mode : str
        One of `MODES`.
    is_new : bool
        Whether a new object is drawn and not the selected one changed.

    Returns
    -------
    Labels or None
        The layer; None where no image is worked on.

    Raises
    ------
    NoImageError
        If no image, or no region of the slide, is chosen.
    """
    session.require_image()
    if layers.image_layer is None:
        return None
    if is_new:
        session.annotation.select(None)
    layer = layers.objects.require(layers.image_layer)
    viewer.layers.selection.active = layer
    layer.visible = True
    layer.mode = mode
    return layer
