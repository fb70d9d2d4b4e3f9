"""The work on all images of a session."""

from collections.abc import Iterator

from napari_segmoe.session.classes import ClassTable
from napari_segmoe.session.history import Snapshot
from napari_segmoe.session.image import SessionImage
from napari_segmoe.session.workspace import Workspace


class Workspaces:
    """One workspace for each image that was chosen, by its key; oldest first."""

    def __init__(self) -> None:
        self._by_key: dict[str, Workspace] = {}

    def __iter__(self) -> Iterator[Workspace]:
        return iter(tuple(self._by_key.values()))

    def find(self, key: str) -> Workspace | None:
        """Return the work on the image of that key, or None."""
        return self._by_key.get(key)

    def ensure(self, image: SessionImage, classes: ClassTable) -> Workspace:
        """Return the work on an image, made where there is none yet."""
        known = self._by_key.get(image.key)
        if known is None or known.image.shape != image.shape:
            known = self._by_key[image.key] = Workspace(
                image, Snapshot(classes=classes)
            )
        known.image = image
        return known

    def close(self) -> None:
        """Write labels to disk no more."""
        for workspace in self:
            workspace.close()

    def clear(self) -> None:
        """Forget all of them."""
        self.close()
        self._by_key.clear()
