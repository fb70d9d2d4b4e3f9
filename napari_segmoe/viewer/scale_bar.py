"""Shows napari's scale bar on slides."""

from typing import Any

from napari_segmoe.session.session import Session


class ScaleBar:
    """Turns the scale bar on when a slide of known pixel size is first opened.

    Only then: a user who hides it is not asked again.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    session : Session
        Its session.
    """

    def __init__(self, viewer: Any, session: Session) -> None:
        self._viewer = viewer
        self._session = session
        self._shown: set[str] = set()
        session.regions.regions_changed.connect(self._on_regions_changed)
        self._on_regions_changed()

    def _on_regions_changed(self) -> None:
        slide = self._session.regions.slide
        if slide is None or slide.spacing_um is None or slide.key in self._shown:
            return
        self._shown.add(slide.key)
        find_scale_bar(self._viewer).visible = True


def find_scale_bar(viewer: Any) -> Any:
    """Return the scale bar's model; napari 0.9 moved it."""
    canvas = getattr(viewer, "canvas", None)
    return viewer.scale_bar if canvas is None else canvas.overlays.scale_bar
