"""Opens napari with the dock."""

from pathlib import Path
from typing import Any

PLUGIN = "napari-segmoe"
WIDGET = "SegMoE"


def launch(path: str | Path | None = None, *, sample: str | None = None) -> Any:
    """Open a viewer with the SegMoE dock; the caller runs the event loop.

    Parameters
    ----------
    path : str, Path or None
        Image to open.
    sample : str or None
        Key of a packaged sample to open instead.

    Returns
    -------
    napari.Viewer
        The viewer; ``napari.run()`` then shows it until it is closed.
    """
    import napari

    viewer = napari.Viewer(title="SegMoE")
    viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    if path is not None:
        viewer.open(str(path), plugin=PLUGIN)
    elif sample is not None:
        viewer.open_sample(PLUGIN, sample)
    return viewer


def show_until_closed() -> None:
    """Run the event loop until the last window is closed."""
    import napari

    napari.run()
