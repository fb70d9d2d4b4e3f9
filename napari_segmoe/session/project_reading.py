"""Reading the open project for views: what cannot be read is said, and never raised."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from psygnal import Signal

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.store import ProjectStore

if TYPE_CHECKING:
    from napari_segmoe.session.project_link import ProjectLink

Found = TypeVar("Found")
Other = TypeVar("Other")
PATIENCE_S = 0.5  # the window waits so long for another program, and not a second time


class ProjectReading:
    """The one way by which views, and what serves them, read the open project.

    A damaged page, a folder that is gone, a database that another program holds: the
    reader gets what it takes otherwise, and the sentence stands in the dock until the
    same thing can be read. While one thing cannot be read, nothing is waited for.

    Parameters
    ----------
    link : ProjectLink
        Which project is open.
    """

    changed = Signal()  # what cannot be read

    def __init__(self, link: "ProjectLink") -> None:
        self._link = link
        self._failures: dict[str, str] = {}  # sentence by what could not be read
        self._depth = 0

    @property
    def failure(self) -> str:
        """Why something cannot be read, in a sentence; empty where all can."""
        if not self._failures:
            return ""
        why = next(iter(self._failures.values()))
        return f"{why} Missing here: {', '.join(self._failures)}."

    def read(
        self, what: str, find: Callable[[ProjectStore], Found], otherwise: Other
    ) -> Found | Other:
        """Return what ``find`` finds in the open project.

        Parameters
        ----------
        what : str
            Name of it, for people: "the list of images".
        find : callable
            Reads the store; all of it or nothing counts.
        otherwise : object
            What it is without a project, or where it cannot be read.
        """
        store = self._link.store
        if store is None:
            return otherwise
        is_outer = self._depth == 0
        if is_outer:
            store.set_patience(0.0 if self._failures else PATIENCE_S)
        self._depth += 1
        try:
            store.check_place()
            found = find(store)
        except ProjectError as error:
            self._note(what, str(error))
            return otherwise
        else:
            self._note(what, "")
            return found
        finally:
            self._depth -= 1
            if is_outer and self._link.store is store:
                self._link.settle_patience()

    def forget(self) -> None:
        """Forget what could not be read: another project is opened, or none."""
        if self._failures:
            self._failures.clear()
            self.changed.emit()

    def _note(self, what: str, failure: str) -> None:
        before = self.failure
        if failure:
            self._failures[what] = failure
        else:
            self._failures.pop(what, None)
        if self.failure != before:
            self.changed.emit()
