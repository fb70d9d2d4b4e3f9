"""Shows the file that the worklist asks for, in the place of the one before."""

from pathlib import Path
from typing import Any

from napari.layers import Image

from napari_segmoe.errors import ImageReadError
from napari_segmoe.session.session import Session
from napari_segmoe.viewer.layers import LayerSync
from napari_segmoe.viewer.placement import file_of
from napari_segmoe.viewer.readers import SLIDE_PATH

PLUGIN = "napari-segmoe"


class WorklistOpening:
    """Opens images of the worklist; a layer that it opened goes when the next comes.

    Layers that the user opened stay. What was made on an image is the session's.

    Parameters
    ----------
    viewer : ViewerModel
    session : Session
    layers : LayerSync
        Chooses the layer to work on.
    """

    def __init__(self, viewer: Any, session: Session, layers: LayerSync) -> None:
        self._viewer = viewer
        self._session = session
        self._layers = layers
        self._opened: tuple[Image, ...] = ()
        session.worklist.open_requested.connect(self._on_open_requested)

    def _on_open_requested(self, path: Path) -> None:
        there = [layer for layer in self._layers.images() if shows(layer, path)]
        if there:
            self._viewer.layers.selection.active = there[-1]
            self._layers.choose(there[-1])
            self._session.worklist_changed.emit()
            return
        before = self._opened
        try:
            self._opened = tuple(self._viewer.open(str(path), plugin=PLUGIN))
        except (ImageReadError, OSError, ValueError) as error:
            self._session.report(
                error
                if isinstance(error, ImageReadError)
                else ImageReadError(f"{path.name} cannot be opened: {error}.")
            )
            return
        for layer in before:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self._viewer.reset_view()
        self._layers.activate_prompts()
        self._session.worklist_changed.emit()


def shows(layer: Image, path: Path) -> bool:
    """Whether a layer shows a file."""
    stated = layer.metadata.get(SLIDE_PATH)
    shown = Path(stated) if stated else file_of(layer)
    return shown is not None and shown.resolve() == path.resolve()
