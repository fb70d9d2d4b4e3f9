"""The Evaluate tab of a viewer, in its theme's colours."""

from typing import Any

from napari.utils.theme import get_theme

from napari_segmoe.session.session import Session
from napari_segmoe.viewer.agreement_layer import AgreementLayer
from napari_segmoe.viewer.layers import LayerSync
from napari_segmoe.widgets.evaluate_view import EvaluateView


def make_evaluate_tab(session: Session, layers: LayerSync, viewer: Any) -> EvaluateView:
    """Return the tab.

    Parameters
    ----------
    session : Session
        Its session.
    layers : LayerSync
        Knows the image layer.
    viewer : Viewer
        Whose theme is followed, and on which agreement is drawn.
    """
    agreement = AgreementLayer(viewer, session, layers)
    view = EvaluateView(session, agreement, viewer)

    def take_theme(_: object = None) -> None:
        view.set_accent(str(get_theme(viewer.theme).current.as_hex()))

    def let_go(_: object = None) -> None:
        viewer.events.theme.disconnect(take_theme)
        view.close_connections()

    take_theme()
    viewer.events.theme.connect(take_theme)
    view.destroyed.connect(let_go)
    return view
