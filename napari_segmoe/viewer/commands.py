"""Every action as a command of the palette and of napari's Layers menu."""

from collections.abc import Callable
from typing import Any

import napari
import napari.viewer
import numpy as np
from napari.layers import Labels

from napari_segmoe.errors import PromptError
from napari_segmoe.session.session import Session
from napari_segmoe.session.slide_scene import RegionChoice
from napari_segmoe.types import PromptKind
from napari_segmoe.viewer.drawing import read_features
from napari_segmoe.viewer.keys import run_action
from napari_segmoe.viewer.launch import PLUGIN, WIDGET
from napari_segmoe.viewer.sessions import find_session


def segment_with_clicks(viewer: napari.viewer.Viewer) -> None:
    """Open the dock and wait for clicks."""
    act(viewer, lambda s: s.prompting.choose_kind(PromptKind.POINT))


def segment_image(viewer: napari.viewer.Viewer) -> None:
    """Segment the whole image; of a slide the field of view or the rectangle."""
    act(viewer, lambda s: s.prompting.segment_image())


def segment_rectangle(viewer: napari.viewer.Viewer) -> None:
    """Wait for a rectangle to be dragged on the slide: the part to segment."""
    act(viewer, lambda s: s.regions.choose(RegionChoice.RECTANGLE))


def cancel_region(viewer: napari.viewer.Viewer) -> None:
    """End the segmentation of a slide's region."""
    act(viewer, lambda s: s.regions.cancel())


def commit_object(viewer: napari.viewer.Viewer) -> None:
    """Keep the mask as an object."""
    act(viewer, lambda s: s.annotation.commit())


def reject_object(viewer: napari.viewer.Viewer) -> None:
    """Clear prompts and mask."""
    act(viewer, lambda s: s.prompting.reject())


def undo_action(viewer: napari.viewer.Viewer) -> None:
    """Take the last action back."""
    act(viewer, lambda s: s.undo())


def redo_action(viewer: napari.viewer.Viewer) -> None:
    """Do it again."""
    act(viewer, lambda s: s.redo())


def next_uncertain(viewer: napari.viewer.Viewer) -> None:
    """Select the object the model is least sure of."""
    act(viewer, lambda s: s.annotation.select_uncertain())


def show_heatmaps(viewer: napari.viewer.Viewer) -> None:
    """Open the Heatmaps tab: why the network answers so."""
    act(viewer, lambda s: s.explaining.show_explanations(True))


def use_labels(viewer: napari.viewer.Viewer) -> None:
    """Take the objects of the selected labels layer, as reopened from a file."""
    layer = viewer.layers.selection.active

    def take(session: Session) -> None:
        if not isinstance(layer, Labels):
            raise PromptError("Select a labels layer first; its objects are taken.")
        session.annotation.load(np.asarray(layer.data), read_features(layer.features))

    act(viewer, take)


def release_model(viewer: napari.viewer.Viewer) -> None:
    """Give the model's memory back."""
    act(viewer, lambda s: s.release())


def act(viewer: Any, action: Callable[[Session], Any]) -> None:
    """Carry an action out in a viewer's session; its dock is opened where need be."""
    if find_session(viewer) is None:
        viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    session = find_session(viewer)
    if session is not None:
        run_action(session, action)
