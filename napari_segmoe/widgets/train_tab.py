"""The Train tab of a viewer, in its theme's colours."""

from typing import TYPE_CHECKING, Any

from napari.utils.theme import get_theme

from napari_segmoe.session.session import Session
from napari_segmoe.viewer.layers import LayerSync
from napari_segmoe.viewer.pseudo_layer import PseudoLayer

if TYPE_CHECKING:
    from napari_segmoe.widgets.train_view import TrainView


def make_train_tab(session: Session, layers: LayerSync, viewer: Any) -> "TrainView":
    """Return the tab; its drawing library is loaded now, not with the dock.

    Parameters
    ----------
    session : Session
        Its session.
    layers : LayerSync
        Knows the image layer.
    viewer : Viewer
        Whose theme is followed, and on which pseudo-labels are drawn.
    """
    from napari_segmoe.widgets.train_view import TrainView

    drawn = PseudoLayer(viewer, session, layers)
    view = TrainView(session)

    def take_theme(_: object = None) -> None:
        theme = get_theme(viewer.theme)
        view.set_colours(
            accent=theme.current.as_hex(),
            background=theme.background.as_hex(),
            text=theme.text.as_hex(),
        )

    def let_go(_: object = None) -> None:
        viewer.events.theme.disconnect(take_theme)
        drawn.close()

    take_theme()
    viewer.events.theme.connect(take_theme)
    view.destroyed.connect(let_go)
    return view
