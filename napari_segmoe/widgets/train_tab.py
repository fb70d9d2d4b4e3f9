"""The Train tab of a viewer, in its theme's colours."""

from typing import TYPE_CHECKING, Any

from napari.utils.theme import get_theme

from napari_segmoe.session.session import Session

if TYPE_CHECKING:
    from napari_segmoe.widgets.train_view import TrainView


def make_train_tab(session: Session, viewer: Any) -> "TrainView":
    """Return the tab; its drawing library is loaded now, not with the dock.

    Parameters
    ----------
    session : Session
        Its session.
    viewer : Viewer
        Whose theme is followed.
    """
    from napari_segmoe.widgets.train_view import TrainView

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

    take_theme()
    viewer.events.theme.connect(take_theme)
    view.destroyed.connect(let_go)
    return view
