"""Corrections and the worklist as commands of the palette."""

import napari
import napari.viewer

from napari_segmoe.session.correction_tools import ToolGesture
from napari_segmoe.viewer.commands import act


def accept_objects(viewer: napari.viewer.Viewer) -> None:
    """Say that the chosen objects are right."""
    act(viewer, lambda s: s.tools.accept())


def review_objects(viewer: napari.viewer.Viewer) -> None:
    """Say that the chosen objects were looked at a second time."""
    act(viewer, lambda s: s.tools.review())


def lock_objects(viewer: napari.viewer.Viewer) -> None:
    """Lock the chosen objects, or unlock them."""
    act(viewer, lambda s: s.tools.toggle_lock())


def merge_objects(viewer: napari.viewer.Viewer) -> None:
    """Make one object of the chosen ones."""
    act(viewer, lambda s: s.tools.merge())


def split_object(viewer: napari.viewer.Viewer) -> None:
    """Part the chosen object where it is thin."""
    act(viewer, lambda s: s.tools.split())


def cut_object(viewer: napari.viewer.Viewer) -> None:
    """Part the chosen object along the line that is dragged next."""
    act(viewer, lambda s: s.tools.wait_for(ToolGesture.CUT))


def fill_holes(viewer: napari.viewer.Viewer) -> None:
    """Fill the holes of the chosen objects."""
    act(viewer, lambda s: s.tools.fill_holes())


def smooth_outlines(viewer: napari.viewer.Viewer) -> None:
    """Smooth the outlines of the chosen objects."""
    act(viewer, lambda s: s.tools.smooth())


def grow_objects(viewer: napari.viewer.Viewer) -> None:
    """Move the outlines of the chosen objects outward."""
    act(viewer, lambda s: s.tools.grow())


def shrink_objects(viewer: napari.viewer.Viewer) -> None:
    """Move the outlines of the chosen objects inward."""
    act(viewer, lambda s: s.tools.shrink())


def finish_view(viewer: napari.viewer.Viewer) -> None:
    """Say that all in the field of view is annotated."""
    act(viewer, lambda s: s.tools.finish_view())


def finish_rectangle(viewer: napari.viewer.Viewer) -> None:
    """Say so of the rectangle that is dragged next."""
    act(viewer, lambda s: s.tools.wait_for(ToolGesture.TILE))


def finish_image(viewer: napari.viewer.Viewer) -> None:
    """Say so of all of the image; where it is finished, take that back."""
    act(viewer, lambda s: s.tools.toggle_image())


def next_image(viewer: napari.viewer.Viewer) -> None:
    """Open the next image of the worklist."""
    act(viewer, lambda s: s.worklist.next())


def previous_image(viewer: napari.viewer.Viewer) -> None:
    """Open the image before."""
    act(viewer, lambda s: s.worklist.previous())
