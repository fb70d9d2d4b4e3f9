"""Where the labels of slides' regions are kept on disk."""

from collections.abc import Callable
from pathlib import Path

from napari_segmoe.data.region_store import RegionStore, default_folder
from napari_segmoe.data.slides.region import SlideRegion
from napari_segmoe.session.slide_scene import SlideScene
from napari_segmoe.session.workspace import Workspace


class RegionShelf:
    """Makes the store of a region, in its slide's own folder.

    Parameters
    ----------
    folder : Path or None
        That of all slides; by default in the user's cache.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def fill(
        self,
        workspace: Workspace,
        scene: SlideScene | None,
        *,
        on_failure: Callable[[Exception], object],
    ) -> None:
        """Give a workspace the store of its labels; in memory where disks refuse.

        Parameters
        ----------
        workspace : Workspace
        scene : SlideScene or None
            The slide that it is a region of.
        on_failure : callable
            Takes what goes wrong, now or later.
        """
        store = workspace.stored = self._make_store(workspace, scene)
        store.failed.connect(on_failure)
        if store.failure is not None:
            on_failure(store.failure)

    def _make_store(
        self, workspace: Workspace, scene: SlideScene | None
    ) -> RegionStore:
        store = RegionStore(workspace.image.shape)
        image = workspace.image
        if scene is not None and isinstance(image.pixels, SlideRegion):
            folder = (self._folder or default_folder()) / scene.key
            store.create(folder, image.pixels, spacing_um=image.spacing_um)
        if workspace.labels.any():
            store[:, :] = workspace.labels
        return store
