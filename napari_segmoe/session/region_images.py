"""What regions of one slide have in common: pixels that are taken, and their size."""

from typing import TYPE_CHECKING

from napari_segmoe.session.region_overlap import locked_in
from napari_segmoe.session.workspace import Workspace
from napari_segmoe.types import Mask, Spacing

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session


def locked_on(session: "Session", workspace: Workspace) -> Mask | None:
    """Return the pixels of committed objects; those of other regions too."""
    others = session.regions.works.neighbours(workspace.image.key)
    work = (session.find_workspace(one.key) for one in others)
    return locked_in(workspace, tuple(one for one in work if one is not None))


def rescale_image(session: "Session", key: str, spacing_um: Spacing | None) -> None:
    """Take another pixel size of the image of that key; all areas follow."""
    workspace = session.find_workspace(key)
    if workspace is None or workspace.image.spacing_um == spacing_um:
        return
    workspace.rescale(spacing_um)
    if workspace is session.workspace:
        session.image_changed.emit(workspace.image)
        session.objects_changed.emit(None)
        session.prompting.ask_again()
