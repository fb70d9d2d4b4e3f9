"""The prediction on its labels layer: tinted inside, outlined as the zoom asks."""

import numpy as np
from napari.layers import Labels

from napari_segmoe.session.session import Session
from napari_segmoe.viewer import drawing
from napari_segmoe.viewer.slide_layers import SlideLayers, set_grain


def is_run_shown(session: Session) -> bool:
    """Whether the progress of the running segmentation stands for the prediction."""
    regions = session.regions
    is_here = regions.is_segmenting and regions.segmenting == regions.current
    return is_here and not session.prompts


def show_prediction(
    layer: Labels, session: Session, slide: SlideLayers, *, shape: tuple[int, int]
) -> None:
    """Show the session's prediction on an image of ``shape``; nothing if there is none.

    While the region is segmented, and no prompt is given, the run's progress stays.
    """
    if is_run_shown(session):
        return
    prediction = session.prediction
    if prediction is None:
        layer.data = np.zeros(shape, np.uint32)
        set_grain(layer, 1)
        return
    show_colours(layer, session)
    width_px = slide.outline_px(layer, prediction.labels.shape)
    layer.data = drawing.draw_outlined(prediction.labels, width_px)
    set_grain(layer, 1)
    layer.metadata["outline_px"] = width_px


def show_colours(layer: Labels, session: Session) -> None:
    """Show the prediction's classes; maps that are shown leave the inside free."""
    prediction = session.prediction
    if prediction is None:
        return
    has_maps = bool(session.explaining.shown)  # a tint would falsify them
    colours = drawing.prediction_colours(
        prediction,
        session.classes.table,
        fill_opacity=0.0 if has_maps else session.options.fill_opacity,
    )
    if not drawing.has_colours(layer.colormap, colours):
        layer.colormap = colours


def redraw_outlines(layer: Labels, session: Session, slide: SlideLayers) -> None:
    """Draw outlines anew where the zoom asks for another width."""
    prediction = session.prediction
    if prediction is None or not slide.is_redrawn(prediction.labels.shape):
        return
    width_px = slide.outline_px(layer, prediction.labels.shape)
    if width_px != layer.metadata.get("outline_px"):
        show_prediction(layer, session, slide, shape=prediction.labels.shape)
