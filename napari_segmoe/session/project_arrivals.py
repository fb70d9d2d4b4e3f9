"""What comes out of the open project into the session, and images that join it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.local_files import note_paths
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.session.image import SessionImage
from napari_segmoe.session.project_classes import adopt_classes, stored_table
from napari_segmoe.session.project_restoring import add_regions, restore, take_in
from napari_segmoe.session.project_states import class_records
from napari_segmoe.session.slide_work import SlideWork
from napari_segmoe.session.unsaved_step import UnsavedStep
from napari_segmoe.session.worklist_entries import WorklistEntry
from napari_segmoe.session.workspace import Workspace

if TYPE_CHECKING:
    from napari_segmoe.session.project_link import ProjectLink
    from napari_segmoe.session.session import Session


class ProjectArrivals:
    """Brings images, regions, objects and classes from the project, and into it.

    Parameters
    ----------
    session : Session
        Hears what goes wrong.
    link : ProjectLink
        Which project is open.
    """

    def __init__(self, session: "Session", link: "ProjectLink") -> None:
        self._session, self._link = session, link

    def refresh(self) -> None:
        """Show what an import, or somebody else, has put into the project.

        Raises
        ------
        ProjectError
            If no project is open, or it cannot be read.
        """
        store, _ = self._link.require()
        self.take_classes(store)
        for workspace in self._session.workspaces:
            self.follow(workspace)
        self._session.regions.restore()
        self._session.show_workspace()
        self._session.project_changed.emit()

    def read_again(self) -> None:
        """Read anew what could not be read; raises as `refresh`."""
        self._link.reading.forget()
        self.refresh()

    def follow(self, workspace: Workspace) -> None:
        """Bring what the project has of an image that was chosen: for `Session`.

        A plain image that the project does not have joins it; a slide's region
        joins with its first object.
        """
        if not self._link.is_open:
            return
        _, recorder = self._link.require()
        if workspace.image.region is None:
            try:
                recorder.require_name(workspace.image)
            except ProjectError as error:
                self._session.report(error)
        is_own = bool(recorder.waiting_of(workspace))
        if not is_own:
            self._link.reading.read(
                "objects of an image", lambda _: self._bring_news(workspace), None
            )
        self._session.worklist_changed.emit()

    def _bring_news(self, workspace: Workspace) -> None:
        if self._link.require()[1].has_news(workspace.image):
            self.bring(workspace)

    def show_stored(self, workspace: Workspace) -> None:
        """Show what the project has of an image, as far as it can be read."""
        self._link.reading.read(
            "objects of an image", lambda _: self.bring(workspace), None
        )

    def bring(self, workspace: Workspace) -> None:
        """Show what the project has of an image; raises `ProjectError`."""
        store, recorder = self._link.require()
        name = recorder.find_name(workspace.image)
        if name is not None:
            version = self._session.next_label_version()
            newest = recorder.newest(workspace.image)
            if store.classes() != class_records(self._session.snapshot.classes):
                adopt_classes(self._session, stored_table(store))
            restore(store, name, workspace, label_version=version)
            recorder.note_seen(workspace.image, newest)

    def take_classes(self, store: ProjectStore) -> None:
        """Make one list of the project's classes and the session's."""
        stored = stored_table(store)
        self._link.record_classes(stored, adopt_classes(self._session, stored))

    def take_work(self, workspace: Workspace) -> UnsavedStep | None:
        """Return the step by which work without a project goes into one, or None."""
        store, recorder = self._link.require()
        name = recorder.find_name(workspace.image)
        version = self._session.next_label_version()
        step = take_in(store, name, workspace, label_version=version)
        if name is not None:
            recorder.note_seen(workspace.image)
        return step

    def add_image(self, image: SessionImage) -> None:
        """Take an image that is not worked on into the project: for `Worklist`."""
        try:
            self._link.require()[1].require_name(image)
        except ProjectError as error:
            self._session.report(error)
        self._session.worklist_changed.emit()

    def note_slides(self, entries: Iterable[WorklistEntry]) -> None:
        """Remember where slides lie that have no region yet: for `Worklist`."""
        found = {one.key: one.path for one in entries if one.path and one.is_slide}
        if self._link.path is not None and found:
            note_paths(self._link.path, found)

    def bring_regions(self, work: SlideWork) -> None:
        """Bring the regions that the project has of a slide: for `Regions`."""
        if not self._link.is_open:
            return
        self._link.reading.read(
            "regions of the slide", lambda store: add_regions(store, work), None
        )
        for one in work.records:
            workspace = self._session.workspaces.ensure(
                work.image_of(one), self._session.snapshot.classes
            )
            if not workspace.snapshot.records:
                self.follow(workspace)
