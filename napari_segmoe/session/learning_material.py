"""What the open project holds to learn from, counted beside the window."""

from collections.abc import Generator
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.round_material import Material, count_material
from napari_segmoe.project.store import ProjectStore

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session

TOPIC = LANE = "learning material"


class LearningMaterial:
    """The newest count of the open project's material.

    Parameters
    ----------
    session : Session
        Whose project is counted.
    """

    changed = Signal()

    def __init__(self, session: "Session") -> None:
        self._session = session
        self.counted: Material | None = None
        self.failure = ""

    def count(self) -> None:
        """Count anew, on the worker: ten thousands of objects take their time."""
        path = self._session.project.path
        if path is None:
            self._session.runner.cancel(TOPIC)
            self._take(None)
            return

        def job() -> Generator[None, None, Material]:
            yield
            with ProjectStore.open(path, read_only=True) as store:
                return count_material(store)

        self._session.runner.submit(
            job,
            topic=TOPIC,
            on_done=self._take,
            on_error=self._fail,
            lane=LANE,
        )

    def _take(self, material: Material | None, failure: str = "") -> None:
        if (material, failure) != (self.counted, self.failure):
            self.counted, self.failure = material, failure
            self.changed.emit()

    def _fail(self, error: Exception) -> None:
        if isinstance(error, ProjectError):  # said where it matters: in the tab
            self._take(None, str(error))
        else:
            self._session.report(error)
